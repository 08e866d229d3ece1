package admission

import (
	"crypto/subtle"
	"net/http"
	"net/netip"
	"slices"

	"reversehttp/schema"
	"reversehttp/server/claim"
	"reversehttp/server/problem"
)

// NewWeak returns what reports whether a token is too short to be chosen for a label. The operator's
// own may be short: those of owned, for their labels, and shared, for any.
func NewWeak(owned map[string]string, shared []string) func(label, token string) bool {
	return func(label, token string) bool {
		return len(token) < claim.ShortestToken && !owns(owned, label, token) && !slices.Contains(shared, token)
	}
}

// owns reports whether the operator gave a label to a token.
func owns(owned map[string]string, label, token string) bool {
	owner, ok := owned[label]
	return ok && subtle.ConstantTimeCompare([]byte(owner), []byte(token)) == 1
}

// From returns the address whose wrong tokens count with those that r shows, or the zero value where
// senders cannot be told apart: where they come by a proxy that does not say whom it speaks for.
func (a *Admission) From(r *http.Request) netip.Addr { return a.Trust.AddressApart(r) }

// Shown is called with whether a token was right that an address showed, see [Guesses.Judge]. It
// returns nil where that may be told.
func (a *Admission) Shown(from netip.Addr, right bool) *problem.Problem {
	wait := a.Guesses.Judge(from, right)
	if wait <= 0 {
		return nil
	}
	return &problem.Problem{Code: schema.CodeRateLimited, After: wait,
		Detail: "Your address showed too many wrong tokens. It may show tokens again when a minute is over; sessions that are open go on."}
}

// ShownFor is Shown for a token that is shown to serve a label. One that nobody owns has no token to
// guess, and whoever shows none does not guess.
func (a *Admission) ShownFor(from netip.Addr, label, token string, of *claim.Claim) *problem.Problem {
	_, owned := a.Owned[label]
	switch {
	case token == "":
		return nil
	case of != nil:
		return a.Shown(from, of.Owns(token))
	case owned:
		return a.Shown(from, owns(a.Owned, label, token))
	}
	return nil
}

// Serves reports whether token owns a session, which goes on from where its owner showed it before,
// whatever else comes from there.
func (a *Admission) Serves(from netip.Addr, s *claim.Session, token string) (right bool, p *problem.Problem) {
	right = s.Claim().Owns(token)
	if right && (a.Guesses == nil || s.Known.Has(from)) {
		return true, nil
	}
	if p = a.Shown(from, right); right && p == nil {
		s.Known.Add(from)
	}
	return right, p
}
