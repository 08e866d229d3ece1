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

// appendFields appends the fields of a visitor's request for its envelope: Host, then the others
// sorted by name, without those of this connection.
func (v *Visits) appendFields(fields []claim.Field, r *http.Request, label string, own hop) []claim.Field {
	gone := field.Named(r.Header["Connection"])
	fields = slices.Grow(fields, 1+len(r.Header)+fieldsOfWay)
	fields = append(fields, claim.Field{Name: "Host", Value: r.Host})
	for name, values := range r.Header {
		switch {
		case field.EndsInRequest(name), gone[name]:
		case field.OfAProxy(name):
		case name == "Cookie" && v.Public.PathPrefix != "":
		case name == "Cookie":
			for _, value := range values {
				if value = field.WithoutOwnCookies(value); value != "" {
					fields = append(fields, claim.Field{Name: name, Value: value})
				}
			}
		default:
			for _, value := range values {
				fields = append(fields, claim.Field{Name: name, Value: value})
			}
		}
	}
	if httpguts.HeaderValuesContainsToken(r.Header["Te"], "trailers") { // the gateway takes trailers, as the visitor does (RFC 9110, 10.1.4)
		fields = append(fields, claim.Field{Name: "Te", Value: "trailers"})
	}
	if len(r.Trailer) > 0 { // of chunked content, where net/http has it
		fields = append(fields, claim.Field{Name: "Trailer", Value: strings.Join(slices.Sorted(maps.Keys(r.Trailer)), ", ")})
	}
	fields = v.appendWay(fields, r, label, own, v.Trust.Trusts(r.RemoteAddr))
	sortFields(fields)
	return fields
}

// sortFields sorts the fields of a request by name, behind Host.
func sortFields(fields []claim.Field) {
	slices.SortStableFunc(fields[1:], func(a, b claim.Field) int { return strings.Compare(a.Name, b.Name) })
}

// fieldsOfWay is how many fields the gateway adds, at most, but for Via and CDN-Loop that were sent.
const fieldsOfWay = 9

// announce sets the fields by which an answer announces trailers, if any can follow it.
func announce(h http.Header, a *claim.Answer) {
	if !a.More && len(a.Trailers) == 0 {
		return
	}
	for _, f := range a.Fields {
		switch {
		case strings.EqualFold(f.Name, "Content-Length"):
			delete(h, "Trailer") // content with a stated length has none
			return
		case strings.EqualFold(f.Name, "Trailer"):
			h["Trailer"] = append(h["Trailer"], f.Value)
		}
	}
}

// adder adds fields to a header. The values of fields with one value, as most have, share an
// allocation.
type adder struct {
	header http.Header
	values []string
}

func (a *adder) add(name, value string) {
	if before := a.header[name]; len(before) > 0 {
		a.header[name] = append(before, value)
		return
	}
	a.values = append(a.values, value)
	n := len(a.values)
	a.header[name] = a.values[n-1 : n : n]
}

// relayFields puts the fields of an answer of the claim of a label into h, without those that end here. It returns an adder for
// further fields, whose values go into room while it lasts.
func (v *Visits) relayFields(h http.Header, label string, fields []claim.Field, room []string) adder {
	var connection []string
	for _, f := range fields {
		if strings.EqualFold(f.Name, "Connection") {
			connection = append(connection, f.Value)
		}
	}
	gone := field.Named(connection)
	to := adder{h, slices.Grow(room, len(fields))}
	for _, f := range fields {
		name := http.CanonicalHeaderKey(f.Name)
		if field.EndsInResponse(name) || gone[name] && name != "Content-Length" {
			continue
		}
		if v.Public.PathPrefix != "" && field.OfOrigin(name) || name == "Proxy-Status" && field.Forges(f.Value) {
			continue
		}
		value, kept := f.Value, true
		if field.Narrows(name) {
			value, kept = field.Narrowed(name, value, v.Public.Host(label))
		}
		if kept && (name != "Set-Cookie" || !field.SetsOwnCookie(value)) {
			to.add(name, value)
		}
	}
	if v.Public.PathPrefix != "" {
		h["Content-Security-Policy"] = append(h["Content-Security-Policy"], field.Sandbox)
	}
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil        // keeps net/http from guessing one
		if v.Public.PathPrefix != "" { // and no browser, which takes the first value (Fetch, 3.6)
			h["X-Content-Type-Options"] = []string{"nosniff"}
		}
	}
	return to
}
