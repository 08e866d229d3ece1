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

// addressed uses the configured contact address, or none. Without one certmagic would look on disk
// and use "default", the name of its directory for accounts without an address, which CAs reject.
type addressed struct{ *certmagic.ACMEIssuer }

// PreCheck implements [certmagic.PreChecker].
func (a addressed) PreCheck(ctx context.Context, names []string, interactive bool) error {
	if a.Email == "" {
		return nil
	}
	return a.ACMEIssuer.PreCheck(ctx, names, interactive)
}

// bounded orders certificates on demand, within the limits. It does not retry after a failure; the
// next connection does.
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

// Bounds of orders on demand. Let's Encrypt allows an account 300 orders in three hours, a
// registered domain 50 certificates a week, and a name five failures an hour.
const (
	mostOrders    = 100
	ordersWithin  = 3 * time.Hour
	mostOfAddress = 10
	mostOfName    = 3
	lately        = time.Hour // for an address, and for a name
	week          = 7 * 24 * time.Hour
)

// limits counts orders. A renewal counts as an order, but not as a new certificate.
type limits struct {
	perWeek int
	parent  string

	mu        sync.Mutex // guards below
	all       window
	week      window // of new certificates below the parent
	addresses map[netip.Prefix]*window
	names     map[string]*window
}

// take counts an order that a peer at an address caused, or returns an error if it exceeds a limit.
func (l *limits) take(from netip.Addr, name string, renewed bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, who := time.Now(), budget.Subscriber(from)
	prune(l.addresses, now)
	prune(l.names, now)
	counted := []bound{{&l.all, mostOrders, ordersWithin, "of the gateway"}, {of(l.names, name), mostOfName, lately, "for this name"}}
	if from.IsValid() && !renewed { // a renewal is caused by whichever peer connects when it is due
		counted = append(counted, bound{of(l.addresses, who), mostOfAddress, lately, "from one address"})
	}
	if l.perWeek > 0 && !renewed && strings.HasSuffix(name, "."+l.parent) {
		counted = append(counted, bound{&l.week, l.perWeek, week, "below " + l.parent})
	}
	for _, b := range counted {
		if b.count(now, b.within) >= b.most {
			return fmt.Errorf("acme: %d certificates %s were ordered within %s, which is the limit", b.most, b.of, b.within)
		}
	}
	for _, b := range counted {
		b.times = append(b.times, now)
	}
	return nil
}

// bound is the most events allowed in a window within a time.
type bound struct {
	*window
	most   int
	within time.Duration
	of     string
}

// window has the times of recent events, in order.
type window struct{ times []time.Time }

// count returns how many events are within the time up to now, and forgets older ones.
func (w *window) count(now time.Time, within time.Duration) int {
	for len(w.times) > 0 && now.Sub(w.times[0]) >= within {
		w.times = w.times[1:]
	}
	return len(w.times)
}

// of returns the window of a key, which it creates if there is none.
func of[K comparable](all map[K]*window, key K) *window {
	if all[key] == nil {
		all[key] = &window{}
	}
	return all[key]
}

// prune removes empty windows, so that there are no more than orders in the last hour.
func prune[K comparable](all map[K]*window, now time.Time) {
	for key, w := range all {
		if w.count(now, lately) == 0 {
			delete(all, key)
		}
	}
}

// recall counts the stored certificates of the last week, so that a restart does not reset the
// limit.
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
