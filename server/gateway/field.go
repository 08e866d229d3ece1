package gateway

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"

	"reversehttp/schema"
	"reversehttp/server/claim"
	"reversehttp/server/wire"
)

// hopByHop are fields that belong to one connection (RFC 9110, 7.6.1), besides
// those that Connection names. They end at the gateway in both directions.
var hopByHop = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "Proxy-Authenticate": true,
	"Te": true, "Trailer": true, "Upgrade": true,
}

// requestOnly are fields of a request that end at the gateway besides.
var requestOnly = map[string]bool{"Proxy-Authorization": true, "Transfer-Encoding": true, "Expect": true, wire.ProtocolField: true}

// responseOnly are fields of a response that end at the gateway besides.
var responseOnly = map[string]bool{"Proxy-Authentication-Info": true}

// wholeOrigin are fields of a response that act on more than its own URL. In
// the path shape, where claims share an origin, they are dropped.
var wholeOrigin = map[string]bool{
	"Set-Cookie": true, "Set-Login": true, "Clear-Site-Data": true, "Strict-Transport-Security": true,
	"Public-Key-Pins": true, "Service-Worker-Allowed": true, "Origin-Agent-Cluster": true, "Alt-Svc": true,
	"Nel": true, "Report-To": true, "Reporting-Endpoints": true, "Accept-Ch": true, "Critical-Ch": true,
	"Use-As-Dictionary": true, "Www-Authenticate": true, "Secure-Session-Registration": true, "Secure-Session-Challenge": true,
	"Sec-Shared-Storage-Write": true, "Shared-Storage-Write": true,
}

// sandbox is the policy of every relayed response in the path shape.
const sandbox = "sandbox allow-scripts allow-forms allow-popups allow-modals allow-downloads"

// mostNamed bounds the fields that Connection names. More than a request may have are
// never meant.
const mostNamed = 256

// named returns the fields that Connection fields name, in canonical form: the first
// mostNamed of them.
func named(connection []string) map[string]bool {
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
			if len(names) >= mostNamed {
				return names
			}
		}
	}
	return names
}

// tooManyNamed reports whether Connection fields name more fields than mostNamed.
func tooManyNamed(connection []string) bool {
	n := 0
	for _, v := range connection {
		n += 1 + strings.Count(v, ",")
	}
	return n > mostNamed
}

// requestFields lists the fields of a visitor's request for its envelope: Host,
// then the others by name, without those that end here.
func (g *Gateway) requestFields(r *http.Request, label string) []claim.Field {
	gone := named(r.Header["Connection"])
	trusted := g.trusts(r.RemoteAddr)
	names := make([]string, 0, len(r.Header)+5)
	for name := range r.Header {
		switch {
		case hopByHop[name], requestOnly[name], forwarding[name], gone[name]:
		case !trusted && ofAProxy(name):
		case name == "Cookie" && g.public.PathPrefix != "":
		default:
			names = append(names, name)
		}
	}
	own := g.forwardingFields(r, label, trusted)
	names = append(names, own.names()...)
	if httpguts.HeaderValuesContainsToken(r.Header["Te"], "trailers") {
		names = append(names, "Te")
	}
	if len(r.Trailer) > 0 {
		names = append(names, "Trailer")
	}
	slices.Sort(names)
	fields := make([]claim.Field, 1, len(names)+5)
	fields[0] = claim.Field{Name: "Host", Value: r.Host}
	for _, name := range names {
		values := r.Header[name]
		switch {
		case forwarding[name]:
			values = own.values(name)
		case name == "Te": // the gateway takes trailers, as the visitor does (RFC 9110, 10.1.4)
			values = []string{"trailers"}
		case name == "Trailer": // of chunked content, where net/http has it
			values = []string{strings.Join(slices.Sorted(maps.Keys(r.Trailer)), ", ")}
		}
		for _, v := range values {
			fields = append(fields, claim.Field{Name: name, Value: v})
		}
	}
	return fields
}

// announce puts the fields into h by which an answer announces trailers, where some can follow it.
func announce(h http.Header, a *claim.Answer) {
	if !a.More && len(a.Trailers) == 0 {
		return
	}
	for _, f := range a.Fields {
		switch {
		case strings.EqualFold(f.Name, "Content-Length"):
			delete(h, "Trailer") // content of a stated length has none
			return
		case strings.EqualFold(f.Name, "Trailer"):
			h["Trailer"] = append(h["Trailer"], f.Value)
		}
	}
}

// relayFields puts the fields of an answer into h, without those that end here.
func (g *Gateway) relayFields(h http.Header, fields []claim.Field) {
	var connection []string
	for _, f := range fields {
		if strings.EqualFold(f.Name, "Connection") {
			connection = append(connection, f.Value)
		}
	}
	gone := named(connection)
	for _, f := range fields {
		name := http.CanonicalHeaderKey(f.Name)
		if hopByHop[name] || responseOnly[name] || gone[name] && name != "Content-Length" {
			continue
		}
		if g.public.PathPrefix != "" && wholeOrigin[name] || name == "Proxy-Status" && forges(f.Value) {
			continue
		}
		h[name] = append(h[name], f.Value)
	}
	if g.public.PathPrefix != "" {
		h["Content-Security-Policy"] = append(h["Content-Security-Policy"], sandbox)
	}
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil // net/http guesses none then
	}
}

// live are the types of content that is read while it comes.
var live = map[string]bool{
	"text/event-stream": true, "application/x-ndjson": true, "application/ndjson": true, "application/jsonl": true,
	"application/json-seq": true, "application/stream+json": true, "multipart/x-mixed-replace": true,
}

// hasten asks proxies not to keep back an answer that streams, where its type says that somebody reads it while it comes
// and its program said nothing of that: by RFC 10036, and in the word of nginx and its kin.
func hasten(h http.Header) {
	_, buffering := h["X-Accel-Buffering"]
	_, incremental := h[incrementalField]
	if kind, _, _ := strings.Cut(strings.Join(h["Content-Type"], ","), ";"); buffering || incremental || !live[strings.ToLower(strings.TrimSpace(kind))] {
		return
	}
	h["X-Accel-Buffering"] = []string{"no"}
	h[incrementalField] = []string{"?1"}
}

// incrementalField says that content is to be passed on as it comes (RFC 10036).
const incrementalField = "Incremental"

// isIncremental reports whether a message says so.
func isIncremental(h http.Header) bool {
	value, _, _ := strings.Cut(strings.Join(h[incrementalField], ","), ";")
	return strings.TrimSpace(value) == "?1"
}

// forges tells whether a Proxy-Status of a handler may speak in the gateway's
// name. A member is named by a token or a string (RFC 9209, 2), so whatever has
// the name in it counts, wherever it stands.
func forges(status string) bool {
	return strings.Contains(strings.ToLower(status), "reversehttp")
}

// faultOfFields tells why the fields of an answer are too many or too large for
// bounds that are those of a request's; empty means that they are not.
func faultOfFields(fields []schema.Field, most, mostBytes int) (why string) {
	size := 0
	for _, f := range fields {
		size += fieldSize(len(f[0]), utf8.RuneCountInString(f[1]))
	}
	if len(fields) > most || size > mostBytes {
		return fmt.Sprintf("an answer has %d fields at most, and %d bytes together, counting 4 more for each field", most, mostBytes)
	}
	return ""
}

// fieldSize is what a field counts: its line, with a colon, a space and CR LF.
func fieldSize(name, value int) int { return name + value + 4 }

// faultOfField tells what is wrong with a field of an answer: which half, and
// why. A good field gives an empty why.
func faultOfField(name, value string) (half, why string) {
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
