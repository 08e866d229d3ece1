package terms

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"

	"reversehttp/server/claim"
)

// Domain is the name of the member with the owner's own domain that leads to the claim.
const Domain = "domain"

// domain is the value of that member: a host name in lower case, without a final dot.
type domain string

// Shown implements [claim.Term].
func (d domain) Shown() any { return string(d) }

// DomainOf returns the domain in the terms of a claim, or "".
func DomainOf(t claim.Terms) string {
	d, _ := t.Others[Domain].(domain)
	return string(d)
}

// hostName matches a DNS name of two or more parts that does not end in a number, as addresses do.
var hostName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)

// longestDomain is the longest domain, in bytes. It leaves room for the name of the record that
// proves ownership.
const longestDomain = 240

// ReadDomain returns a host name in the form that is compared, or "" if it cannot be a domain of an
// owner.
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
			return nil, errors.New("domain must be a host name of your own, such as hooks.example.org: in ASCII, with a dot, not an address, and not below localhost")
		},
		Example: `"hooks.example.org"`,
	})
}
