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

// NewWeak returns a function that reports whether a token is too short to be chosen for a label.
// Tokens of the operator may be short: those in owned for their labels, and those in shared for any
// label.
func NewWeak(owned map[string]string, shared []string) func(label, token string) bool {
	return func(label, token string) bool {
		return len(token) < claim.ShortestToken && !owns(owned, label, token) && !slices.Contains(shared, token)
	}
}

// owns reports whether the operator assigned a label to a token.
func owns(owned map[string]string, label, token string) bool {
	owner, ok := owned[label]
	return ok && subtle.ConstantTimeCompare([]byte(owner), []byte(token)) == 1
}

// From returns the address for which wrong tokens in r count. It is the zero value if senders cannot be
// distinguished, because they come through a proxy that does not name them.
func (a *Admission) From(r *http.Request) netip.Addr { return a.Trust.AddressApart(r) }

// Shown takes whether a token that an address showed was right (see [Guesses.Judge]). It returns
// nil if the answer may depend on that, and otherwise the problem to answer.
func (a *Admission) Shown(from netip.Addr, right bool) *problem.Problem {
	wait := a.Guesses.Judge(from, right)
	if wait <= 0 {
		return nil
	}
	return &problem.Problem{Code: schema.CodeRateLimited, After: wait,
		Detail: "Your address showed too many wrong tokens. Try again after a minute; open sessions continue."}
}

// ShownFor is like Shown, for a token that is shown to serve a label. It returns nil for a label
// that nobody owns, which has no token to guess, and for an empty token, which is no guess.
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

// Serves reports whether token owns a session. An address from which the owner showed the token
// before may go on with it, even after wrong tokens from there.
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
