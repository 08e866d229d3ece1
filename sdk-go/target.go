package reversehttp

import (
	"net/url"
	"strings"
)

// parseTarget parses a request target as a net/http server does, with two exceptions. A server
// would refuse a target that is not a valid URL, such as /%zz; a claim passes on whatever a visitor
// sends, with the undecoded path in Path and in Opaque, from which a proxy sends it as it came. A
// path such as //host/%zz is in Path only, and a proxy escapes it: net/url would make an absolute
// URL of it. And if net/url would decode every escape of a path because it has to escape one
// character (/a%2Fb|c to /a/b%7Cc), RawPath has that character escaped and the rest as it came.
func parseTarget(target string) *url.URL {
	if u, err := url.ParseRequestURI(target); err == nil {
		if u.RawPath != "" {
			if sent := u.EscapedPath(); sent != u.RawPath && sent != escapeRaw(u.RawPath) {
				u.RawPath = escapeRaw(u.RawPath)
			}
		}
		return u
	}
	path, query, asked := strings.Cut(target, "?")
	u := &url.URL{RawQuery: query, ForceQuery: asked && query == ""}
	if authority, rest, absolute := splitPath(path); absolute && path[0] != '/' {
		if at, err := url.Parse(authority); err == nil {
			u.Scheme, u.Host = at.Scheme, at.Host
		}
		path = rest
	}
	u.Path = path
	if strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "//") {
		u.Opaque = path
	}
	return u
}

// escapeRaw escapes characters that a path must not have (RFC 3986, 3.3) and keeps escapes.
// Brackets stay, as in net/url.
func escapeRaw(path string) string {
	const digits = "0123456789ABCDEF"
	b := make([]byte, 0, len(path)+8)
	for i := range len(path) {
		c := path[i]
		if letter := 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9'; letter || strings.IndexByte("-._~!$&'()*+,;=:@/%[]", c) >= 0 {
			b = append(b, c)
		} else {
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return string(b)
}

// withoutBase removes the path of the base, except its final slash, from the target, and keeps
// every other byte.
func withoutBase(target, base string) string {
	_, path, ok := splitPath(base)
	if !ok || path == "/" {
		return target
	}
	// A target in origin-form is a path: //a/b names no authority.
	authority, rest := "", target
	if !strings.HasPrefix(target, "/") {
		if authority, rest, ok = splitPath(target); !ok {
			return target
		}
	}
	if strings.HasPrefix(rest, path) {
		return authority + rest[len(path)-1:]
	}
	// A visitor may write %64 for d. The base has no query, so no segment extends into one.
	end := 0
	for range strings.Count(path, "/") - 1 {
		next := strings.IndexByte(rest[end+1:], '/')
		if next < 0 {
			return target
		}
		end += 1 + next
	}
	if p, err := url.PathUnescape(rest[:end+1]); err != nil || p != path {
		return target
	}
	return authority + rest[end:]
}

// splitPath splits an absolute URI before its path.
func splitPath(uri string) (authority, path string, ok bool) {
	_, rest, ok := strings.Cut(uri, "://")
	i := strings.IndexByte(rest, '/')
	if !ok || i < 0 {
		return "", "", false
	}
	at := len(uri) - len(rest) + i
	return uri[:at], uri[at:], true
}
