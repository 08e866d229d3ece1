package cluster

import (
	"net/http"
	"strings"
	"testing"

	reversehttp "reversehttp/sdk-go"
)

// TestAHomeThatLivesAndIsNotHeardIsNotWaitedFor sends a request on a connection that worked before.
func TestAHomeThatLivesAndIsNotHeardIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	home := w.nodes[0]
	w.client = &http.Client{Transport: dialing(home)} // the program is connected there
	begun := make(chan struct{}, 1)
	w.serve("demo", func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/cut" {
			begun <- struct{}{}
		}
		echo(rw, r)
	}, reversehttp.TransportAuto)
	at := w.other(home, 0)
	if status, _, err := w.visitAt(at, http.MethodGet, "demo", "/", ""); status != http.StatusOK {
		t.Fatal(status, err)
	}
	home.mute.Store(true)
	resp, err := (&http.Client{Transport: dialing(at)}).Get("http://demo.gateway.example/cut")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("%d, Retry-After %q: want 503", resp.StatusCode, resp.Header.Get("Retry-After"))
	}
	<-begun
	if status := resp.Header.Get("Proxy-Status"); strings.Contains(status, "handed=?0") {
		t.Errorf("Proxy-Status %q promises that no handler had a request that one had", status)
	}
	if now := w.home("demo"); now != home {
		t.Errorf("the home lives, and is %v instead", now)
	}
}

// TestAHomeThatWasStoppedLooksWhetherItStillIs has changes of claims come later than requests.
func TestAHomeThatWasStoppedLooksWhetherItStillIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	home, other := w.nodes[0], w.nodes[1]
	w.client = &http.Client{Transport: dialing(home)}
	resp, err := w.client.Post("http://gateway.example/claims", "application/json", strings.NewReader(`{"label":"demo","token":"secret"}`))
	if err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatal(resp, err)
	}
	_ = resp.Body.Close()
	w.engine.Hold(home.name)
	for w.home("demo") == home && other.gateway.Registry().Lookup("demo") == nil {
		other.node.peers.bury(processOf{home.name, home.name + "-run"}, "test")
		_ = other.node.take(t.Context(), "demo", "test") // until no ping says that it lives
	}
	if now, err := home.node.home(t.Context(), "demo", false); err != nil || !home.node.isSelf(now) {
		t.Fatalf("the home that misses the change has %v, %v", now, err)
	}
	home.node.pulse.doubt.Store(1 << 62)
	if now, err := home.node.home(t.Context(), "demo", false); err != nil || now.Node != other.name {
		t.Errorf("the home after it was stopped has %v, %v, want %s", now, err, other.name)
	}
	if home.gateway.Registry().Lookup("demo") != nil {
		t.Error("it still keeps the claim")
	}
}
