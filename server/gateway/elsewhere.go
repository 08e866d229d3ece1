package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-chi/chi/v5"

	"reversehttp/server/budget"
	"reversehttp/server/claim"
	"reversehttp/server/door"
	"reversehttp/server/wire"
)

// Elsewhere is the other nodes of a cluster: each claim is kept by one node, its home, and requests
// for it may reach any node.
type Elsewhere interface {
	// Visit has the home of the claim of a label serve a visitor's request, which counts in hold. If
	// this node was the home until now, before is what the new one has to know, which may be this node again;
	// otherwise nil. Visit reports false, and has done nothing, if this node is the home, or no node is.
	Visit(w http.ResponseWriter, r *http.Request, label string, hold *budget.Hold, before *claim.Note) bool
	// Pass does the same with a program's request; before is nil unless this node began to serve it.
	Pass(w http.ResponseWriter, r *http.Request, label string, before *claim.Note) bool
	// Recall has the node that kept the claim of a label until it ended serve a program's request. It reports
	// false, and has done nothing, if that is this node, is gone, or was too long ago.
	Recall(w http.ResponseWriter, r *http.Request, label string) bool
	// Has reports whether a node keeps the claim of a label, as far as this one knows.
	Has(label string) bool
	// EntryOf returns the node that accepted a request and carried it here, or nil if this one did.
	EntryOf(r *http.Request) claim.Entry
	// Others has every other node serve a request without content, and returns the content of those
	// that answered with 200.
	Others(r *http.Request) [][]byte
	// Leave hands the claims that this node keeps over to other nodes, until ctx ends, and returns
	// once no more can be handed over.
	Leave(ctx context.Context)
	// Part has the homes of claims answer the polls that this node carries, and end its links.
	Part()
}

// othersOf returns how the other nodes are asked; nil if there are none.
func othersOf(e Elsewhere) func(*http.Request) [][]byte {
	if e == nil {
		return nil
	}
	return e.Others
}

// carrier has other nodes serve requests for the claims that they keep.
type carrier struct {
	others   Elsewhere
	registry *claim.Registry
	mux      *chi.Mux // of the control origin
	doors    []door.Door
}

// newCarrier returns the carrier of a gateway, or nil if it is alone.
func newCarrier(g *Gateway, mux *chi.Mux) *carrier {
	if g.options.Elsewhere == nil {
		return nil
	}
	return &carrier{g.options.Elsewhere, g.registry, mux, g.doors}
}

// visits has another node serve a visitor's request for a claim that it keeps, and reports whether it
// did. If this node kept the claim until now, before is its note. A request that another node carried
// here goes back to it instead.
func (c *carrier) visits(w http.ResponseWriter, r *http.Request, label string, hold *budget.Hold, before *claim.Note) bool {
	return !wire.IsCarried(r) && c.others.Visit(w, r, label, hold, before)
}

// program serves a program's request: at another node if that keeps the claim, and otherwise here by h.
// Should the claim move while it is served here, or another node make it, that node serves it.
func (c *carrier) program(w http.ResponseWriter, r *http.Request, h http.Handler) {
	label, makes := c.labelIn(r)
	if label == "" || wire.IsCarried(r) {
		h.ServeHTTP(w, r)
		return
	}
	if c.others.Pass(w, r, label, nil) {
		return
	}
	if !makes && !claim.Keeps(c.registry, label) {
		if !c.others.Recall(w, r, label) {
			h.ServeHTTP(w, r)
		}
		return
	}
	here := &homely{ResponseWriter: w, keeps: func() bool { return claim.Keeps(c.registry, label) }}
	again := *r
	if r.Body != nil && r.Body != http.NoBody {
		here.content = &recorded{ReadCloser: r.Body}
		again.Body = here.content
	}
	served := again
	h.ServeHTTP(here, &served)
	if !here.moved {
		return
	}
	if here.content != nil {
		again.Body = here.content.again()
	}
	if !c.others.Pass(w, &again, label, here.before) {
		h.ServeHTTP(w, &again)
	}
}

// homely is the response to a program's request for a claim that this node keeps. If the claim moves
// before anything is written, the handler writes nothing; see [wire.Moves].
type homely struct {
	http.ResponseWriter
	keeps   func() bool
	content *recorded // nil if there is none
	before  *claim.Note
	begun   bool
	moved   bool
}

// Unwrap is for [http.ResponseController].
func (h *homely) Unwrap() http.ResponseWriter { return h.ResponseWriter }

func (h *homely) WriteHeader(status int) {
	h.begun = h.begun || status >= 200 || status == http.StatusSwitchingProtocols
	h.ResponseWriter.WriteHeader(status)
}

func (h *homely) Write(p []byte) (int, error) {
	h.begun = true
	return h.ResponseWriter.Write(p)
}

// HangUp implements what [wire.HangUp] looks for.
func (h *homely) HangUp() { wire.HangUp(h.ResponseWriter) }

// Judged implements what [wire.Judged] looks for.
func (h *homely) Judged(exchanges []string) { h.before = &claim.Note{Judged: exchanges} }

// Moves implements what [wire.Moves] looks for.
func (h *homely) Moves() bool {
	h.moved = h.moved || !h.begun && !h.keeps() && (h.content == nil || !h.content.passed)
	return h.moved
}

// recorded is content whose beginning can be read again.
type recorded struct {
	io.ReadCloser
	kept   []byte
	passed bool // more was read than is kept
}

// mostRecorded is how much content is kept, in bytes.
const mostRecorded = 64 << 10

func (c *recorded) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if c.passed = c.passed || len(c.kept)+n > mostRecorded; c.passed {
		c.kept = nil
	} else {
		c.kept = append(c.kept, p[:n]...)
	}
	return n, err
}

// again returns all of the content, of which nothing may have passed.
func (c *recorded) again() io.ReadCloser {
	return peeked{io.MultiReader(bytes.NewReader(c.kept), c.ReadCloser), c.ReadCloser}
}

// labelIn returns the label of a request to the control origin: the one in its path, or that which
// it claims. It returns "" if there is none. makes says that the request makes the claim if there is none, so
// another node may do so meanwhile.
func (c *carrier) labelIn(r *http.Request) (label string, makes bool) {
	at := chi.NewRouteContext()
	matched := c.mux.Match(at, r.Method, r.URL.Path)
	if label = at.URLParam("label"); !matched || label != "" || at.URLParam("*") != "" {
		for _, d := range c.doors {
			if d.LabelOf == nil {
				continue
			}
			if of := d.LabelOf(r); of != "" {
				return of, true
			}
		}
	}
	if label != "" {
		return label, false
	}
	return labelClaimed(r), true
}

// labelClaimed returns the label that a request claims, or "".
func labelClaimed(r *http.Request) string {
	switch {
	case r.Method != http.MethodPost:
	case r.URL.Path == "/claims":
		var ask struct {
			Label string `json:"label"`
		}
		_ = json.Unmarshal(peek(r), &ask) // the node that serves the request reports what is wrong with it
		return ask.Label
	case r.URL.Path == "/reversehttp":
		form, _ := url.ParseQuery(strings.TrimSpace(string(peek(r))))
		if form.Get("name") == "" {
			form = r.URL.Query()
		}
		return strings.ToLower(form.Get("name"))
	}
	return ""
}

// mostPeek is how much content is read to find a label, in bytes. Requests that claim have no more.
const mostPeek = 16 << 10

// peek returns the content of r, or the beginning that can be that of a request that claims, and leaves
// all of it to be read again.
func peek(r *http.Request) []byte {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength > mostPeek {
		return nil
	}
	content, err := io.ReadAll(io.LimitReader(r.Body, mostPeek))
	var rest io.Reader = r.Body
	if err != nil {
		rest = unreadable{err}
	}
	r.Body = peeked{io.MultiReader(bytes.NewReader(content), rest), r.Body}
	return content
}

// peeked is content whose beginning was read before.
type peeked struct {
	io.Reader
	io.Closer
}

// unreadable is content that could not be read.
type unreadable struct{ err error }

// Read returns the error.
func (f unreadable) Read([]byte) (int, error) { return 0, f.err }
