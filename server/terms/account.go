package terms

import (
	"encoding/json"
	"errors"
	"net/netip"

	"reversehttp/server/claim"
)

// Account is the name of the member that says who made a claim. It is stored with the claim, and
// owners cannot set it.
const Account = "account"

// Maker is the value of that member.
type Maker struct {
	// Name is the name of the account. Empty means none.
	Name string `json:"name,omitempty"`
	// Until is when that account ends, in seconds since 1970. Zero means never.
	Until int64 `json:"until,omitempty"`
	// Address is the prefix of the subscriber whose program made the claim. The zero value means
	// unknown.
	Address netip.Prefix `json:"address,omitzero"`
	// MadeMs is when the claim was made, in milliseconds since 1970. Zero means unknown.
	MadeMs int64 `json:"madeMs,omitempty"`
	// Keyed says that the maker is not a stranger: they showed a key, or the operator listed them.
	Keyed bool `json:"keyed,omitempty"`
}

// Shown implements [claim.Term]. It shows owners the name, if there is one.
func (m Maker) Shown() any {
	if m.Name == "" {
		return nil
	}
	return shownMaker(m)
}

// shownMaker is what owners see of a [Maker].
type shownMaker Maker

// MarshalJSON implements [json.Marshaler].
func (m shownMaker) MarshalJSON() ([]byte, error) { return json.Marshal(m.Name) }

// Policy is the name of the member with what the gateway enforces for a claim.
const Policy = "policy"

// ReadPolicy reads a policy that the operator sets for the claims of an account. It returns an
// error if the policy is invalid or empty.
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

// MadeBy sets the maker of a new claim.
func MadeBy(s *claim.Settings, m Maker) {
	if m != (Maker{}) {
		fresh(s, Account, m)
	}
}

// Begins sets the policy that a new claim begins with, unless its owner sets one.
func Begins(s *claim.Settings, policy claim.Term) {
	if policy != nil {
		fresh(s, Policy, policy)
	}
}

// fresh sets a term of a new claim.
func fresh(s *claim.Settings, name string, t claim.Term) {
	if s.Fresh == nil {
		s.Fresh = make(map[string]claim.Term)
	}
	s.Fresh[name] = t
}

// MadeAnew changes the maker of an existing claim.
func MadeAnew(s *claim.Settings, m Maker) {
	if s.Others == nil {
		s.Others = make(map[string]claim.Term)
	}
	s.Others[Account] = m
}

// MakerOf returns the maker in the terms of a claim.
func MakerOf(t claim.Terms) Maker {
	m, _ := t.Others[Account].(Maker)
	return m
}

// Made returns who made a claim. It is the zero value if that is unknown, and for a nil claim.
func Made(c *claim.Claim) Maker {
	if c == nil {
		return Maker{}
	}
	m, _ := claim.TermOf(c, Account).(Maker)
	return m
}

// AccountOf returns the name of the account that made a claim. It is empty if no named account did,
// and for a nil claim.
func AccountOf(c *claim.Claim) string { return Made(c).Name }

func init() {
	Add(Member{
		Name: Account,
		Read: func(value []byte) (claim.Term, error) {
			var m Maker
			if err := json.Unmarshal(value, &m); err != nil {
				return nil, errors.New("account cannot be set; show the key of the account instead")
			}
			return m, nil
		},
		Example: `{"name":"ann","address":"192.0.2.1/32"}`,
	})
}
