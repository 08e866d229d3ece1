package claim

import (
	"maps"
	"time"
)

// Redeliver is which requests may be delivered again after a lost session.
type Redeliver string

// The rules: idempotent methods; those and requests with an Idempotency-Key; all.
const (
	RedeliverIdempotent Redeliver = "idempotent"
	RedeliverKeyed      Redeliver = "keyed"
	RedeliverAny        Redeliver = "any"
)

// The bounds of what an owner may set.
const (
	ShortestLease, LongestLease     = time.Second, 24 * time.Hour
	ShortestTimeout, LongestTimeout = time.Second, 10 * time.Minute
)

// Terms are what the owner of a claim sets, as they are kept: they may hold secrets. What is told
// of them is [Terms.Shown].
type Terms struct {
	Lease     time.Duration
	Timeout   time.Duration
	Redeliver Redeliver
	// Others are, by name, those that the core keeps and does not act upon. The map is replaced,
	// never changed. Nil means none.
	Others map[string]Term
}

// Term is one of [Terms.Others]. It is not changed.
type Term interface {
	// Shown returns what may be told of it, which is no secret. Nil means nothing.
	Shown() any
}

// Shown are [Terms] as they may be told: without secrets.
type Shown struct {
	Lease     time.Duration
	Timeout   time.Duration
	Redeliver Redeliver
	Others    map[string]any
}

// Shown returns the terms without their secrets.
func (t Terms) Shown() Shown {
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

// Settings of a claim that its owner chooses. A nil member means the default
// for a new claim, and no change for one that exists.
type Settings struct {
	Lease     *time.Duration
	Timeout   *time.Duration
	Redeliver *Redeliver
	// Others replace terms whole. One that is nil ends.
	Others map[string]Term
	// Token is the new token of a claim that exists.
	Token *string
}

// Check fails with a [*TermError] where a setting is out of bounds. The others are checked by who
// reads them.
func (s Settings) Check() error {
	switch {
	case s.Lease != nil && (*s.Lease < ShortestLease || *s.Lease > LongestLease):
		return &TermError{"lease"}
	case s.Timeout != nil && (*s.Timeout < ShortestTimeout || *s.Timeout > LongestTimeout):
		return &TermError{"timeout"}
	}
	if s.Redeliver != nil {
		switch *s.Redeliver {
		case RedeliverIdempotent, RedeliverKeyed, RedeliverAny:
		default:
			return &TermError{"redeliver"}
		}
	}
	return nil
}

// TermError says which of the settings is out of bounds: lease, timeout or redeliver.
type TermError struct{ Term string }

// Error returns the text of the error.
func (e *TermError) Error() string { return "claim: bad " + e.Term }

// none reports whether nothing is set.
func (s Settings) none() bool {
	return s.Lease == nil && s.Timeout == nil && s.Redeliver == nil && s.Token == nil && len(s.Others) == 0
}

// in returns a record with the settings that are given.
func (s Settings) in(r Record) Record {
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
		return r
	}
	others := make(map[string]Term)
	maps.Copy(others, r.Others)
	for name, term := range s.Others {
		if others[name] = term; term == nil {
			delete(others, name)
		}
	}
	if r.Others = others; len(others) == 0 {
		r.Others = nil
	}
	return r
}
