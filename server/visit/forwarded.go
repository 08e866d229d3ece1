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

// hop is what the gateway itself says of a request. The strings that it makes of that share an allocation.
type hop struct {
	url       string
	via       string
	forwarded string
	peer      string // the address that the request came from
}

// hopOf returns it for a request of a target.
func (v *Visits) hopOf(r *http.Request, label, target string) (h hop) {
	h.peer, _, _ = net.SplitHostPort(r.RemoteAddr)
	var room [512]byte
	b := v.appendURL(room[:0], label, target)
	url := len(b)
	b = v.Public.AppendVia(b, viaVersion(r), label)
	via := len(b)
	all := string(appendElement(b, h.peer, r.Host, v.Public.Scheme))
	h.url, h.via, h.forwarded = all[:url], all[url:via], all[via:]
	return h
}

// wayOf returns it, extended where the peer is trusted.
func wayOf(r *http.Request, own hop, trusted bool) way {
	w := way{via: r.Header["Via"], here: own.via, forwarded: own.forwarded, xFor: own.peer}
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

// appendElement appends what Forwarded has of this hop (RFC 7239, 4).
func appendElement(b []byte, peer, host, scheme string) []byte {
	b = append(b, "for="...)
	if strings.Contains(peer, ":") {
		b = append(append(append(b, `"[`...), peer...), `]"`...)
	} else {
		b = append(b, peer...)
	}
	b = append(b, ";host="...)
	switch {
	case strings.ContainsAny(host, `"\`):
		b = strconv.AppendQuote(b, host)
	case strings.ContainsAny(host, ":[]"):
		b = append(append(append(b, '"'), host...), '"')
	default:
		b = append(b, host...)
	}
	return append(append(b, ";proto="...), scheme...)
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
