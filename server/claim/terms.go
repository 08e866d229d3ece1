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

// Terms are what the owner of a claim sets, as they are kept: they may hold secrets. What is told
// of them is [Shown].
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
