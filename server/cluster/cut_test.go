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
