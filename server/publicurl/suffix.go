package publicurl

import (
	"strings"

	"golang.org/x/net/publicsuffix"
)

// SharesCookies reports whether pages of one claim can set cookies for the others: each claim has a
// host of its own, and the domain above is not on the Public Suffix List, in neither of its
// sections. It is false in the path shape, where claims share an origin anyway.
func (p *Template) SharesCookies() bool {
	return p.PathPrefix == "" && !isPublicSuffix(p.ControlHost)
}

// isPublicSuffix reports whether a rule of the list names a host. It ignores the default rule,
// which makes every top-level domain a suffix.
func isPublicSuffix(host string) bool {
	suffix, icann := publicsuffix.PublicSuffix(host)
	return suffix == host && (icann || strings.Contains(host, "."))
}
