// Package field has the rules by which fields of messages pass a gateway: which end there, which it
// writes itself, and what is wrong with one. Names are in canonical form, as [http.CanonicalHeaderKey] has them.
package field

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
	"reversehttp/server/claim"
	"reversehttp/server/wire"
)

// hopByHop are fields that belong to one connection (RFC 9110, 7.6.1), besides
// those that Connection names. They end at the gateway in both directions.
var hopByHop = names("Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Te", "Trailer", "Upgrade")

// endInRequest are all fields of a request that end at the gateway, or are written by it.
var endInRequest = union(hopByHop, forwarding, names("Proxy-Authorization", "Transfer-Encoding", "Expect", wire.ProtocolField))

// endInResponse are all fields of a response that end at the gateway.
var endInResponse = union(hopByHop, beyondClaim, names("Proxy-Authentication-Info"))

// names returns a set of names.
func names(all ...string) map[string]bool {
	set := make(map[string]bool, len(all))
	for _, name := range all {
		set[name] = true
	}
	return set
}

// union returns the names that are in any of some sets.
func union(sets ...map[string]bool) map[string]bool {
	all := names()
	for _, set := range sets {
		maps.Copy(all, set)
	}
	return all
}

// MostNamed bounds the fields that Connection names. More than a request may have are
// never meant.
const MostNamed = 256

// Named returns the fields that Connection fields name, in canonical form: the first
// MostNamed of them.
func Named(connection []string) map[string]bool {
	var names map[string]bool
	for _, v := range connection {
		for name := range strings.SplitSeq(v, ",") {
			if name = strings.TrimSpace(name); name == "" {
				continue
			}
			if names == nil {
				names = make(map[string]bool, 4)
			}
			names[http.CanonicalHeaderKey(name)] = true
			if len(names) >= MostNamed {
				return names
			}
		}
	}
	return names
}

// TooManyNamed reports whether Connection fields name more fields than MostNamed.
func TooManyNamed(connection []string) bool {
	n := 0
	for _, v := range connection {
		n += 1 + strings.Count(v, ",")
	}
	return n > MostNamed
}

// forwarding are the fields that the gateway writes itself. It drops those of others, but extends Via and CDN-Loop (RFC 8586).
var forwarding = map[string]bool{
	"Via": true, "Cdn-Loop": true, "Forwarded": true, "X-Forwarded-For": true, "X-Forwarded-Host": true, "X-Forwarded-Prefix": true, "X-Forwarded-Proto": true,
}

// tellsOfWay are fields by which some proxies name the visitor or the original target, in addition to those
// that begin with Forwarded- and X-Forwarded-. Handlers and their frameworks believe some of them, and
// proxies pass on unknown ones, so they are dropped.
var tellsOfWay = map[string]bool{
	"X-Forwarded": true, "X-Forwarder-For": true, "X-Original-Forwarded-For": true,
	"X-Real-Ip": true, "True-Client-Ip": true, "Client-Ip": true, "X-Client-Ip": true, "X-Cluster-Client-Ip": true,
	"X-Remote-Ip": true, "X-Remote-Addr": true, "Remote-Addr": true, "X-Originating-Ip": true, "X-Proxyuser-Ip": true,
	"Proxy-Client-Ip": true, "Wl-Proxy-Client-Ip": true,
	"Cf-Connecting-Ip": true, "Cf-Connecting-Ipv6": true, "Cf-Pseudo-Ipv4": true, "Cf-Visitor": true, "Fastly-Client-Ip": true, "Fastly-Ssl": true,
	"Fly-Client-Ip": true, "X-Azure-Clientip": true, "X-Azure-Socketip": true, "X-Appengine-User-Ip": true,
	"X-Envoy-External-Address": true, "X-Nf-Client-Connection-Ip": true, "X-Vercel-Forwarded-For": true,
	"Front-End-Https": true, "X-Url-Scheme": true, "X-Original-Host": true, "X-Original-Proto": true,
	"X-Original-Url": true, "X-Rewrite-Url": true, "X-Envoy-Original-Path": true, "X-Host": true, "X-Scheme": true, "X-Script-Name": true,
	// CGI programs take it for the proxy of their own requests (httpoxy).
	"Proxy": true,
}

// OfAProxy reports whether a field is one by which proxies describe visitors, or looks like one to programs that get fields as
// variables: CGI and its successors, such as WSGI and Rack, also write HTTP_X_FORWARDED_FOR for X_Forwarded_For, and PHP for
// X.Forwarded.For.
func OfAProxy(name string) bool {
	if strings.ContainsAny(name, "_.") {
		name = http.CanonicalHeaderKey(asVariables.Replace(name))
		if forwarding[name] {
			return true
		}
	}
	return tellsOfWay[name] || strings.HasPrefix(name, "X-Forwarded-") || strings.HasPrefix(name, "Forwarded-")
}

var asVariables = strings.NewReplacer("_", "-", ".", "-")

// EndsInRequest reports whether a field of a visitor's request ends at the gateway, or is written by it anew.
func EndsInRequest(name string) bool { return endInRequest[name] }

// EndsInResponse reports whether a field of an answer ends at the gateway.
func EndsInResponse(name string) bool { return endInResponse[name] }

// live are the types of content that is read while it comes.
var live = map[string]bool{
	"text/event-stream": true, "application/x-ndjson": true, "application/ndjson": true, "application/jsonl": true,
	"application/json-seq": true, "application/stream+json": true, "multipart/x-mixed-replace": true,
}

// Hasten asks proxies not to keep back an answer that streams, where its type says that somebody reads it while it comes
// and its program said nothing of that: by RFC 10036, and in the word of nginx and its kin.
func Hasten(h http.Header) {
	_, buffering := h["X-Accel-Buffering"]
	_, incremental := h[Incremental]
	if kind, _, _ := strings.Cut(strings.Join(h["Content-Type"], ","), ";"); buffering || incremental || !live[strings.ToLower(strings.TrimSpace(kind))] {
		return
	}
	h["X-Accel-Buffering"] = []string{"no"}
	h[Incremental] = []string{"?1"}
}

// Incremental is the field that says that content is to be passed on as it comes (RFC 10036).
const Incremental = "Incremental"

// IsIncremental reports whether a message says so.
func IsIncremental(h http.Header) bool {
	value, _, _ := strings.Cut(strings.Join(h[Incremental], ","), ";")
	return strings.TrimSpace(value) == "?1"
}

// Forges reports whether a Proxy-Status of a handler may speak in the gateway's
// name. A member is named by a token or a string (RFC 9209, 2), so whatever has
// the name in it counts, wherever it stands.
func Forges(status string) bool {
	return strings.Contains(strings.ToLower(status), "reversehttp")
}

// FaultOfAll returns why the fields of an answer are too many or too large for
// bounds that are those of a request's; empty means that they are not.
func FaultOfAll(fields []schema.Field, most, mostBytes int) (why string) {
	size := 0
	for _, f := range fields {
		size += Size(len(f[0]), utf8.RuneCountInString(f[1]))
	}
	if len(fields) > most || size > mostBytes {
		return fmt.Sprintf("an answer has %d fields at most, and %d bytes together, counting 4 more for each field", most, mostBytes)
	}
	return ""
}

// SizeOf returns the size of all fields of a name, in bytes.
func SizeOf(name string, values []string) (n int) {
	for _, v := range values {
		n += Size(len(name), len(v))
	}
	return n
}

// Size returns what a field counts, in bytes, of so many of its name and value: its line, with a colon, a space and CR LF.
func Size(name, value int) int { return name + value + 4 }

// FaultOf returns what is wrong with a field of an answer: which half, and
// why. A good field gives an empty why.
func FaultOf(name, value string) (half, why string) {
	if !httpguts.ValidHeaderFieldName(name) {
		return "/0", "a field name is a token (RFC 9110, 5.6.2)"
	}
	for _, c := range value {
		switch {
		case c > 0xFF:
			return "/1", "a field value holds bytes, as characters up to U+00FF; encode others"
		case c < 0x20 && c != '\t', c == 0x7F:
			return "/1", "a field value has no control characters (RFC 9110, 5.5)"
		}
	}
	if value != strings.Trim(value, " \t") {
		return "/1", "a field value has no space or tab at its ends (RFC 9110, 5.5)"
	}
	return "", ""
}

// FaultOfTrailer returns what is wrong with a trailer, as [FaultOf] does.
func FaultOfTrailer(name, value string) (half, why string) {
	if half, why := FaultOf(name, value); why != "" {
		return half, why
	}
	name = http.CanonicalHeaderKey(name)
	if !httpguts.ValidTrailerHeader(name) || hopByHop[name] || wholeOrigin[name] || forwarding[name] || name == "Location" {
		return "/0", "this field cannot follow the content (RFC 9110, 6.5.1)"
	}
	return "", ""
}

// GoodTrailers returns those trailers that an answer may have.
func GoodTrailers(sent http.Header) (trailers []claim.Field) {
	for _, name := range slices.Sorted(maps.Keys(sent)) {
		for _, v := range sent[name] {
			if _, why := FaultOfTrailer(name, envelope.Characters(v)); why == "" {
				trailers = append(trailers, claim.Field{Name: name, Value: v})
			}
		}
	}
	return trailers
}
