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
	// Address is that of the subscriber whose program made the claim. The zero value is unknown.
	Address netip.Prefix `json:"address,omitzero"`
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

// MadeBy has a new claim say who made it.
func MadeBy(s *claim.Settings, m Maker) {
	if m == (Maker{}) {
		return
	}
	if s.Fresh == nil {
		s.Fresh = make(map[string]claim.Term)
	}
	s.Fresh[Account] = m
}

// MakerOf returns who made a claim that has these terms.
func MakerOf(t claim.Terms) Maker {
	m, _ := t.Others[Account].(Maker)
	return m
}

// AccountOf returns the name of the account that made a claim; empty where none did, or there is no claim.
func AccountOf(c *claim.Claim) string {
	if c == nil {
		return ""
	}
	m, _ := c.State().Others[Account].(shownMaker)
	return m.Name
}

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
