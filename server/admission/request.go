package admission

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"reversehttp/schema"
	"reversehttp/server/account"
	"reversehttp/server/budget"
	"reversehttp/server/claim"
	"reversehttp/server/problem"
	"reversehttp/server/terms"
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
	// Accounts have keys of their own. Nil means none.
	Accounts *account.Directory
	// Brands are names that strangers may not have in a label. Nil means none.
	Brands *Brands
}

// KeyNeeded reports whether only holders of a key may claim.
func (a *Admission) KeyNeeded() bool { return a.Keys.Needed() || !a.Accounts.Accounts().Strangers() }

// MayClaim checks the key, where one is needed or shown, and the rate. It returns who claims, or why r may not.
func (a *Admission) MayClaim(r *http.Request) (account.Holder, *problem.Problem) {
	if p := a.TooOften(r); p != nil {
		return account.Holder{}, p
	}
	key, shown := Bearer(r)
	switch {
	case !a.Keys.Needed() && a.Accounts == nil, !shown && !a.KeyNeeded():
		return account.Holder{}, nil
	case a.Keys.Valid(key):
		return account.Holder{Keyed: true}, nil
	case !shown:
		return account.Holder{}, &problem.Problem{Code: schema.CodeKeyNeeded}
	}
	holder, why := a.Accounts.Holder(key)
	if why != "" { // and no stranger, who would have other rights than they think
		return account.Holder{}, problem.New(schema.CodeKeyWrong, why)
	}
	return holder, nil
}

// HolderOf returns who shows a key, or why r shows none. It counts in the rate of claiming.
func (a *Admission) HolderOf(r *http.Request) (account.Holder, *problem.Problem) {
	if _, shown := Bearer(r); !shown || !a.Keys.Needed() && a.Accounts == nil {
		if p := a.TooOften(r); p != nil {
			return account.Holder{}, p
		}
		return account.Holder{}, problem.New(schema.CodeKeyNeeded, "Usage is told to holders of a key of this gateway. Send it as Authorization: Bearer <key>.")
	}
	return a.MayClaim(r)
}

// By has a new claim say who makes it: a holder, whose program sends r. A claim of that is kept for longer by a token that is newer.
func (a *Admission) By(h account.Holder, r *http.Request, of *claim.Claim, s *claim.Settings) {
	m := terms.Maker{Name: h.Name, MadeMs: time.Now().UnixMilli(), Keyed: h.Name != "" || h.Keyed}
	if !h.Until.IsZero() {
		m.Until = h.Until.Unix()
	}
	if was := terms.Made(of); m.Until > was.Until && was.Until > 0 && was.Name == m.Name {
		was.Until = m.Until
		terms.MadeAnew(s, was)
		return
	}
	m.Address = budget.Subscriber(a.From(r))
	terms.MadeBy(s, m)
	terms.Begins(s, h.Policy)
}

// MayName returns why a stranger may not claim a label anew because of how it looks; nil if they may, and for all other holders.
func (a *Admission) MayName(h account.Holder, label string) *problem.Problem {
	if _, listed := a.Owned[label]; listed || h.Name != "" || h.Keyed {
		return nil
	}
	name := a.Brands.In(label)
	if name == "" {
		return nil
	}
	return problem.New(schema.CodeLabelReserved, "This gateway lends strangers no label that looks like one of "+strconv.Quote(name)+", so that nobody takes a page for what it is not. Choose another, or claim it with a key of the gateway.")
}

// LongestLease returns the longest that a holder may ask for a claim, which is nil for a new one.
func (a *Admission) LongestLease(h account.Holder, of *claim.Claim) time.Duration {
	return max(h.Lease, a.Accounts.LeaseOf(terms.Made(of).Name))
}

// Given reports whether the operator assigned a label: to the token of a device, or to the account that [Admission.Belongs] lets claim
// it.
func (a *Admission) Given(label, token string) bool {
	return owns(a.Owned, label, token) || !a.Accounts.Accounts().May("", label)
}

// Belongs reports whether a label may be claimed with terms that say by whom: labels of accounts are for nobody else, but for
// those that the operator listed for a token.
func (a *Admission) Belongs(label string, t claim.Terms) bool {
	if _, listed := a.Owned[label]; listed {
		return true
	}
	by := terms.MakerOf(t)
	return a.Accounts.Accounts().May(by.Name, label) && (by.Keyed || a.Brands.In(label) == "")
}

// Stays reports whether a claim may go on: its account is there, or the token that it was made with is valid, and its label is
// nobody else's.
func (a *Admission) Stays(c *claim.Claim) bool {
	by, accounts := terms.Made(c), a.Accounts.Accounts()
	if _, listed := a.Owned[c.Label()]; listed {
		return true
	}
	switch {
	case by.Until != 0:
		if time.Now().Unix() >= by.Until {
			return false
		}
	case by.Name != "" && a.Accounts != nil && accounts.Named(by.Name) == nil:
		return false
	}
	return accounts.May(by.Name, c.Label())
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
	if !known && a.KeyNeeded() && !a.HoldsKey(r) {
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
