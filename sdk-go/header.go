package reversehttp

import (
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"reversehttp/schema/envelope"
)

// appendHeader appends the fields of a header by name, without those that leftOut names, as a net/http server writes
// them: a name that is no token is left out, a line break in a value becomes a space, and space around it goes.
// Content-Length is the caller's to append, once.
func appendHeader(b envelope.Pairs, h http.Header, leftOut func(name string) bool) envelope.Pairs {
	var room [16]string
	names := slices.AppendSeq(room[:0], maps.Keys(h))
	slices.Sort(names)
	for _, name := range names {
		if name == "Content-Length" || leftOut(name) || !token(name) {
			continue
		}
		for _, value := range h[name] {
			if strings.ContainsAny(value, "\r\n") {
				value = unbroken.Replace(value)
			}
			b = b.Append(name, textproto.TrimString(value))
		}
	}
	return b
}

var unbroken = strings.NewReplacer("\n", " ", "\r", " ")

// token reports whether s is one (RFC 9110, 5.6.2).
func token(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9'
		if !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}
