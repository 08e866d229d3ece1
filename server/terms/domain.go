package terms

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"

	"reversehttp/server/claim"
)

// Domain is the name of the member that has a domain of the owner's own lead to the claim.
const Domain = "domain"

// domain is that member: a host name in lower case, without a final dot.
type domain string

// Shown is that of [claim.Term].
func (d domain) Shown() any { return string(d) }

// DomainOf returns the domain of a claim that has these terms, or "".
func DomainOf(t claim.Terms) string {
	d, _ := t.Others[Domain].(domain)
	return string(d)
}

// hostName is that of a name of DNS with two parts or more, whose last is no number: addresses end with one.
var hostName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)

// longestDomain leaves room for the name of the record that shows whose a domain is, in bytes.
const longestDomain = 240

// ReadDomain returns a host name as it is compared, or "" where that can be no domain.
func ReadDomain(name string) string {
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	if len(name) > longestDomain || !hostName.MatchString(name) || strings.HasSuffix("."+name, ".localhost") {
		return ""
	}
	return name
}

func init() {
	Add(Member{
		Name: Domain,
		Read: func(value []byte) (claim.Term, error) {
			var name string
			if json.Unmarshal(value, &name) == nil {
				if name = ReadDomain(name); name != "" {
					return domain(name), nil
				}
			}
			return nil, errors.New("domain is a host name of yours, such as hooks.example.org: in ASCII, with a dot, no address, and not below localhost")
		},
		Example: `"hooks.example.org"`,
	})
}
