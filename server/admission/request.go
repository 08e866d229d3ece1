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

// Admission decides which requests may claim.
type Admission struct {
	Keys Keys
	// Rate bounds how often an address claims.
	Rate  *Rate
	Trust trust.Peers
	// Guesses bounds how many wrong tokens an address may show. Nil means no bound.
	Guesses *Guesses
	// Owned maps labels to the only token that may claim each. Nil means none.
	Owned map[string]string
	// Accounts are the accounts with keys of their own. Nil means none.
	Accounts *account.Directory
	// Brands are names that labels of strangers must not contain. Nil means none.
	Brands *Brands
}

// KeyNeeded reports whether only holders of a key may claim.
func (a *Admission) KeyNeeded() bool { return a.Keys.Needed() || !a.Accounts.Accounts().Strangers() }

// MayClaim checks the rate, and the key if one is needed or shown. It returns the holder who
// claims, or the problem why r may not claim.
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
	if why != "" { // not a stranger either: the sender would have fewer rights than they expect
		return account.Holder{}, problem.New(schema.CodeKeyWrong, why)
	}
	return holder, nil
}

// HolderOf returns the holder of the key that r shows, or a problem if r shows no valid key. It
// counts towards the rate of claiming.
func (a *Admission) HolderOf(r *http.Request) (account.Holder, *problem.Problem) {
	if _, shown := Bearer(r); !shown || !a.Keys.Needed() && a.Accounts == nil {
		if p := a.TooOften(r); p != nil {
			return account.Holder{}, p
		}
		return account.Holder{}, problem.New(schema.CodeKeyNeeded, "Only holders of a key of this gateway may read usage. Send the key as Authorization: Bearer <key>.")
	}
	return a.MayClaim(r)
}

// By adds the maker of a new claim to its settings: the holder, whose program sent r. If the claim
// exists and its maker shows a token that is valid for longer, By extends the claim's end.
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

// MayName returns the problem why a stranger may not make a claim of a label that looks like a
// brand. It returns nil if they may, and for all other holders.
func (a *Admission) MayName(h account.Holder, label string) *problem.Problem {
	if _, listed := a.Owned[label]; listed || h.Name != "" || h.Keyed {
		return nil
	}
	name := a.Brands.In(label)
	if name == "" {
		return nil
	}
	return problem.New(schema.CodeLabelReserved, "Strangers cannot claim a label at this gateway that looks like "+strconv.Quote(name)+": visitors could mistake its pages. Choose another label, or claim it with a key of the gateway.")
}

// LongestLease returns the longest lease that a holder may request for a claim. of is nil for a new
// claim.
func (a *Admission) LongestLease(h account.Holder, of *claim.Claim) time.Duration {
	return max(h.Lease, a.Accounts.LeaseOf(terms.Made(of).Name))
}

// Given reports whether the operator assigned a label to token, or to an account;
// [Admission.Belongs] then checks which.
func (a *Admission) Given(label, token string) bool {
	return owns(a.Owned, label, token) || !a.Accounts.Accounts().May("", label)
}

// Belongs reports whether the maker in terms may claim a label. A label of an account is reserved
// for the account, unless the operator listed it for a token.
func (a *Admission) Belongs(label string, t claim.Terms) bool {
	if _, listed := a.Owned[label]; listed {
		return true
	}
	by := terms.MakerOf(t)
	return a.Accounts.Accounts().May(by.Name, label) && (by.Keyed || a.Brands.In(label) == "")
}

// Stays reports whether a claim may go on: its account exists, or the token it was made with is
// valid, and its label does not belong to another.
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

// TooOften returns a problem for a request beyond the rate of claiming, and nil otherwise.
func (a *Admission) TooOften(r *http.Request) *problem.Problem {
	if !a.Rate.Allow(a.Trust.Address(r)) {
		return &problem.Problem{Code: schema.CodeRateLimited}
	}
	return nil
}

// Bearer returns the secret in the Authorization field of r (RFC 6750, 2.1), and whether there is
// one.
func Bearer(r *http.Request) (secret string, shown bool) {
	scheme, secret, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(secret), ok && strings.EqualFold(scheme, "Bearer")
}

// MayEnter checks the rate of claiming, and the key if one is needed for a label that is not known,
// that is, not claimed. Its error is a [problem.Problem].
func (a *Admission) MayEnter(r *http.Request, label string, known bool) error {
	if !claim.ValidLabel(label) {
		return problem.BadLabel(label)
	}
	if p := a.TooOften(r); p != nil {
		return p
	}
	if !known && a.KeyNeeded() && !a.HoldsKey(r) {
		return &problem.Problem{Code: schema.CodeKeyNeeded, Detail: "Only holders of a key may claim at this gateway. First claim the label by POST /claims, with the key and the token that you show here."}
	}
	return nil
}

// HoldsKey reports whether r shows a valid key of the gateway.
func (a *Admission) HoldsKey(r *http.Request) bool {
	key, _ := Bearer(r)
	return a.Keys.Valid(key)
}

// SecretOf returns the secret that r shows, as a Bearer token or as the password of Basic
// authentication.
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
