package control

import (
	"context"
	"net/http"
	"net/netip"
	"strings"

	"github.com/go-chi/chi/v5"

	"reversehttp/schema"
	"reversehttp/server/admission"
	"reversehttp/server/claim"
	"reversehttp/server/problem"
	"reversehttp/server/terms"
)

// Owned calls next for the owner of a live claim.
func (c *Claims) Owned(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		of := c.Registry.Lookup(chi.URLParam(r, "label"))
		if p := c.authorise(r, of, false); p != nil {
			p.Write(w, r)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), claimKey{}, of)))
	})
}

// Looking calls next for the owner or a viewer of a live claim.
func (c *Claims) Looking(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		of := c.Registry.Lookup(chi.URLParam(r, "label"))
		if p := c.authorise(r, of, true); p != nil {
			p.Write(w, r)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), claimKey{}, of)))
	})
}

// authorise checks that r shows the token of a claim; if looks is true, a viewer's token is enough.
func (c *Claims) authorise(r *http.Request, of *claim.Claim, looks bool) *problem.Problem {
	token, shown := admission.Bearer(r)
	switch {
	case !shown:
		return &problem.Problem{Code: schema.CodeTokenNeeded}
	case of == nil:
		return &problem.Problem{Code: schema.CodeNoClaim}
	}
	owns := of.Owns(token)
	views := !owns && terms.MayLook(of, token)
	if p := c.Admission.Shown(c.Admission.From(r), owns || views); p != nil {
		return p
	}
	switch {
	case owns, views && looks:
		return nil
	case views:
		return problem.New(schema.CodeTokenWrong, "This token may look at the claim and its recordings, and change nothing.")
	}
	return wrong(token)
}

// wrong returns the problem of a token that is not the claim's.
func wrong(token string) *problem.Problem {
	p := &problem.Problem{Code: schema.CodeTokenWrong}
	for _, kind := range []claim.Kind{claim.OwnerToken, claim.ViewerToken} {
		if strings.HasPrefix(token, string(kind)) && claim.KindOf(token) != kind {
			p.Detail = "This is not the token of the claim, nor any that a gateway minted: it was cut or mistyped."
		}
	}
	return p
}

// Serving calls next for the owner of a session, whose claim may have ended.
func (c *Claims) Serving(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, shown := admission.Bearer(r)
		if !shown {
			(&problem.Problem{Code: schema.CodeTokenNeeded}).Write(w, r)
			return
		}
		s, p := c.sessionFor(c.Admission.From(r), chi.URLParam(r, "label"), chi.URLParam(r, "session"), token)
		if p != nil {
			p.Write(w, r)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), sessionKey{}, s)))
	})
}

// sessionFor returns a session if the token, shown from an address, is its claim's.
func (c *Claims) sessionFor(from netip.Addr, label, session, token string) (*claim.Session, *problem.Problem) {
	s := c.Registry.Session("", label, session)
	if s == nil {
		var p *problem.Problem
		if s, p = c.adopted(from, label, session, token); p != nil {
			return nil, p
		}
	}
	right, p := c.Admission.Serves(from, s, token)
	if !right && p == nil {
		p = wrong(token)
	}
	return s, p
}

// adopted returns a session that another node made, if its claim was taken over from that node lately
// and the token is the claim's.
func (c *Claims) adopted(from netip.Addr, label, session, token string) (*claim.Session, *problem.Problem) {
	of := c.Registry.Lookup(label)
	if of == nil {
		return nil, &problem.Problem{Code: schema.CodeNoClaim}
	}
	var s *claim.Session
	if claim.Adopts(of) {
		owns := of.Owns(token)
		if p := c.Admission.Shown(from, owns); p != nil {
			return nil, p
		}
		if owns {
			s = claim.Adopt(of, session)
		}
	}
	if s == nil {
		return nil, &problem.Problem{Code: schema.CodeNoSession}
	}
	return s, nil
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
