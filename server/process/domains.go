package process

import (
	"context"
	"fmt"
	"net"
	"strings"

	"reversehttp/server/claim"
	"reversehttp/server/terms"
)

// parseDomains parses --domains and returns labels by domain.
func parseDomains(pairs []string) (map[string]string, error) {
	all := make(map[string]string)
	for _, pair := range pairs {
		name, label, _ := strings.Cut(pair, "=")
		domain := terms.ReadDomain(name)
		switch {
		case domain == "" || !claim.ValidLabel(label):
			return nil, fmt.Errorf("--domains=%s: give a domain and the label that it is for, such as hooks.example.org=demo", pair)
		case all[domain] != "":
			return nil, fmt.Errorf("--domains=%s: the domain is for %s already; a domain leads to one claim", pair, all[domain])
		}
		all[domain] = label
	}
	return all, nil
}

// resolver returns the resolver for DNS records.
func (o *options) resolver() *net.Resolver {
	r := &net.Resolver{PreferGo: true} // its lookups can be cancelled
	if o.Resolver != "" {
		r.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, o.Resolver)
		}
	}
	return r
}
