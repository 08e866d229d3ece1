// Package terms reads the settings of a claim, from requests of its owner and from storage.
//
// The core has lease, timeout and redeliver. Each other setting is one file here: a type whose JSON
// is stored, its method Shown, and a call of [Add]. No other code needs to know it.
package terms

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"reversehttp/schema"
	"reversehttp/server/claim"
)

// Bounds of the settings of the core.
const (
	ShortestLease, LongestLease     = time.Second, 24 * time.Hour
	ShortestTimeout, LongestTimeout = time.Second, 10 * time.Minute
)

// Member is a member of the requests that set up a claim and of the answers that describe it.
type Member struct {
	// Name is the name of the member.
	Name string
	// Read decodes and checks a value from an owner or from storage. The term is stored as its
	// JSON, from which Read must return an equal term. Owners see its error, which may be an
	// [*Error] with more detail.
	Read func(value []byte) (claim.Term, error)
	// Given reads a value that an owner sent from an address, if that differs from the stored form.
	// Nil means Read.
	Given func(value []byte, from netip.Addr) (claim.Term, error)
	// Example is an example value. Every secret in it is a string that begins with "secret-".
	Example string
}

var members = map[string]Member{}

// Add adds a member. Call it before any claim is read. It returns a function that removes the
// member, for tests.
func Add(m Member) (remove func()) {
	if _, ok := members[m.Name]; ok {
		panic("terms: two members " + m.Name)
	}
	members[m.Name] = m
	return func() { delete(members, m.Name) }
}

// Error is the error for an invalid member.
type Error struct {
	Code schema.Code
	// Member is the name of the member. For a nested member it continues like a JSON Pointer:
	// "policy/ip".
	Member string
	// Detail is for people. Empty means the default text of the code.
	Detail string
}

// Error returns the text of the error.
func (e *Error) Error() string { return fmt.Sprintf("terms: %s: %s %s", e.Member, e.Code, e.Detail) }

// Asked holds what a program requests for a claim, except for label and token.
type Asked struct {
	Lease     *int
	TimeoutMs *int
	Redeliver *schema.Redeliver
	// LongestLease is the longest lease that the sender may request. Zero means the constant
	// [LongestLease].
	LongestLease time.Duration
	// Members has all members as they came, including the three above.
	Members map[string]json.RawMessage
	// From is the address of the sender. The zero value means that senders cannot be distinguished.
	From netip.Addr
}

// Read checks what a program requests and returns the settings. Its error is an [*Error].
func Read(a Asked) (s claim.Settings, err error) {
	if a.Lease != nil {
		s.Lease = new(times(*a.Lease, time.Second))
	}
	if a.TimeoutMs != nil {
		s.Timeout = new(times(*a.TimeoutMs, time.Millisecond))
	}
	if a.Redeliver != nil {
		s.Redeliver = new(claim.Redeliver(*a.Redeliver))
	}
	if err := check(s, cmp.Or(a.LongestLease, LongestLease)); err != nil {
		return claim.Settings{}, err
	}
	for name, value := range a.Members {
		m, ok := members[name]
		if !ok || string(value) == "null" {
			continue
		}
		var term claim.Term
		if !empty(value) {
			if m.Given != nil {
				term, err = m.Given(value, a.From)
			} else {
				term, err = m.Read(value)
			}
			if e, ok := errors.AsType[*Error](err); ok {
				return claim.Settings{}, e
			}
			if err != nil {
				return claim.Settings{}, &Error{schema.CodeBadMember, name, err.Error()}
			}
		}
		if s.Others == nil {
			s.Others = make(map[string]claim.Term)
		}
		s.Others[name] = term
	}
	return s, nil
}

// times multiplies without overflow: values far out of bounds stay out of bounds.
func times(n int, unit time.Duration) time.Duration {
	return time.Duration(min(max(n, -1), 1<<30)) * unit
}

// check returns an error if a setting of the core is out of bounds.
func check(s claim.Settings, longest time.Duration) error {
	switch {
	case s.Lease != nil && (*s.Lease < ShortestLease || *s.Lease > longest):
		return &Error{schema.CodeBadLease, "lease", fmt.Sprintf("A lease is a whole number of seconds from 1 to %d here.", longest/time.Second)}
	case s.Timeout != nil && (*s.Timeout < ShortestTimeout || *s.Timeout > LongestTimeout):
		return &Error{schema.CodeBadMember, "timeoutMs", "timeoutMs is a whole number of milliseconds from 1000 to 600000."}
	}
	if s.Redeliver != nil {
		switch *s.Redeliver {
		case claim.RedeliverIdempotent, claim.RedeliverKeyed, claim.RedeliverAny:
		default:
			return &Error{schema.CodeBadMember, "redeliver", "redeliver is idempotent, keyed or any."}
		}
	}
	return nil
}

// empty reports whether a value is an empty object, list or string, which removes a member.
func empty(value json.RawMessage) bool {
	var v any
	if json.Unmarshal(value, &v) != nil {
		return false
	}
	switch v := v.(type) {
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	case string:
		return v == ""
	}
	return false
}

// Kept reads stored terms from their JSON. Terms of unknown names are kept unchanged.
func Kept(values map[string]json.RawMessage) (terms map[string]claim.Term, err error) {
	for name, value := range values {
		term := claim.Term(unknown(value))
		if m, ok := members[name]; ok {
			if term, err = m.Read(value); err != nil {
				return nil, fmt.Errorf("terms: %s: %w", name, err)
			}
		}
		if terms == nil {
			terms = make(map[string]claim.Term)
		}
		terms[name] = term
	}
	return terms, nil
}

// unknown is a term that another version of the gateway stored.
type unknown json.RawMessage

func (unknown) Shown() any                     { return nil }
func (u unknown) MarshalJSON() ([]byte, error) { return u, nil }

// Keep returns the JSON that [Kept] reads.
func Keep(terms map[string]claim.Term) (values map[string]json.RawMessage, err error) {
	for name, term := range terms {
		value, err := json.Marshal(term)
		if err != nil {
			return nil, fmt.Errorf("terms: %s: %w", name, err)
		}
		if values == nil {
			values = make(map[string]json.RawMessage)
		}
		values[name] = value
	}
	return values, nil
}

// With is a JSON object extended by the terms that are shown to owners.
type With struct {
	Object any
	Others map[string]any
}

// MarshalJSON implements [json.Marshaler].
func (w With) MarshalJSON() ([]byte, error) {
	object, err := json.Marshal(w.Object)
	if err != nil || len(w.Others) == 0 {
		return object, err
	}
	others, err := json.Marshal(w.Others)
	if err != nil {
		return nil, err
	}
	object[len(object)-1] = ','
	return append(object, others[1:]...), nil
}
