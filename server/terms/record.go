package terms

import (
	"encoding/json"
	"errors"
	"time"

	"reversehttp/server/claim"
)

// Record is the JSON of the record of a claim or a released label, for each place that stores it. A
// struct with further members may embed it. It holds secrets of the owner.
type Record struct {
	Token     []byte `json:"token"` // SHA-256
	LeaseMs   int64  `json:"leaseMs"`
	TimeoutMs int64  `json:"timeoutMs"`
	Redeliver string `json:"redeliver"`
	Unpolled  bool   `json:"unpolled,omitempty"`
	// The past of the label. Times are in milliseconds since 1970; 0 means none.
	Past       string `json:"past,omitempty"`
	Minted     bool   `json:"minted,omitempty"`
	BegunMs    int64  `json:"begunMs,omitempty"`
	ReleasedMs int64  `json:"releasedMs,omitempty"`
	UntilMs    int64  `json:"untilMs,omitempty"`
	// Terms are the terms that the core does not act upon.
	Terms map[string]json.RawMessage `json:"terms,omitempty"`
}

// RecordOf returns the JSON form of a record. The label is not part of it.
func RecordOf(c claim.Record) (Record, error) {
	others, err := Keep(c.Others)
	if err != nil {
		return Record{}, err
	}
	return Record{
		Token: c.Token[:], LeaseMs: c.Lease.Milliseconds(), TimeoutMs: c.Timeout.Milliseconds(), Redeliver: string(c.Redeliver), Unpolled: c.Unpolled,
		Past: c.Past, Minted: c.Minted, BegunMs: millis(c.Begun), ReleasedMs: millis(c.Released), UntilMs: millis(c.Until),
		Terms: others,
	}, nil
}

// errToken is the error for a record that no token could own.
var errToken = errors.New("terms: the hash of the token has the wrong length")

// Claim returns the record of a label. It fails if a term cannot be read: without it, the claim
// would lack what its owner relies on.
func (r Record) Claim(label string) (claim.Record, error) {
	if len(r.Token) != len(claim.TokenHash{}) {
		return claim.Record{}, errToken
	}
	others, err := Kept(r.Terms)
	if err != nil {
		return claim.Record{}, err
	}
	return claim.Record{
		Label: label, Token: claim.TokenHash(r.Token), Unpolled: r.Unpolled,
		Terms: claim.Terms{
			Lease: time.Duration(r.LeaseMs) * time.Millisecond, Timeout: time.Duration(r.TimeoutMs) * time.Millisecond,
			Redeliver: claim.Redeliver(r.Redeliver), Others: others,
		},
		History: claim.History{Past: r.Past, Minted: r.Minted, Begun: moment(r.BegunMs), Released: moment(r.ReleasedMs), Until: moment(r.UntilMs)},
	}, nil
}

// moment converts a time in a record to a [time.Time], and millis converts it back.
func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
