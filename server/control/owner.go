package control

import (
	"context"
	"net/http"

	"github.com/go-chi/chi/v5"

	"reversehttp/schema"
	"reversehttp/server/admission"
	"reversehttp/server/claim"
	"reversehttp/server/problem"
)

// Owned lets the owner of a live claim through to next.
func (c *Claims) Owned(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		of := c.Registry.Lookup(chi.URLParam(r, "label"))
		if p := authorise(r, of, schema.CodeNoClaim); p != nil {
			p.Write(w, r)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), claimKey{}, of)))
	})
}

// Serving lets the owner of a session through to next; its claim may have ended.
func (c *Claims) Serving(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		label := chi.URLParam(r, "label")
		s := c.Registry.Session(label, chi.URLParam(r, "session"))
		code, of := schema.CodeNoSession, (*claim.Claim)(nil)
		switch {
		case s != nil:
			of = s.Claim()
		case c.Registry.Lookup(label) == nil:
			code = schema.CodeNoClaim
		}
		if p := authorise(r, of, code); p != nil {
			p.Write(w, r)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), sessionKey{}, s)))
	})
}

// authorise checks that r shows the token of c. Where c is nil it says missing.
func authorise(r *http.Request, c *claim.Claim, missing schema.Code) *problem.Problem {
	token, shown := admission.Bearer(r)
	switch {
	case !shown:
		return &problem.Problem{Code: schema.CodeTokenNeeded}
	case c == nil:
		return &problem.Problem{Code: missing}
	case !c.Owns(token):
		return &problem.Problem{Code: schema.CodeTokenWrong}
	}
	return nil
}

type (
	claimKey   struct{}
	sessionKey struct{}
)

func claimOf(r *http.Request) *claim.Claim { return r.Context().Value(claimKey{}).(*claim.Claim) }

// SessionOf returns the session of a request that [Claims.Serving] let through.
func SessionOf(r *http.Request) *claim.Session {
	return r.Context().Value(sessionKey{}).(*claim.Session)
}
