package visit

import (
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"reversehttp/server/claim"
)

// hop is what the gateway itself says of a request. Its strings share an allocation.
type hop struct {
	url       string
	via       string
	loop      string
	host      string // of the public URL, with its port
	forwarded string
	peer      string // the address that the request came from
}

// hopOf returns the hop of a request for a target.
func (v *Visits) hopOf(r *http.Request, label, target string) (h hop) {
	h.peer, _, _ = net.SplitHostPort(r.RemoteAddr)
	var room [512]byte
	b := v.appendURL(room[:0], label, target)
	url := len(b)
	b = v.Public.AppendVia(b, viaVersion(r), label)
	via := len(b)
	authority := v.Public.Authority(label)
	b = append(b, authority...)
	host := len(b)
	all := string(appendElement(b, h.peer, authority, v.Public.Scheme))
	h.url, h.via, h.host, h.forwarded = all[:url], all[url:via], all[via:host], all[host:]
	_, h.loop, _ = strings.Cut(h.via, " ")
	return h
}

// appendWay appends the fields that describe the way of a request for a label. It leaves out what others said, except Via and
// CDN-Loop, which show loops, and the addresses that a trusted proxy reports.
func (v *Visits) appendWay(fields []claim.Field, r *http.Request, label string, own hop, trusted bool) []claim.Field {
	add := func(name string, values ...string) {
		for _, value := range values {
			fields = append(fields, claim.Field{Name: name, Value: value})
		}
	}
	forwarded, xFor := own.forwarded, own.peer
	if trusted {
		forwarded, xFor = before(v.Trust.Way(r), own)
	}
	add("Cdn-Loop", r.Header["Cdn-Loop"]...)
	add("Cdn-Loop", own.loop)
	add("Forwarded", forwarded)
	add("Via", r.Header["Via"]...)
	add("Via", own.via)
	add("X-Forwarded-For", xFor)
	add("X-Forwarded-Host", own.host)
	if prefix := v.Public.PathPrefix; prefix != "" {
		add("X-Forwarded-Prefix", prefix+label)
	}
	add("X-Forwarded-Proto", v.Public.Scheme)
	return fields
}

// before returns Forwarded and X-Forwarded-For with the addresses that a trusted proxy reports before the gateway's own.
func before(way []netip.AddrPort, own hop) (forwarded, xFor string) {
	var f, x strings.Builder
	for _, a := range way {
		address := a.Addr().String()
		x.WriteString(address + ", ")
		if a.Addr().Is6() {
			address = `"[` + address + `]"`
		}
		f.WriteString("for=" + address + ", ")
	}
	return f.String() + own.forwarded, x.String() + own.peer
}

// appendElement appends this hop's element of Forwarded (RFC 7239, 4).
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

// viaVersion returns the version of a request as in a Via field (RFC 9110, 7.6.3).
func viaVersion(r *http.Request) string {
	switch {
	case r.ProtoMajor == 1 && r.ProtoMinor == 1:
		return "1.1"
	case r.ProtoMajor == 2 && r.ProtoMinor == 0:
		return "2.0"
	}
	return strconv.Itoa(r.ProtoMajor) + "." + strconv.Itoa(r.ProtoMinor)
}

// loops reports whether a request has passed through this claim before: its Via or CDN-Loop (RFC 8586) names the claim.
func (v *Visits) loops(r *http.Request, label string) bool {
	vias, loops := r.Header["Via"], r.Header["Cdn-Loop"]
	if len(vias) == 0 && len(loops) == 0 {
		return false
	}
	name := v.Public.Pseudonym(label)
	for _, v := range vias {
		for hop := range strings.SplitSeq(v, ",") {
			if parts := strings.Fields(hop); len(parts) >= 2 && strings.EqualFold(parts[1], name) {
				return true
			}
		}
	}
	for _, v := range loops {
		for hop := range strings.SplitSeq(v, ",") {
			if id, _, _ := strings.Cut(hop, ";"); strings.EqualFold(strings.TrimSpace(id), name) {
				return true
			}
		}
	}
	return false
}
