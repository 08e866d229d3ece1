package field

import "strings"

// OwnCookies begins the names of the gateway's own cookies, after a prefix such as "__Host-". Handlers neither see nor set them.
const OwnCookies = "reversehttp-"

// ownCookie reports whether a cookie with a name is the gateway's own.
func ownCookie(name string) bool {
	name = strings.ToLower(strings.Trim(name, " \t"))
	for _, prefix := range []string{"__host-http-", "__host-", "__secure-", "__http-"} {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			name = rest
			break
		}
	}
	return strings.HasPrefix(name, OwnCookies)
}

// SetsOwnCookie reports whether a Set-Cookie sets a cookie of the gateway's own. Some browsers take the value of a nameless cookie for
// its name.
func SetsOwnCookie(value string) bool {
	pair, _, _ := strings.Cut(value, ";")
	name, rest, named := strings.Cut(pair, "=")
	return ownCookie(name) || (!named || strings.TrimSpace(name) == "") && ownCookie(rest)
}

// WithoutOwnCookies returns a Cookie field without the gateway's own cookies; empty if nothing is left. The others stay unchanged, byte
// for byte.
func WithoutOwnCookies(value string) string {
	if !strings.Contains(strings.ToLower(value), OwnCookies) {
		return value
	}
	var kept []string
	for pair := range strings.SplitSeq(value, ";") {
		if name, _, _ := strings.Cut(pair, "="); !ownCookie(name) {
			kept = append(kept, pair)
		}
	}
	rest := strings.Join(kept, ";")
	if len(rest) == len(value) {
		return value
	}
	return strings.TrimLeft(rest, " \t")
}
