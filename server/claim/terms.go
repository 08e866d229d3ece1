package claim

import (
	"errors"
	"maps"
	"net/netip"
	"time"
)

// Redeliver says which requests may be delivered again after a session is lost.
type Redeliver string

// The rules: idempotent methods; those and requests with an Idempotency-Key; all.
const (
	RedeliverIdempotent Redeliver = "idempotent"
	RedeliverKeyed      Redeliver = "keyed"
	RedeliverAny        Redeliver = "any"
)

// Terms are what the owner of a claim sets, as stored: they may hold secrets. [Shown] is what may
// be shown of them.
type Terms struct {
	Lease     time.Duration
	Timeout   time.Duration
	Redeliver Redeliver
	// Others are, by name, terms that the core keeps and does not act upon. The map is replaced,
	// never changed. Nil means none.
	Others map[string]Term
}

// Term is one of [Terms.Others]. It is immutable.
type Term interface {
	// Shown returns what may be shown of the term, without secrets. Nil means nothing.
	Shown() any
}

// Successor is a [Term] that takes over something from the term that it replaces.
type Successor interface {
	// After returns the term to keep in place of old, which is nil if there is none. It fails if old lacks
	// something that has to be taken over. The claim is locked.
	After(old Term) (Term, error)
}

// ErrTerms says that terms are refused. It is joined to the reason.
var ErrTerms = errors.New("claim: the terms are refused")

// Shown are [Terms] without secrets.
type Shown struct {
	Lease     time.Duration
	Timeout   time.Duration
	Redeliver Redeliver
	Others    map[string]any
}

// shown returns the terms without their secrets.
func (t Terms) shown() Shown {
	s := Shown{Lease: t.Lease, Timeout: t.Timeout, Redeliver: t.Redeliver}
	for name, term := range t.Others {
		if shown := term.Shown(); shown != nil {
			if s.Others == nil {
				s.Others = make(map[string]any)
			}
			s.Others[name] = shown
		}
	}
	return s
}

// Settings are the settings of a claim that its owner chooses. A nil member means the default for a
// new claim, and no change for an existing one.
type Settings struct {
	Lease     *time.Duration
	Timeout   *time.Duration
	Redeliver *Redeliver
	// Others replaces terms whole. A nil term is removed.
	Others map[string]Term
	// Fresh are terms of a new claim, unless Others have a term of that name.
	Fresh map[string]Term
	// Token is the new token of an existing claim.
	Token *string
	// By is the address that sets them; the zero value is no address.
	By netip.Addr
}

// none reports whether no member is set.
func (s Settings) none() bool {
	return s.Lease == nil && s.Timeout == nil && s.Redeliver == nil && s.Token == nil && len(s.Others) == 0
}

// in returns r with these settings applied. It fails with [ErrTerms].
func (s Settings) in(r Record) (Record, error) {
	if s.Lease != nil {
		r.Lease = *s.Lease
	}
	if s.Timeout != nil {
		r.Timeout = *s.Timeout
	}
	if s.Redeliver != nil {
		r.Redeliver = *s.Redeliver
	}
	if s.Token != nil {
		r.Token = HashToken(*s.Token)
	}
	if len(s.Others) == 0 {
		return r, nil
	}
	others := make(map[string]Term)
	maps.Copy(others, r.Others)
	for name, term := range s.Others {
		if next, ok := term.(Successor); ok {
			var err error
			if term, err = next.After(r.Others[name]); err != nil {
				return r, errors.Join(ErrTerms, err)
			}
		}
		if others[name] = term; term == nil {
			delete(others, name)
		}
	}
	if r.Others = others; len(others) == 0 {
		r.Others = nil
	}
	return r, nil
}

// fit returns why a claim cannot be given these terms, joined to [ErrTerms]; nil if it can.
func (o *Options) fit(t Terms) error {
	if o.Fits == nil {
		return nil
	}
	if err := o.Fits(t); err != nil {
		return errors.Join(ErrTerms, err)
	}
	return nil
}
