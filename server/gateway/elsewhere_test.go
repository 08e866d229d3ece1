package gateway

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"reversehttp/server/budget"
	"reversehttp/server/claim"
	nodes "reversehttp/server/cluster/peer"
	"reversehttp/server/problem"
	"reversehttp/server/wire"
)

// home is the other node of a cluster of two, which keeps all claims that have a label when they are
// made.
type home struct {
	entry *Gateway
	pool  *nodes.Pool
}

// at is the address of the home. Nothing dials it but pipes.
var at = nodes.Node{Name: "home", Run: "1", Address: "home:1"}

func (h *home) Visit(w http.ResponseWriter, r *http.Request, label string, _ *budget.Hold, _ *claim.Note) bool {
	return h.Pass(w, r, label, nil)
}

func (h *home) Pass(w http.ResponseWriter, r *http.Request, label string, _ *claim.Note) bool {
	if h.entry.registry.Lookup(label) != nil {
		return false
	}
	content := nodes.NewContent(w, r)
	defer content.Stop()
	if err := h.pool.Carry(w, r, content, at, label, nil); err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
	}
	return true
}

func (h *home) Recall(http.ResponseWriter, *http.Request, string) bool { return false }

func (h *home) EntryOf(*http.Request) claim.Entry { return nil }
func (h *home) Has(string) bool                   { return false }
func (h *home) Leave(context.Context)             {}
func (h *home) Others(*http.Request) [][]byte     { return nil }

func (h *home) Part() {}

// inWorldOfTwo runs a test with a gateway in a bubble, to which another node carries all requests.
func inWorldOfTwo(t *testing.T, o Options, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		g := newHome(t, o)
		network := newPipeListener()
		s := &nodes.Server{Handler: g, Base: g.Base(), Keeps: func(string) bool { return true }, Node: at.Name, Run: at.Run}
		var served sync.WaitGroup
		served.Go(func() { _ = s.Serve(network) })
		pool := &nodes.Pool{Node: "entry", Run: "1", Dial: func(context.Context, string) (net.Conn, error) { return network.dial(visitorAddr) }}
		t.Cleanup(func() {
			pool.Close()
			_ = network.Close()
			s.Close()
			served.Wait()
			g.Close()
		})
		elsewhere := &home{pool: pool}
		o.Elsewhere = elsewhere
		w := newWorld(t, o)
		elsewhere.entry, w.gateway = w.gateway, g
		test(w)
	})
}

// newHome returns a gateway that nothing but another node reaches.
func newHome(t *testing.T, o Options) *Gateway {
	t.Helper()
	o.SharedTokens = append(shortTokens, o.SharedTokens...)
	o.LookupTXT = func(context.Context, string) ([]string, error) { return nil, &net.DNSError{IsNotFound: true} }
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestVectorsByAnotherNode(t *testing.T) {
	t.Run("exchanges", func(t *testing.T) { playVectorsOfExchanges(t, inWorldOfTwo) })
	t.Run("faults", func(t *testing.T) { playVectorsOfFaults(t, inWorldOfTwo) })
	t.Run("conversations", func(t *testing.T) {
		playVectorsOfConversations(t, inWorldOfTwo, map[string]bool{
			// They ask the node that accepts the request for what only the home knows.
			"quotas": true, "drain": true,
			// A part is confirmed once the entry has it, which may be before the visitor does.
			"link-streams": true, "link-leaves-while-it-streams": true, "link-results-in-order": true,
		})
	})
}

// successor is the node to which a claim moves: it takes every second request of a program.
type successor struct {
	home
	asked  int
	got    string
	before *claim.Note
}

func (s *successor) Pass(w http.ResponseWriter, r *http.Request, _ string, before *claim.Note) bool {
	if s.asked++; s.asked == 1 {
		return false // this node is the home
	}
	content, _ := io.ReadAll(r.Body)
	s.got, s.before = string(content), before
	w.WriteHeader(http.StatusAccepted)
	return true
}

func TestAProgramsRequestMovesWithItsClaim(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.claim("demo")
		next := &successor{}
		g := w.gateway
		c := &carrier{next, g.registry, g.routes(), nil}
		r := httptest.NewRequest(http.MethodPost, "/claims/demo/sessions/x/responses", strings.NewReader("the answers"))
		got := httptest.NewRecorder()
		c.program(got, r, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.ReadAll(r.Body)
			claim.Depose(g.registry, "demo")
			wire.Judged(w, []string{"one"})
			problem.Of(claim.ErrMoved).Write(w, r)
		}))
		if got.Code != http.StatusAccepted || next.got != "the answers" {
			t.Errorf("%d, and the new home got %q", got.Code, next.got)
		}
		if next.before == nil || !slices.Equal(next.before.Judged, []string{"one"}) {
			t.Errorf("the new home knows %+v", next.before)
		}
	})
}
