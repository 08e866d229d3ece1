package problem

import (
	"context"
	"net/http"

	"reversehttp/schema"
)

// GuidePath is the path, at the control origin, of the page that explains each code.
const GuidePath = "/guides/errors"

// Guide is the page that explains each code, to which the type of a problem links. Nil means that
// there is none, and problems have no type.
type Guide struct {
	types   map[schema.Code]string
	unknown *http.Request
}

// NewGuide returns the guide at a URL. The page has an anchor for each code, which is the code.
func NewGuide(url string) *Guide {
	g := &Guide{types: make(map[schema.Code]string, len(kinds))}
	for code := range kinds {
		g.types[code] = url + "#" + string(code)
	}
	g.unknown = new(http.Request).WithContext(g.In(context.Background()))
	return g
}

type guideKey struct{}

// In returns a context for all requests of a port, so that their problems link to the guide. That
// costs a request nothing.
func (g *Guide) In(ctx context.Context) context.Context {
	if g == nil {
		return ctx
	}
	return context.WithValue(ctx, guideKey{}, g)
}

// Unknown returns a request of which only the guide is known, to answer a peer with a problem that
// depends on nothing else. The caller must not change it.
func (g *Guide) Unknown() *http.Request {
	if g == nil {
		return &http.Request{}
	}
	return g.unknown
}

// guideOf returns the guide of the gateway that got r, or nil.
func guideOf(r *http.Request) *Guide {
	g, _ := r.Context().Value(guideKey{}).(*Guide)
	return g
}

// typeOf returns the type of problems with a code; empty means none.
func (g *Guide) typeOf(code schema.Code) string {
	if g == nil {
		return ""
	}
	return g.types[code]
}
