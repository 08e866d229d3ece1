package claim

import "time"

// Redeliver is which requests may be delivered again after a lost session.
type Redeliver string

// The rules: idempotent methods; those and requests with an Idempotency-Key; all.
const (
	RedeliverIdempotent Redeliver = "idempotent"
	RedeliverKeyed      Redeliver = "keyed"
	RedeliverAny        Redeliver = "any"
)

// Terms are what the owner of a claim sets.
type Terms struct {
	Lease     time.Duration
	Timeout   time.Duration
	Redeliver Redeliver
}

// Settings of a claim that its owner chooses. A nil member means the default
// for a new claim, and no change for one that exists.
type Settings struct {
	Lease     *time.Duration
	Timeout   *time.Duration
	Redeliver *Redeliver
	// Token is the new token of a claim that exists.
	Token *string
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
	return r
}
