package visit

import (
	"net"
	"net/http"
	"strconv"
	"strings"
)

// forwarded is what the gateway tells of a request's way to it.
type forwarded struct {
	via, forwarded, xFor, xHost, xPrefix, xProto []string
}

func (f *forwarded) names() []string {
	return []string{"Via", "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Prefix", "X-Forwarded-Proto"}
}

func (f *forwarded) values(name string) []string {
	switch name {
	case "Via":
		return f.via
	case "Forwarded":
		return f.forwarded
	case "X-Forwarded-For":
		return f.xFor
	case "X-Forwarded-Host":
		return f.xHost
	case "X-Forwarded-Prefix":
		return f.xPrefix
	}
	return f.xProto
}

func (v *Visits) forwardingFields(r *http.Request, label string, trusted bool) *forwarded {
	peer, _, _ := net.SplitHostPort(r.RemoteAddr)
	node := peer
	if strings.Contains(peer, ":") {
		node = `"[` + peer + `]"`
	}
	scheme := v.Public.Scheme
	f := &forwarded{
		via:       append(r.Header["Via"][:len(r.Header["Via"]):len(r.Header["Via"])], viaVersion(r)+" "+v.Public.Pseudonym(label)),
		forwarded: []string{"for=" + node + ";host=" + quote(r.Host) + ";proto=" + scheme},
		xFor:      []string{peer}, xHost: []string{r.Host}, xProto: []string{scheme},
	}
	if trusted {
		extend(&f.forwarded, r.Header["Forwarded"])
		extend(&f.xFor, r.Header["X-Forwarded-For"])
		if v := r.Header["X-Forwarded-Host"]; len(v) > 0 {
			f.xHost = v
		}
		if v := r.Header["X-Forwarded-Proto"]; len(v) > 0 {
			f.xProto = v
		}
		f.xPrefix = r.Header["X-Forwarded-Prefix"]
	}
	if prefix := v.Public.PathPrefix; prefix != "" {
		f.xPrefix = []string{prefix + label} // all of it, whatever a proxy knows
	}
	return f
}

// extend puts what a trusted proxy told in front of own, as one list.
func extend(own *[]string, told []string) {
	if len(told) > 0 {
		*own = []string{strings.Join(told, ", ") + ", " + (*own)[0]}
	}
}

// quote gives a host as a token or quoted string (RFC 7239, 4).
func quote(host string) string {
	if strings.ContainsAny(host, `:[]"\`) {
		return strconv.Quote(host)
	}
	return host
}

// viaVersion is the version of a request in a Via field (RFC 9110, 7.6.3).
func viaVersion(r *http.Request) string {
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
