package visit

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"reversehttp/server/claim"
	"reversehttp/server/field"
)

// requestFields lists the fields of a visitor's request for its envelope: Host,
// then the others by name, without those that end here.
func (v *Visits) requestFields(r *http.Request, label string) []claim.Field {
	gone := field.Named(r.Header["Connection"])
	trusted := v.Trust.Trusts(r.RemoteAddr)
	names := make([]string, 0, len(r.Header)+5)
	for name := range r.Header {
		switch {
		case field.EndsInRequest(name), gone[name]:
		case !trusted && field.OfAProxy(name):
		case name == "Cookie" && v.Public.PathPrefix != "":
		default:
			names = append(names, name)
		}
	}
	own := v.forwardingFields(r, label, trusted)
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
		case field.Forwarding(name):
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
func (v *Visits) relayFields(h http.Header, fields []claim.Field) {
	var connection []string
	for _, f := range fields {
		if strings.EqualFold(f.Name, "Connection") {
			connection = append(connection, f.Value)
		}
	}
	gone := field.Named(connection)
	for _, f := range fields {
		name := http.CanonicalHeaderKey(f.Name)
		if field.EndsInResponse(name) || gone[name] && name != "Content-Length" {
			continue
		}
		if v.Public.PathPrefix != "" && field.OfOrigin(name) || name == "Proxy-Status" && field.Forges(f.Value) {
			continue
		}
		h[name] = append(h[name], f.Value)
	}
	if v.Public.PathPrefix != "" {
		h["Content-Security-Policy"] = append(h["Content-Security-Policy"], field.Sandbox)
	}
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil // net/http guesses none then
	}
}
