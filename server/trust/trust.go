// Package trust determines who sent a request: the peer of its connection, or the sender that a
// trusted proxy names.
package trust

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Peers says which peers are trusted to name the visitors that they forward. The zero value trusts
// none.
type Peers struct {
	// Proxies are the addresses of trusted proxies.
	Proxies []netip.Prefix
	// Field is the field in which they name visitors, in canonical form. Empty means
	// [DefaultField].
	Field string
	// Anonymous means that visitors cannot be distinguished: all come from one address, through a proxy that
	// is not listed.
	Anonymous bool
}

// DefaultField is the field that every proxy can write.
const DefaultField = "X-Forwarded-For"

// Fields are the supported fields: lists to which each proxy appends an address, and fields with
// one address that CDNs and proxies set.
var Fields = []string{
	DefaultField, "Forwarded", "X-Real-Ip", "True-Client-Ip", "Cf-Connecting-Ip", "Fastly-Client-Ip", "Fly-Client-Ip", "X-Azure-Clientip",
}

// Address returns the address that r counts for, or the zero value if visitors cannot be distinguished.
func (t Peers) Address(r *http.Request) netip.Addr {
	if t.Anonymous {
		return netip.Addr{}
	}
	return addressOf(t.Visitor(r))
}

// AddressApart returns the address that r counts for if it belongs to one sender. It returns the zero value
// if a trusted proxy did not name the sender, since its own address stands for many, and if visitors cannot
// be distinguished.
func (t Peers) AddressApart(r *http.Request) netip.Addr {
	if a := t.Address(r); !t.trustsAddr(a) {
		return a
	}
	return netip.Addr{}
}

// Sender returns the address in a result of [Peers.Visitor], without a zone, as from. apart is the
// same address if it belongs to one sender, as in AddressApart.
func (t Peers) Sender(visitor string) (from, apart netip.Addr) {
	if from = addressOf(visitor).WithZone(""); !t.Anonymous && !t.trustsAddr(from) {
		apart = from
	}
	return from, apart
}

// Trusts reports whether a peer is a trusted proxy.
func (t Peers) Trusts(remoteAddr string) bool {
	if len(t.Proxies) == 0 {
		return false
	}
	a, err := netip.ParseAddrPort(remoteAddr)
	return err == nil && t.trustsAddr(a.Addr())
}

// TrustsPeer reports whether the peer of a connection is a trusted proxy.
func (t Peers) TrustsPeer(peer net.Addr) bool { return t.Trusts(peer.String()) }

// Direct reports whether the peer of r sent it itself, as far as is known.
func (t Peers) Direct(r *http.Request) bool { return !t.Anonymous && !t.Trusts(r.RemoteAddr) }

// AddressOfPeer returns the address that a connection counts for. It is the zero value for
// connections of a trusted proxy, which carry requests of many visitors.
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

// Visitor returns the address and port of the sender of r. If the peer is a trusted proxy, that is
// the last address it names that is not a trusted proxy.
func (t Peers) Visitor(r *http.Request) string {
	if !t.Trusts(r.RemoteAddr) {
		return r.RemoteAddr
	}
	if way := t.Way(r); len(way) > 0 {
		return way[0].String()
	}
	return r.RemoteAddr
}

// Way returns the addresses that a trusted proxy, the peer of r, names: first the visitor, then the
// trusted proxies that the request passed before the peer. Addresses before the visitor are left
// out, because nobody vouches for them. The result is empty if the proxy names nothing readable.
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

// forwardedFor returns the "for" parameters of Forwarded fields (RFC 7239, 4).
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

// parseForwardedFor parses an address with or without port; a missing port is 0. It drops a zone,
// which has a meaning on the proxy only and may hold any bytes.
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

// addressOf returns the address of an address with port, or the zero value if that is invalid.
func addressOf(remoteAddr string) netip.Addr {
	if a, err := netip.ParseAddrPort(remoteAddr); err == nil {
		return a.Addr().Unmap()
	}
	host, _, _ := net.SplitHostPort(remoteAddr)
	a, _ := netip.ParseAddr(host)
	return a
}
