package admission

import (
	"encoding/base64"
	"net/http"
	"strings"

	"reversehttp/schema"
	"reversehttp/server/claim"
	"reversehttp/server/problem"
	"reversehttp/server/trust"
)

// Admission says whose requests may claim.
type Admission struct {
	Keys Keys
	// Rate bounds how often an address claims.
	Rate  *Rate
	Trust trust.Peers
	// Guesses bounds how many wrong tokens an address shows. Nil means no bound.
	Guesses *Guesses
	// Owned are labels that are only for the token of each.
	Owned map[string]string
}

// MayClaim checks the key, where one is needed, and the rate. It returns nil where r may claim.
func (a *Admission) MayClaim(r *http.Request) *problem.Problem {
	if p := a.TooOften(r); p != nil {
		return p
	}
	if !a.Keys.Needed() {
		return nil
	}
	key, shown := Bearer(r)
	switch {
	case !shown:
		return &problem.Problem{Code: schema.CodeKeyNeeded}
	case !a.Keys.Valid(key):
		return &problem.Problem{Code: schema.CodeKeyWrong}
	}
	return nil
}

// TooOften refuses a request beyond the rate of claiming, or returns nil.
func (a *Admission) TooOften(r *http.Request) *problem.Problem {
	if !a.Rate.Allow(a.Trust.Address(r)) {
		return &problem.Problem{Code: schema.CodeRateLimited}
	}
	return nil
}

// Bearer returns the secret that r shows (RFC 6750, 2.1).
func Bearer(r *http.Request) (secret string, shown bool) {
	scheme, secret, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(secret), ok && strings.EqualFold(scheme, "Bearer")
}

// MayEnter checks the rate of claiming, and the key where one is needed for a label that
// is not known: that nobody has. An error is a [problem.Problem].
func (a *Admission) MayEnter(r *http.Request, label string, known bool) error {
	if !claim.ValidLabel(label) {
		return problem.BadLabel(label)
	}
	if p := a.TooOften(r); p != nil {
		return p
	}
	if !known && a.Keys.Needed() && !a.HoldsKey(r) {
		return &problem.Problem{Code: schema.CodeKeyNeeded, Detail: "This gateway lets only holders of a key claim. Claim the label by POST /claims first, with its key and the token that you show here."}
	}
	return nil
}

// HoldsKey reports whether r shows a key of the gateway.
func (a *Admission) HoldsKey(r *http.Request) bool {
	key, _ := Bearer(r)
	return a.Keys.Valid(key)
}

// SecretOf returns the secret that r shows, as Bearer or as a password.
func SecretOf(r *http.Request) (secret string, shown bool) {
	if secret, shown = Bearer(r); shown {
		return secret, true
	}
	if scheme, coded, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Basic") {
		if pair, err := base64.StdEncoding.DecodeString(strings.TrimSpace(coded)); err == nil {
			if _, password, ok := strings.Cut(string(pair), ":"); ok {
				return password, true
			}
		}
	}
	return "", false
}
