package cluster

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	reversehttp "reversehttp/sdk-go"
	"reversehttp/server/cluster/engine"
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

// TestAHandlerMayHaveHadARequestWhoseNoteWasLost has homes die with requests that may be given to several
// programs. Their entries learn too late, or never, that a program is given one.
func TestAHandlerMayHaveHadARequestWhoseNoteWasLost(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		method  string
		begun   bool // a handler had it
		promise bool // that none had
	}{
		{http.MethodGet, true, false},
		{http.MethodGet, false, false}, // the entry cannot know
		{http.MethodPost, false, true}, // its home would have waited for the entry before a handler had it
	} {
		t.Run(fmt.Sprint(c.method, c.begun), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 3)
			home, entry := w.nodes[0], w.nodes[1]
			p := w.byHand(home, "demo")
			over := make(chan struct{})
			go func() {
				defer close(over)
				_, _, _ = w.visitAt(entry, http.MethodGet, "demo", "/", "") // so that there is a connection
			}()
			p.answer(p.poll())
			<-over
			if c.begun {
				home.mute.Store(true) // so that the note is lost
			}
			got := make(chan *http.Response, 1)
			go func() {
				r, _ := http.NewRequest(c.method, "http://demo.gateway.example/", nil)
				resp, err := (&http.Client{Transport: dialing(entry)}).Do(r)
				if err != nil {
					t.Error(err)
				}
				got <- resp
			}()
			if c.begun {
				p.poll()
			}
			for home.gateway.Registry().Stats().Exchanges == 0 {
				time.Sleep(time.Millisecond)
			}
			w.kill(home)
			resp := <-got
			if resp == nil {
				return
			}
			_ = resp.Body.Close()
			if status := resp.Header.Get("Proxy-Status"); resp.StatusCode != http.StatusServiceUnavailable || strings.Contains(status, "handed=?0") != c.promise {
				t.Errorf("%d, Proxy-Status %q; want 503, and that no handler had it: %v", resp.StatusCode, status, c.promise)
			}
		})
	}
}

// TestNobodyWaitsForANodeThatIsKnownToBeCutOff has a visitor find out that the home lives and cannot be reached,
// and then more of them, for whom no connection is tried.
func TestNobodyWaitsForANodeThatIsKnownToBeCutOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	home, entry := w.nodes[0], w.nodes[1]
	w.client = &http.Client{Transport: dialing(home)}
	w.serve("demo", echo, reversehttp.TransportAuto)
	counted := prometheus.NewRegistry()
	counted.MustRegister(entry.node.figures.carried)
	tried := func() (n float64) {
		families, err := counted.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				n += m.GetCounter().GetValue()
			}
		}
		return n
	}
	home.mute.Store(true)
	for i := range 5 {
		before := tried()
		status, _, err := w.visitAt(entry, http.MethodGet, "demo", "/", "")
		if status != http.StatusServiceUnavailable {
			t.Errorf("visitor %d: %d, %v; want 503", i, status, err)
		}
		if n := tried() - before; i > 0 && n > 0 {
			t.Errorf("visitor %d waited for the home, which was tried %v times", i, n)
		}
	}
	home.mute.Store(false)
	for status := 0; status != http.StatusOK; { // once a probe reaches it
		status, _, _ = w.visitAt(entry, http.MethodGet, "demo", "/", "")
	}
	if now := w.home("demo"); now != home {
		t.Errorf("the home lives, and is %v instead", now)
	}
}

// TestAVisitorWaitsForTheEndOfAHomeThatCannotBeReached has a home stop, so that its port takes no connection and
// it sends no heartbeat. It is not known at first which of both will last.
func TestAVisitorWaitsForTheEndOfAHomeThatCannotBeReached(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	home, entry, other := w.nodes[0], w.nodes[1], w.nodes[2]
	w.byHand(home, "demo")
	home.mute.Store(true)
	w.engine.Cut(home.name, engine.CutAll)
	got := make(chan int, 1)
	go func() {
		status, content, err := w.visitAt(entry, http.MethodPost, "demo", "/", "")
		if err != nil || status != http.StatusOK {
			t.Errorf("%d %s, %v", status, content, err)
		}
		got <- status
	}()
	p := w.byHand(other, "demo") // the program comes by another node
	p.answer(p.poll())
	<-got
}

// TestAHomeWhoseFirstHeartbeatIsOnItsWayIsNotGone has the record of a claim arrive before anything is known of the
// node that keeps it.
func TestAHomeWhoseFirstHeartbeatIsOnItsWayIsNotGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	n := w.nodes[0].node
	e, err := w.engine.Connect(t.Context(), engine.Options{Node: "new", Run: "r", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	home := engine.Home{Node: "new", Run: "r"}
	if at, alive := n.peers.at(home); !alive || at.Address != "" {
		t.Errorf("before its first heartbeat: %+v, alive: %v", at, alive)
	}
	if err := e.Beat(t.Context(), engine.Node{PeerURL: "there:1"}); err != nil {
		t.Fatal(err)
	}
	if err := n.peers.await(t.Context(), processOf{"new", "r"}); err != nil {
		t.Error(err)
	}
	if at, alive := n.peers.at(home); !alive || at.Address != "there:1" {
		t.Errorf("after its first heartbeat: %+v, alive: %v", at, alive)
	}
	e.Close()
	for alive := true; alive; { // that it has left is known once it arrives
		_, alive = n.peers.at(home)
	}
	if _, alive := n.peers.at(engine.Home{Node: w.nodes[0].name, Run: "an earlier one"}); alive {
		t.Error("an earlier run of this node is not gone")
	}
}
