package reversehttp

import (
	"net/http"
	"net/textproto"
	"strings"

	"reversehttp/schema/envelope"
)

// notTrailers are fields that frame, route or describe content, or steer the request (RFC 9110, 6.5.1); those whose
// names begin with If- are too.
var notTrailers = map[string]bool{
	"Authorization": true, "Cache-Control": true, "Connection": true, "Content-Encoding": true, "Content-Length": true,
	"Content-Range": true, "Content-Type": true, "Expect": true, "Host": true, "Keep-Alive": true, "Max-Forwards": true,
	"Pragma": true, "Proxy-Authenticate": true, "Proxy-Authorization": true, "Proxy-Connection": true, "Range": true,
	"Realm": true, "Te": true, "Trailer": true, "Transfer-Encoding": true, "Www-Authenticate": true,
}

// mayTrail reports whether a field may follow the content. The name is in canonical form.
func mayTrail(name string) bool {
	return token(name) && !notTrailers[name] && !strings.HasPrefix(name, "If-")
}

// declaredTrailers returns the names in the Trailer fields of a header.
func declaredTrailers(h http.Header) (names []string) {
	for _, v := range h["Trailer"] {
		for name := range strings.SplitSeq(v, ",") {
			name = textproto.CanonicalMIMEHeaderKey(textproto.TrimString(name))
			if mayTrail(name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// trailersOf returns the trailers in a header after its handler returned: the declared fields, and
// those with the prefix. It returns nil if there are none.
func trailersOf(h http.Header, declared []string) (t http.Header) {
	add := func(name string, values []string) {
		if t == nil {
			t = http.Header{}
		}
		t[name] = append(t[name], values...)
	}
	for name, values := range h {
		if name, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			if name = textproto.CanonicalMIMEHeaderKey(name); mayTrail(name) {
				add(name, values)
			}
		}
	}
	for _, name := range declared {
		add(name, h[name])
	}
	return t
}

// pairsOf returns trailers as fields.
func pairsOf(trailers http.Header) envelope.Pairs {
	return appendHeader(nil, trailers, func(string) bool { return false })
}
