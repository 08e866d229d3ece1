package acme

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"

	"reversehttp/server/budget"
)

// addressed has the address that it was given, or none. Where there is none certmagic looks for one on the disk, and takes the
// name of the directory of accounts that have none, "default", for it, which no CA does.
type addressed struct{ *certmagic.ACMEIssuer }

// PreCheck implements [certmagic.PreChecker].
func (a addressed) PreCheck(ctx context.Context, names []string, interactive bool) error {
	if a.Email == "" {
		return nil
	}
	return a.ACMEIssuer.PreCheck(ctx, names, interactive)
}

// bounded orders certificates on demand, no more than the limits let it. Each failure is the last: who connects again may try
// again.
type bounded struct {
	addressed
	of *Certificates
}

// Issue implements [certmagic.Issuer].
func (b *bounded) Issue(ctx context.Context, csr *x509.CertificateRequest) (*certmagic.IssuedCertificate, error) {
	for _, name := range csr.DNSNames {
		from, _ := ctx.Value(peerKey{}).(netip.Addr)
		renewed := b.of.demand.Storage.Exists(ctx, certmagic.StorageKeys.SiteCert(b.IssuerKey(), name))
		err := b.of.served(name)
		if err == nil {
			err = b.of.limits.take(from, name, renewed)
		}
		if err != nil {
			return nil, certmagic.ErrNoRetry{Err: err}
		}
	}
	issued, err := b.ACMEIssuer.Issue(ctx, csr)
	if err != nil {
		return nil, certmagic.ErrNoRetry{Err: err}
	}
	return issued, nil
}

// The bounds of what is ordered on demand. Let's Encrypt gives an account 300 orders in three hours, a registered domain 50
// certificates a week, and a name five failures an hour.
const (
	mostOrders    = 100
	ordersWithin  = 3 * time.Hour
	mostOfAddress = 10
	mostOfName    = 3
	lately        = time.Hour // of an address, and for a name
	week          = 7 * 24 * time.Hour
)

// limits count orders. A renewal is an order, but no new certificate.
type limits struct {
	perWeek int
	parent  string

	mu        sync.Mutex // guards below
	all       window
	week      window // of new certificates below the parent
	addresses map[netip.Prefix]*window
	names     map[string]*window
}

// take counts an order that somebody at an address caused, or says why it cannot be.
func (l *limits) take(from netip.Addr, name string, renewed bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, who := time.Now(), budget.Subscriber(from)
	prune(l.addresses, now)
	prune(l.names, now)
	counted := []bound{{&l.all, mostOrders, ordersWithin, "of the gateway"}, {of(l.names, name), mostOfName, lately, "for this name"}}
	if from.IsValid() && !renewed { // whoever is there when it is due causes a renewal
		counted = append(counted, bound{of(l.addresses, who), mostOfAddress, lately, "from one address"})
	}
	if l.perWeek > 0 && !renewed && strings.HasSuffix(name, "."+l.parent) {
		counted = append(counted, bound{&l.week, l.perWeek, week, "below " + l.parent})
	}
	for _, b := range counted {
		if b.count(now, b.within) >= b.most {
			return fmt.Errorf("acme: %d certificates %s were ordered within %s, which is as many as may be", b.most, b.of, b.within)
		}
	}
	for _, b := range counted {
		b.times = append(b.times, now)
	}
	return nil
}

// bound is how many times there may be in a window, within a time.
type bound struct {
	*window
	most   int
	within time.Duration
	of     string
}

// window has the times of what happened lately, in their order.
type window struct{ times []time.Time }

// count returns how many times are within the last while, and forgets the others.
func (w *window) count(now time.Time, within time.Duration) int {
	for len(w.times) > 0 && now.Sub(w.times[0]) >= within {
		w.times = w.times[1:]
	}
	return len(w.times)
}

// of returns the window of a key, and makes it where there is none.
func of[K comparable](all map[K]*window, key K) *window {
	if all[key] == nil {
		all[key] = &window{}
	}
	return all[key]
}

// prune forgets those of whom nothing counts any more, so that there are no more than orders of the last hour.
func prune[K comparable](all map[K]*window, now time.Time) {
	for key, w := range all {
		if w.count(now, lately) == 0 {
			delete(all, key)
		}
	}
}

// recall counts the certificates of the last week that are kept, so that a restart gives no more of them.
func (c *Certificates) recall(storage certmagic.Storage) error {
	if c.options.PerWeek < 0 || !storage.Exists(c.ctx, "certificates") {
		return nil
	}
	keys, err := storage.List(c.ctx, "certificates", true)
	if err != nil {
		return err
	}
	for _, key := range keys {
		file := key[strings.LastIndexByte(key, '/')+1:]
		name, ok := strings.CutSuffix(file, ".crt")
		if !ok || !strings.HasSuffix(name, "."+c.options.Parent) || strings.HasPrefix(name, "wildcard_") {
			continue
		}
		if info, err := storage.Stat(c.ctx, key); err == nil && time.Since(info.Modified) < week {
			c.limits.week.times = append(c.limits.week.times, info.Modified)
		}
	}
	slices.SortFunc(c.limits.week.times, time.Time.Compare)
	return nil
}
