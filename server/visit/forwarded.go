package visit

import (
	"net"
	"net/http"
	"strconv"
	"strings"

	"reversehttp/server/claim"
)

// way is what the gateway tells of a request's way to it: values of the fields that it writes. Those that are empty are left out.
type way struct {
	via       []string // of those who had the request before
	here      string   // the gateway's own Via
	forwarded string
	xFor      string
	xHost     []string
	xPrefix   []string
	xProto    []string
}

// wayOf returns it, extended where the peer is trusted.
func (v *Visits) wayOf(r *http.Request, label string, trusted bool) way {
	peer, _, _ := net.SplitHostPort(r.RemoteAddr)
	scheme := v.Public.Scheme
	w := way{via: r.Header["Via"], here: v.Public.Via(viaVersion(r), label), forwarded: element(peer, r.Host, scheme), xFor: peer}
	if trusted {
		w.forwarded = extend(w.forwarded, r.Header["Forwarded"])
		w.xFor = extend(w.xFor, r.Header["X-Forwarded-For"])
		w.xHost, w.xPrefix, w.xProto = r.Header["X-Forwarded-Host"], r.Header["X-Forwarded-Prefix"], r.Header["X-Forwarded-Proto"]
	}
	return w
}

// appendTo appends the fields to those of the request for a label.
func (w *way) appendTo(fields []claim.Field, v *Visits, r *http.Request, label string) []claim.Field {
	all := func(name string, told []string, otherwise string) {
		for _, value := range told {
			fields = append(fields, claim.Field{Name: name, Value: value})
		}
		if otherwise != "" && len(told) == 0 {
			fields = append(fields, claim.Field{Name: name, Value: otherwise})
		}
	}
	all("Forwarded", nil, w.forwarded)
	all("Via", w.via, "")
	all("Via", nil, w.here)
	all("X-Forwarded-For", nil, w.xFor)
	all("X-Forwarded-Host", w.xHost, r.Host)
	if prefix := v.Public.PathPrefix; prefix != "" {
		all("X-Forwarded-Prefix", nil, prefix+label) // all of it, whatever a proxy knows
	} else {
		all("X-Forwarded-Prefix", w.xPrefix, "")
	}
	all("X-Forwarded-Proto", w.xProto, v.Public.Scheme)
	return fields
}

// element returns what Forwarded has of this hop (RFC 7239, 4).
func element(peer, host, scheme string) string {
	if strings.Contains(peer, ":") {
		peer = `"[` + peer + `]"`
	}
	switch {
	case strings.ContainsAny(host, `"\`):
		host = strconv.Quote(host)
	case strings.ContainsAny(host, ":[]"):
		return "for=" + peer + `;host="` + host + `";proto=` + scheme
	}
	return "for=" + peer + ";host=" + host + ";proto=" + scheme
}

// extend puts what a trusted proxy told in front of own, as one list.
func extend(own string, told []string) string {
	if len(told) == 0 {
		return own
	}
	return strings.Join(told, ", ") + ", " + own
}

// viaVersion is the version of a request in a Via field (RFC 9110, 7.6.3).
func viaVersion(r *http.Request) string {
	switch {
	case r.ProtoMajor == 1 && r.ProtoMinor == 1:
		return "1.1"
	case r.ProtoMajor == 2 && r.ProtoMinor == 0:
		return "2.0"
	}
	return strconv.Itoa(r.ProtoMajor) + "." + strconv.Itoa(r.ProtoMinor)
}

// loops tells whether a request came by this claim already: its Via names it.
func (v *Visits) loops(r *http.Request, label string) bool {
	if len(r.Header["Via"]) == 0 {
		return false
	}
	name := v.Public.Pseudonym(label)
	for _, v := range r.Header["Via"] {
		for hop := range strings.SplitSeq(v, ",") {
			if parts := strings.Fields(hop); len(parts) >= 2 && strings.EqualFold(parts[1], name) {
				return true
			}
		}
	}
	return false
}
