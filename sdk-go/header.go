package reversehttp

import (
	"fmt"
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

// sendable returns the fields of a header as a tunnel takes them: as appendHeader appends them, without those that end with
// a connection (RFC 9110, 7.6.1). The error is what a gateway would find invalid in them, were they posted.
func sendable(h http.Header, leftOut func(name string) bool) (http.Header, error) {
	out := make(http.Header, len(h))
	count, size := 0, 0
	named := ends
	if len(h["Connection"]) > 0 {
		named = maps.Clone(ends)
		for name := range strings.SplitSeq(strings.Join(h["Connection"], ","), ",") {
			named[textproto.CanonicalMIMEHeaderKey(textproto.TrimString(name))] = true
		}
	}
	for name, values := range h {
		if name == "Content-Length" || named[textproto.CanonicalMIMEHeaderKey(name)] || leftOut(name) || !token(name) {
			continue
		}
		clean := make([]string, len(values))
		for i, value := range values {
			if strings.ContainsAny(value, "\r\n") {
				value = unbroken.Replace(value)
			}
			if clean[i] = textproto.TrimString(value); controls(clean[i]) {
				return out, fmt.Errorf("the field %s has a control character", name)
			}
			count++
			size += len(name) + len(clean[i]) + fieldExtra
		}
		if len(clean) > 0 {
			out[name] = clean
		}
	}
	if count > fieldsMost || size > fieldBytesMost {
		return out, errTooLarge
	}
	return out, nil
}

// What a gateway takes: so many fields, and so many bytes of them, each counted with some more.
const (
	fieldsMost     = 256
	fieldBytesMost = 64 << 10
	fieldExtra     = 4
)

// ends are the fields that are of one connection.
var ends = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "Proxy-Authenticate": true,
	"Proxy-Authentication-Info": true, "Te": true, "Upgrade": true,
}

// controls reports whether s has a control character other than tab.
func controls(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return true
		}
	}
	return false
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
