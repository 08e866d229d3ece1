package publicurl

import (
	"strings"

	"golang.org/x/net/publicsuffix"
)

// SharesCookies reports whether a page of one claim may set cookies that the others get too: each has a host of its own, below one
// that is not on the Public Suffix List, in neither of its sections. Those of a path share an origin anyway, and have none.
func (p *Template) SharesCookies() bool {
	return p.PathPrefix == "" && !isPublicSuffix(p.ControlHost)
}

// isPublicSuffix reports whether a rule of the list names a host. Where there is none the list takes the last label of a name for one,
// which says nothing.
func isPublicSuffix(host string) bool {
	suffix, icann := publicsuffix.PublicSuffix(host)
	return suffix == host && (icann || strings.Contains(host, "."))
}
