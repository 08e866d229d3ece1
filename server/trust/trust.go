// Package trust knows who sent a request: the peer of its connection, or whom a trusted proxy tells of.
package trust

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Peers says whose word on visitors counts. The zero value trusts nobody.
type Peers struct {
	// Proxies are the addresses of trusted proxies.
	Proxies []netip.Prefix
	// Field is the one field of theirs that tells of visitors, in canonical form. Empty means [DefaultField].
	Field string
	// Anonymous says that visitors cannot be told apart: all come from one address, by a proxy that is
	// not named.
	Anonymous bool
}

// DefaultField is the field that every proxy knows how to write.
const DefaultField = "X-Forwarded-For"

// Fields are those that may be named: lists of addresses, each proxy adding the last, and what CDNs and proxies set for one address.
var Fields = []string{
	DefaultField, "Forwarded", "X-Real-Ip", "True-Client-Ip", "Cf-Connecting-Ip", "Fastly-Client-Ip", "Fly-Client-Ip", "X-Azure-Clientip",
}

// Address returns the address that r counts for, or the zero value where visitors cannot be told apart.
func (t Peers) Address(r *http.Request) netip.Addr {
	if t.Anonymous {
		return netip.Addr{}
	}
	return addressOf(t.Visitor(r))
}

// AddressApart returns the address that r counts for where that is of one sender. One of a trusted proxy is of many: it
// does not say whom it speaks for. Then, and where visitors cannot be told apart at all, it is the zero value.
func (t Peers) AddressApart(r *http.Request) netip.Addr {
	if a := t.Address(r); !t.trustsAddr(a) {
		return a
	}
	return netip.Addr{}
}

// Sender returns the address that is in what [Peers.Visitor] returned, without a zone; and apart, the same where it is of one
// sender, as AddressApart has it.
func (t Peers) Sender(visitor string) (from, apart netip.Addr) {
	if from = addressOf(visitor).WithZone(""); !t.Anonymous && !t.trustsAddr(from) {
		apart = from
	}
	return from, apart
}

// Trusts reports whether a peer is a proxy whose word on visitors counts.
func (t Peers) Trusts(remoteAddr string) bool {
	if len(t.Proxies) == 0 {
		return false
	}
	a, err := netip.ParseAddrPort(remoteAddr)
	return err == nil && t.trustsAddr(a.Addr())
}

// TrustsPeer reports whether the peer of a connection is such a proxy.
func (t Peers) TrustsPeer(peer net.Addr) bool { return t.Trusts(peer.String()) }

// Direct reports whether the peer of r is who sent it: no proxy is known to be between.
func (t Peers) Direct(r *http.Request) bool { return !t.Anonymous && !t.Trusts(r.RemoteAddr) }

// AddressOfPeer returns the address that a connection counts for. Those of a trusted proxy,
// which are of many visitors, count for none.
func (t Peers) AddressOfPeer(peer net.Addr) netip.Addr {
	a := addressOf(peer.String())
	if t.Anonymous || t.trustsAddr(a) {
		return netip.Addr{}
	}
	return a
}

func (t Peers) trustsAddr(a netip.Addr) bool {
	for _, p := range t.Proxies {
		if p.Contains(a.Unmap()) {
			return true
		}
	}
	return false
}

// Visitor returns the address and port of whoever sent r. Where the peer is a
// trusted proxy, that is the last address it tells of that is no trusted proxy.
func (t Peers) Visitor(r *http.Request) string {
	if !t.Trusts(r.RemoteAddr) {
		return r.RemoteAddr
	}
	if way := t.Way(r); len(way) > 0 {
		return way[0].String()
	}
	return r.RemoteAddr
}

// Way returns whom a trusted proxy, the peer of r, tells of: the visitor first, then the trusted proxies that the request passed before
// it. What the visitor says of others before it is nobody's word. It is empty where the proxy tells nothing that can be read.
func (t Peers) Way(r *http.Request) []netip.AddrPort {
	field := t.Field
	if field == "" {
		field = DefaultField
	}
	told := strings.Split(strings.Join(r.Header[field], ","), ",")
	if field == "Forwarded" {
		told = forwardedFor(r.Header[field])
	}
	var way []netip.AddrPort
	for i := len(told) - 1; i >= 0; i-- {
		a, err := parseForwardedFor(strings.TrimSpace(told[i]))
		if err != nil {
			return nil
		}
		way = append(way, a)
		if !t.trustsAddr(a.Addr()) {
			break
		}
	}
	slices.Reverse(way)
	return way
}

// forwardedFor returns whom Forwarded fields tell of (RFC 7239, 4).
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

// addressOf gives the address of an address with port; it is invalid where that is.
func addressOf(remoteAddr string) netip.Addr {
	if a, err := netip.ParseAddrPort(remoteAddr); err == nil {
		return a.Addr().Unmap()
	}
	host, _, _ := net.SplitHostPort(remoteAddr)
	a, _ := netip.ParseAddr(host)
	return a
}
