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
	"reversehttp/server/wire"
)

// Elsewhere is the other nodes of a cluster: each claim is kept by one node, its home, and requests
// for it may reach any node.
type Elsewhere interface {
	// Visit has the home of the claim of a label serve a visitor's request, which counts in hold. If
	// this node was the home until now, before is what the new one has to know, which may be this node again;
	// otherwise nil. Visit reports false, and has done nothing, if this node is the home, or no node is.
	Visit(w http.ResponseWriter, r *http.Request, label string, hold *budget.Hold, before *claim.Note) bool
	// Pass does the same with a program's request. Once Leave was called it also carries requests for
	// the claims of this node, to itself, so that they can go on at another node.
	Pass(w http.ResponseWriter, r *http.Request, label string) bool
	// Has reports whether a node keeps the claim of a label, as far as this one knows.
	Has(label string) bool
	// EntryOf returns the node that accepted a request and carried it here, or nil if this one did.
	EntryOf(r *http.Request) claim.Entry
	// Leave hands the claims that this node keeps over to other nodes, until ctx ends, and returns
	// once no more can be handed over.
	Leave(ctx context.Context)
	// Part has the homes of claims answer the polls that this node carries, and end its links.
	Part()
}

// carrier has other nodes serve requests for the claims that they keep.
type carrier struct {
	others Elsewhere
	mux    *chi.Mux // of the control origin
}

// newCarrier returns the carrier of a gateway, or nil if it is alone.
func newCarrier(g *Gateway, mux *chi.Mux) *carrier {
	if g.options.Elsewhere == nil {
		return nil
	}
	return &carrier{g.options.Elsewhere, mux}
}

// visits has another node serve a visitor's request for a claim that it keeps, and reports whether it
// did. If this node kept the claim until now, before is its note. A request that another node carried
// here goes back to it instead.
func (c *carrier) visits(w http.ResponseWriter, r *http.Request, label string, hold *budget.Hold, before *claim.Note) bool {
	return !wire.IsCarried(r) && c.others.Visit(w, r, label, hold, before)
}

// passes does the same with a program's request. A nil carrier does nothing.
func (c *carrier) passes(w http.ResponseWriter, r *http.Request) bool {
	if c == nil || wire.IsCarried(r) {
		return false
	}
	label := c.labelIn(r)
	return label != "" && c.others.Pass(w, r, label)
}

// labelIn returns the label of a request to the control origin: the one in its path, or that which
// it claims. It returns "" if there is none.
func (c *carrier) labelIn(r *http.Request) string {
	at := chi.NewRouteContext()
	if !c.mux.Match(at, r.Method, r.URL.Path) {
		return ""
	}
	if label := at.URLParam("label"); label != "" {
		return label
	}
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
