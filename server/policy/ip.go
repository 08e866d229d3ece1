package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"reversehttp/schema"
	"reversehttp/server/problem"
)

// mostNetworks bounds the networks that may be listed.
const mostNetworks = 64

func checkIP(ask *schema.Policy, _ *Policy) error {
	if ask.IP == nil {
		return nil
	}
	if err := count("ip/allow", ask.IP.Allow, mostNetworks); err != nil {
		return err
	}
	for i, text := range ask.IP.Allow {
		if _, err := network(text); err != nil {
			return fault(fmt.Sprintf("ip/allow/%d", i), "An address or a network is needed, such as 203.0.113.7, 203.0.113.0/24 or 2001:db8::/32, with no bit set behind its prefix.")
		}
	}
	return nil
}

// mappedBits is the length of the IPv6 prefix under which IPv4 is mapped (RFC 4291, 2.5.5.2).
const mappedBits = 96

// network reads an address or a network. IPv4 mapped to IPv6 becomes IPv4.
func network(text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		a, err := netip.ParseAddr(text)
		if err == nil && a.Zone() != "" {
			err = fmt.Errorf("policy: %s has a zone", text)
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), err
	}
	p, err := netip.ParsePrefix(text)
	if err == nil && p != p.Masked() {
		err = fmt.Errorf("policy: %s has bits behind its prefix", text)
	}
	if err == nil && p.Addr().Is4In6() && p.Bits() >= mappedBits {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mappedBits)
	}
	return p, err
}

// ipStep lets in visitors from a listed network.
func ipStep(p *Policy) step {
	var networks []netip.Prefix
	for _, text := range p.IP.Allow {
		if one, err := network(text); err == nil {
			networks = append(networks, one)
		}
	}
	return func(a *asked) *problem.Problem {
		if slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(a.from) }) {
			return nil
		}
		return &problem.Problem{Code: schema.CodeAddressRefused}
	}
}
