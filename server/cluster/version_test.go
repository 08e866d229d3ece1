package cluster

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	reversehttp "reversehttp/sdk-go"
	"reversehttp/server/cluster/engine"
	"reversehttp/server/cluster/peer"
)

// next are the versions of a release after this one.
var next = peer.Versions{Oldest: peer.Spoken.Newest, Newest: peer.Spoken.Newest + 1}

func TestNodesOfNeighbouringReleasesAreOne(t *testing.T) {
	t.Parallel()
	w := &world{t: t, engine: engine.NewMemory(), speaks: map[string]peer.Versions{"node1": next}}
	w.open(2)
	for i, label := range []string{"old", "new"} { // its home
		home, entry := w.nodes[i], w.nodes[1-i]
		w.client = &http.Client{Transport: dialing(home)}
		w.serve(label, echo, reversehttp.TransportAuto)
		if now := w.home(label); now != home {
			t.Fatalf("the home of %s is %v", label, now)
		}
		if status, got, err := w.visitAt(entry, http.MethodPost, label, "/", "content"); status != http.StatusOK || got != "content" {
			t.Errorf("%s by %s: %d %q, %v", label, entry.name, status, got, err)
		}
	}
	for _, n := range w.nodes {
		if err := n.node.Agree(); err != nil {
			t.Errorf("%s: %v", n.name, err)
		}
	}
}

func TestANodeWithoutACommonVersionDoesNotJoin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	e, err := w.engine.Connect(t.Context(), engine.Options{Node: "other", Run: "r"})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	far := peer.Versions{Oldest: next.Newest, Newest: next.Newest + 1}
	n := New(Options{Engine: e, Name: "other", Run: "r", Address: "127.0.0.1:1", Speaks: far, Settings: map[string]string{"--public-url": publicURL, "--of-a-later-release": "1"}})
	defer n.Close()
	want := fmt.Sprintf("node node0 speaks %v of the protocol between nodes, and this one %v", peer.Spoken, far)
	if err := refusal(t, n); !strings.HasPrefix(err.Error(), want) {
		t.Fatal(err)
	}

	n.options.Speaks = next // one that can talk to it may have settings that it does not know
	if err := n.Agree(); err != nil {
		t.Error(err)
	}
}
