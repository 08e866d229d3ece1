package acme

import (
	"encoding/base64"
	"errors"
	"net"
	"regexp"
	"strings"

	"github.com/caddyserver/certmagic"
	"github.com/libdns/rfc2136"
	"go.uber.org/zap"
)

// DNS is a DNS server that accepts updates (RFC 2136) with a key (RFC 8945), such as BIND, Knot and
// PowerDNS. At most other providers a zone can be delegated to one: _acme-challenge by NS or CNAME.
type DNS struct {
	server, name, algorithm, secret string
}

// The statements of a key file as tsig-keygen writes it and BIND reads it.
var (
	keyName      = regexp.MustCompile(`\bkey\s+"?([A-Za-z0-9._-]+)"?\s*\{`)
	keyAlgorithm = regexp.MustCompile(`\balgorithm\s+"?([A-Za-z0-9.-]+)"?\s*;`)
	keySecret    = regexp.MustCompile(`\bsecret\s+"?([A-Za-z0-9+/=]+)"?\s*;`)
)

// NewDNS returns a server at an address, with port 53 if it has none. key is a key file as
// tsig-keygen writes it.
func NewDNS(address, key string) (*DNS, error) {
	if _, _, err := net.SplitHostPort(address); err != nil {
		address = net.JoinHostPort(strings.Trim(address, "[]"), "53")
	}
	d := &DNS{server: address}
	for form, part := range map[*regexp.Regexp]*string{keyName: &d.name, keyAlgorithm: &d.algorithm, keySecret: &d.secret} {
		m := form.FindStringSubmatch(key)
		if m == nil {
			return nil, errors.New("it is not a key file as tsig-keygen writes it: key \"name\" { algorithm hmac-sha256; secret \"…\"; };")
		}
		*part = m[1]
	}
	if _, err := base64.StdEncoding.DecodeString(d.secret); err != nil {
		return nil, errors.New("its secret is not in base64")
	}
	return d, nil
}

// solver returns the solver that proves control of names by DNS records.
func (d *DNS) solver(resolver string, log *zap.Logger) *certmagic.DNS01Solver {
	s := &certmagic.DNS01Solver{DNSManager: certmagic.DNSManager{
		DNSProvider: &rfc2136.Provider{Server: d.server, KeyName: d.name, KeyAlg: d.algorithm, Key: d.secret}, Logger: log,
	}}
	if resolver != "" {
		s.Resolvers = []string{resolver}
	}
	return s
}
