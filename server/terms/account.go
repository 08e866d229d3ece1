package terms

import (
	"encoding/json"
	"errors"
	"net/netip"

	"reversehttp/server/claim"
)

// Account is the name of the member that says who made a claim. It is kept with the claim, and no owner sets it.
const Account = "account"

// Maker is that member.
type Maker struct {
	// Name is that of an account; empty where it has none.
	Name string `json:"name,omitempty"`
	// Until is when that account ends, in seconds since 1970. Zero is never.
	Until int64 `json:"until,omitempty"`
	// Address is that of the subscriber whose program made the claim. The zero value is unknown.
	Address netip.Prefix `json:"address,omitzero"`
	// MadeMs is when the claim was made, in milliseconds since 1970. Zero is unknown.
	MadeMs int64 `json:"madeMs,omitempty"`
	// Keyed says that whoever made it showed a key, or is listed by the operator: it is no stranger.
	Keyed bool `json:"keyed,omitempty"`
}

// Shown is that of [claim.Term]: the owner is told the name, where there is one.
func (m Maker) Shown() any {
	if m.Name == "" {
		return nil
	}
	return shownMaker(m)
}

// shownMaker is what is told of who made a claim.
type shownMaker Maker

// MarshalJSON implements [json.Marshaler].
func (m shownMaker) MarshalJSON() ([]byte, error) { return json.Marshal(m.Name) }

// Policy is the name of the member that has what the gateway enforces for a claim.
const Policy = "policy"

// ReadPolicy reads a policy as the operator gives it, for claims of an account. What is no policy is an error, and so is an empty one.
func ReadPolicy(value []byte) (claim.Term, error) {
	s, err := Read(Asked{Members: map[string]json.RawMessage{Policy: value}})
	switch {
	case err != nil:
		return nil, err
	case s.Others[Policy] == nil:
		return nil, errors.New("it is empty")
	}
	return s.Others[Policy], nil
}

// MadeBy has a new claim say who made it.
func MadeBy(s *claim.Settings, m Maker) {
	if m != (Maker{}) {
		fresh(s, Account, m)
	}
}

// Begins has a new claim begin with a policy, unless its owner gives one.
func Begins(s *claim.Settings, policy claim.Term) {
	if policy != nil {
		fresh(s, Policy, policy)
	}
}

// fresh gives a new claim a term.
func fresh(s *claim.Settings, name string, t claim.Term) {
	if s.Fresh == nil {
		s.Fresh = make(map[string]claim.Term)
	}
	s.Fresh[name] = t
}

// MadeAnew has a claim that exists say so of a maker that changed.
func MadeAnew(s *claim.Settings, m Maker) {
	if s.Others == nil {
		s.Others = make(map[string]claim.Term)
	}
	s.Others[Account] = m
}

// MakerOf returns who made a claim that has these terms.
func MakerOf(t claim.Terms) Maker {
	m, _ := t.Others[Account].(Maker)
	return m
}

// Made returns who made a claim. It is the zero value where that is unknown, and for a nil claim.
func Made(c *claim.Claim) Maker {
	if c == nil {
		return Maker{}
	}
	m, _ := claim.TermOf(c, Account).(Maker)
	return m
}

// AccountOf returns the name of the account that made a claim; empty where none did that has a name, and for a nil claim.
func AccountOf(c *claim.Claim) string { return Made(c).Name }

func init() {
	Add(Member{
		Name: Account,
		Read: func(value []byte) (claim.Term, error) {
			var m Maker
			if err := json.Unmarshal(value, &m); err != nil {
				return nil, errors.New("an account is shown by its key, and set by nobody")
			}
			return m, nil
		},
		Example: `{"name":"ann","address":"192.0.2.1/32"}`,
	})
}
