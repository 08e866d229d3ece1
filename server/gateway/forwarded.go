package gateway

import (
	"net"
	"net/http"
	"net/netip"
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

func (g *Gateway) forwardingFields(r *http.Request, label string, trusted bool) *forwarded {
	peer, _, _ := net.SplitHostPort(r.RemoteAddr)
	node := peer
	if strings.Contains(peer, ":") {
		node = `"[` + peer + `]"`
	}
	scheme := g.public.Scheme
	f := &forwarded{
		via:       append(r.Header["Via"][:len(r.Header["Via"]):len(r.Header["Via"])], viaVersion(r)+" "+g.public.Pseudonym(label)),
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
	if prefix := g.public.PathPrefix; prefix != "" {
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
func (g *Gateway) loops(r *http.Request, label string) bool {
	if len(r.Header["Via"]) == 0 {
		return false
	}
	name := g.public.Pseudonym(label)
	for _, v := range r.Header["Via"] {
		for hop := range strings.SplitSeq(v, ",") {
			if parts := strings.Fields(hop); len(parts) >= 2 && strings.EqualFold(parts[1], name) {
				return true
			}
		}
	}
	return false
}

// trusts tells whether a peer is a proxy whose word on visitors counts.
func (g *Gateway) trusts(remoteAddr string) bool {
	if len(g.options.TrustedProxies) == 0 {
		return false
	}
	a, err := netip.ParseAddrPort(remoteAddr)
	return err == nil && g.trustsAddr(a.Addr())
}

// addressOfPeer returns the address that a connection counts for. Those of a trusted proxy,
// which are of many visitors, count for none.
func (g *Gateway) addressOfPeer(peer net.Addr) netip.Addr {
	a := addressOf(peer.String())
	if g.anonymous || g.trustsAddr(a) {
		return netip.Addr{}
	}
	return a
}

func (g *Gateway) trustsAddr(a netip.Addr) bool {
	for _, p := range g.options.TrustedProxies {
		if p.Contains(a.Unmap()) {
			return true
		}
	}
	return false
}

// visitorAddr gives the address and port of whoever sent r. Where the peer is a
// trusted proxy, that is the last address it tells of that is no trusted proxy.
func (g *Gateway) visitorAddr(r *http.Request) string {
	if !g.trusts(r.RemoteAddr) {
		return r.RemoteAddr
	}
	told := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	if len(r.Header["X-Forwarded-For"]) == 0 {
		told = forwardedFor(r.Header["Forwarded"])
	}
	for i := len(told) - 1; i >= 0; i-- {
		a, err := parseForwardedFor(strings.TrimSpace(told[i]))
		if err != nil {
			break
		}
		if !g.trustsAddr(a.Addr()) || i == 0 {
			return a.String()
		}
	}
	return r.RemoteAddr
}

// forwardedFor returns whom Forwarded fields tell of (RFC 7239, 4), for proxies that send no X-Forwarded-For.
func forwardedFor(fields []string) (nodes []string) {
	for element := range strings.SplitSeq(strings.Join(fields, ","), ",") {
		node := ""
		for pair := range strings.SplitSeq(element, ";") {
			if name, value, _ := strings.Cut(pair, "="); strings.EqualFold(strings.TrimSpace(name), "for") {
				node = strings.Trim(strings.TrimSpace(value), `"`)
			}
		}
		nodes = append(nodes, node)
	}
	return nodes
}

// parseForwardedFor reads an address with or without port; a missing port is 0.
// A zone means something on the proxy only, and may be any bytes: it ends here.
func parseForwardedFor(s string) (netip.AddrPort, error) {
	alone := s
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		alone = s[1 : len(s)-1]
	}
	if a, err := netip.ParseAddr(alone); err == nil {
		return netip.AddrPortFrom(a.WithZone(""), 0), nil
	}
	a, err := netip.ParseAddrPort(s)
	return netip.AddrPortFrom(a.Addr().WithZone(""), a.Port()), err
}
