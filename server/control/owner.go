package control

import (
	"context"
	"net/http"

	"github.com/go-chi/chi/v5"

	"reversehttp/schema"
	"reversehttp/server/admission"
	"reversehttp/server/claim"
	"reversehttp/server/problem"
	"reversehttp/server/terms"
)

// Owned lets the owner of a live claim through to next.
func (c *Claims) Owned(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		of := c.Registry.Lookup(chi.URLParam(r, "label"))
		token, shown := admission.Bearer(r)
		p := authorise(token, of, schema.CodeNoClaim)
		if p != nil && of != nil && terms.MayLook(of, token) {
			p.Detail = "This token may look at the claim and its recordings, and change nothing."
		}
		if !shown {
			p = &problem.Problem{Code: schema.CodeTokenNeeded}
		}
		if p != nil {
			p.Write(w, r)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), claimKey{}, of)))
	})
}

// Looking lets the owner of a live claim, and whoever may look at it, through to next.
func (c *Claims) Looking(next http.Handler) http.Handler {
	owned := c.Owned(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		of := c.Registry.Lookup(chi.URLParam(r, "label"))
		if token, shown := admission.Bearer(r); shown && of != nil && terms.MayLook(of, token) {
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), claimKey{}, of)))
			return
		}
		owned.ServeHTTP(w, r)
	})
}

// Serving lets the owner of a session through to next; its claim may have ended.
func (c *Claims) Serving(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, shown := admission.Bearer(r)
		s, p := c.sessionFor(chi.URLParam(r, "label"), chi.URLParam(r, "session"), token)
		if !shown {
			p = &problem.Problem{Code: schema.CodeTokenNeeded}
		}
		if p != nil {
			p.Write(w, r)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), sessionKey{}, s)))
	})
}

// sessionFor returns a session for whoever shows a token.
func (c *Claims) sessionFor(label, session, token string) (*claim.Session, *problem.Problem) {
	s := c.Registry.Session("", label, session)
	code, of := schema.CodeNoSession, (*claim.Claim)(nil)
	switch {
	case s != nil:
		of = s.Claim()
	case c.Registry.Lookup(label) == nil:
		code = schema.CodeNoClaim
	}
	return s, authorise(token, of, code)
}

// authorise checks that a token is that of c. Where c is nil it says missing.
func authorise(token string, c *claim.Claim, missing schema.Code) *problem.Problem {
	switch {
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
