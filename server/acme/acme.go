// Package acme obtains certificates from a CA by ACME (RFC 8555), through certmagic, which orders,
// stores and renews them. This package decides for which names and how often: strangers can claim
// names, and CAs limit the certificates a week.
//
// Own names get a certificate at the start. Any other name gets one when somebody connects to it,
// if it is served at that moment; otherwise the handshake is refused.
package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
)

// LetsEncrypt is the directory URL of the default CA.
const LetsEncrypt = certmagic.LetsEncryptProductionCA

// Options configure [New].
type Options struct {
	// Email is the contact address for the CA. Empty means none.
	Email string
	// CA is the directory URL of the CA. Empty means [LetsEncrypt].
	CA string
	// Roots are the roots of trust for the CA's own certificate. Nil means those of the machine.
	Roots *x509.CertPool
	// Dir is the directory for accounts, keys and certificates.
	Dir string

	// Own are the names that get a certificate at the start. The first serves peers that send no
	// server name.
	Own []string
	// DNS proves control of own names by records, which names with a * need. Nil means challenges
	// at the ports.
	DNS *DNS
	// Resolver is the address of the resolver that checks whether DNS records are visible. Empty
	// means that of the machine.
	Resolver string
	// Serves reports whether a name other than the own names is served now.
	Serves func(name string) bool
	// Parent is the domain of which labels are subdomains. These get at most PerWeek certificates a
	// week, not counting renewals. Zero means 40, negative means no bound.
	Parent  string
	PerWeek int

	// Host and TLSPort are where the process listens for TLS, and HTTPPort where it listens for
	// HTTP, so that the CA can reach it at port 80. Zero means that it does not listen.
	Host              string
	TLSPort, HTTPPort int
	// Wait bounds how long a handshake waits for a certificate that is being obtained. Zero means
	// 10 s.
	Wait time.Duration
	// Log receives log messages. Nil means that they are dropped.
	Log *slog.Logger
}

const (
	// obtainTime bounds how long obtaining a certificate may take.
	obtainTime = 3 * time.Minute
	// mostAtOnce bounds how many certificates are loaded or obtained at a time, apart from the own
	// ones.
	mostAtOnce = 16
	// mostCached bounds the certificates in memory. Others are read from disk when they are needed.
	mostCached = 4096
	// retryAfter is how long to wait before another attempt for a name that got no certificate.
	retryAfter = time.Minute
	// cleanEvery is how often certificates are deleted that expired so long ago, since strangers
	// can cause any number of them.
	cleanEvery, expired = 24 * time.Hour, 14 * 24 * time.Hour
)

// Certificates manages the certificates of a process. [New] makes one.
type Certificates struct {
	options Options
	cache   *certmagic.Cache
	own     *certmagic.Config
	demand  *certmagic.Config
	solver  *certmagic.ACMEIssuer
	limits  limits
	ctx     context.Context // ends with Stop
	stop    context.CancelFunc
	running sync.WaitGroup // the goroutines that obtain and delete certificates
	begun   sync.Once

	mu      sync.Mutex // guards below
	making  map[string]*making
	failed  map[string]failure
	changed chan struct{} // closed when an own certificate was obtained
}

// making is a certificate that is being loaded or obtained.
type making struct {
	done chan struct{} // closed once it is there or has failed
	cert *tls.Certificate
	err  error
}

// failure is the reason why a name got no certificate.
type failure struct {
	err   error
	until time.Time
}

// New returns Certificates. It does not contact the CA before Start.
func New(o Options) (*Certificates, error) {
	if o.CA == "" {
		o.CA = LetsEncrypt
	}
	if o.PerWeek == 0 {
		o.PerWeek = 40
	}
	if o.Wait == 0 {
		o.Wait = 10 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Serves == nil {
		o.Serves = func(string) bool { return false }
	}
	c := &Certificates{options: o, making: make(map[string]*making), failed: make(map[string]failure), changed: make(chan struct{})}
	c.ctx, c.stop = context.WithCancel(context.Background())
	storage := &certmagic.FileStorage{Path: o.Dir}
	log := zap.New(core{o.Log})
	c.cache = certmagic.NewCache(certmagic.CacheOptions{Capacity: mostCached, Logger: log, GetConfigForCert: func(cert certmagic.Certificate) (*certmagic.Config, error) {
		if slices.ContainsFunc(cert.Names, func(name string) bool { return slices.Contains(o.Own, name) }) {
			return c.own, nil
		}
		return c.demand, nil
	}})
	template := certmagic.ACMEIssuer{
		CA: o.CA, Email: o.Email, Agreed: true, TrustedRoots: o.Roots, Logger: log,
		ListenHost: o.Host, AltTLSALPNPort: o.TLSPort, AltHTTPPort: o.HTTPPort, DisableHTTPChallenge: o.HTTPPort == 0, DisableTLSALPNChallenge: o.TLSPort == 0,
	}
	c.demand = certmagic.New(c.cache, certmagic.Config{Storage: storage, Logger: log, OnEvent: c.note, OnDemand: &certmagic.OnDemandConfig{
		DecisionFunc: func(_ context.Context, name string) error { return c.served(name) },
	}})
	c.solver = certmagic.NewACMEIssuer(c.demand, template)
	c.demand.Issuers = []certmagic.Issuer{&bounded{addressed{c.solver}, c}}
	c.own = certmagic.New(c.cache, certmagic.Config{Storage: storage, Logger: log, OnEvent: c.note})
	if o.DNS != nil {
		template.DNS01Solver = o.DNS.solver(o.Resolver, log)
	}
	c.own.Issuers = []certmagic.Issuer{certmagic.NewACMEIssuer(c.own, template)}
	if o.Email == "" {
		c.own.Issuers = []certmagic.Issuer{addressed{certmagic.NewACMEIssuer(c.own, template)}}
	}
	c.limits = limits{perWeek: o.PerWeek, parent: o.Parent, addresses: make(map[netip.Prefix]*window), names: make(map[string]*window)}
	if err := c.recall(storage); err != nil {
		c.Close()
		return nil, fmt.Errorf("%s: %w", o.Dir, err)
	}
	return c, nil
}

// Start loads or obtains the own certificates, and keeps renewing them until Stop. The ports must
// be open. Another call retries missing ones at once.
func (c *Certificates) Start() {
	if err := c.own.ManageAsync(c.ctx, c.options.Own); err != nil {
		c.options.Log.Warn("cannot manage certificates", "names", c.options.Own, "error", err.Error())
	}
	c.begun.Do(func() { c.running.Go(c.clean) })
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.failed)
}

// clean deletes expired certificates from time to time, until Stop.
func (c *Certificates) clean() {
	tick := time.NewTicker(cleanEvery)
	defer tick.Stop()
	for {
		err := certmagic.CleanStorage(c.ctx, c.own.Storage, certmagic.CleanStorageOptions{
			ExpiredCerts: true, ExpiredCertGracePeriod: expired, OCSPStaples: true, Logger: zap.New(core{c.options.Log}),
		})
		if err != nil && c.ctx.Err() == nil {
			c.options.Log.Warn("cannot delete expired certificates", "error", err.Error())
		}
		select {
		case <-tick.C:
		case <-c.ctx.Done():
			return
		}
	}
}

// Stop stops obtaining certificates. Existing ones are still served.
func (c *Certificates) Stop() { c.stop() }

// Close stops everything and waits for it.
func (c *Certificates) Close() {
	c.stop()
	c.running.Wait()
	c.cache.Stop()
}

// Challenge answers r if it is an HTTP challenge of the CA, and reports whether it is.
func (c *Certificates) Challenge(w http.ResponseWriter, r *http.Request) bool {
	return c.options.HTTPPort != 0 && c.solver.HandleHTTPChallenge(w, r)
}

// Get returns the certificate for a handshake, or nil if the name is not served.
func (c *Certificates) Get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := strings.ToLower(hello.ServerName)
	if name == "" {
		name = c.options.Own[0]
	}
	switch {
	case len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == ChallengeProtocol:
		return c.demand.GetCertificateWithContext(c.ctx, hello)
	case slices.ContainsFunc(c.options.Own, func(own string) bool { return certmagic.MatchWildcard(name, own) }):
		return c.awaitOwn(name)
	case c.served(name) != nil:
		return nil, nil // unrecognized_name
	}
	return c.onDemand(name, hello)
}

// ChallengeProtocol is the ALPN protocol of a CA's challenge by TLS (RFC 8737).
const ChallengeProtocol = "acme-tls/1"

func (c *Certificates) served(name string) error {
	if !c.options.Serves(name) {
		return fmt.Errorf("%s is not served", name)
	}
	return nil
}

// cached returns a valid certificate for a name from memory, or nil.
func (c *Certificates) cached(name string) *tls.Certificate {
	for _, cert := range c.cache.AllMatchingCertificates(name) {
		if !cert.Expired() {
			return &cert.Certificate
		}
	}
	return nil
}

// awaitOwn returns the certificate of an own name, waiting for it if necessary.
func (c *Certificates) awaitOwn(name string) (*tls.Certificate, error) {
	over := time.NewTimer(c.options.Wait)
	defer over.Stop()
	for {
		c.mu.Lock()
		changed := c.changed
		c.mu.Unlock()
		if cert := c.cached(name); cert != nil {
			return cert, nil
		}
		select {
		case <-changed:
		case <-over.C:
			return nil, fmt.Errorf("acme: there is no certificate for %s yet", name)
		case <-c.ctx.Done():
			return nil, fmt.Errorf("acme: there is no certificate for %s, and the gateway is stopping", name)
		}
	}
}

// onDemand returns the certificate of a name that is served, obtaining it if necessary.
func (c *Certificates) onDemand(name string, hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c.cached(name) != nil { // certmagic renews it in the background
		return c.demand.GetCertificateWithContext(c.ctx, hello)
	}
	m, err := c.begin(name, hello)
	if err != nil {
		return nil, err
	}
	over := time.NewTimer(c.options.Wait)
	defer over.Stop()
	select {
	case <-m.done:
		return m.cert, m.err
	case <-over.C:
		return nil, fmt.Errorf("acme: the certificate for %s is not ready yet", name)
	}
}

// begin begins to obtain a certificate, unless that is in progress, and returns its making.
func (c *Certificates) begin(name string, hello *tls.ClientHelloInfo) (*making, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.making[name]; m != nil {
		return m, nil
	}
	switch f, failed := c.failed[name]; {
	case c.ctx.Err() != nil:
		return nil, fmt.Errorf("acme: there is no certificate for %s, and the gateway is stopping", name)
	case failed && time.Now().Before(f.until):
		return nil, f.err
	case len(c.making) >= mostAtOnce:
		return nil, fmt.Errorf("acme: too many certificates are being obtained; none begun for %s", name)
	}
	m := &making{done: make(chan struct{})}
	c.making[name] = m
	c.running.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithValue(c.ctx, peerKey{}, peerOf(hello.Conn)), obtainTime)
		defer cancel()
		m.cert, m.err = c.demand.GetCertificateWithContext(ctx, hello)
		c.mu.Lock()
		defer c.mu.Unlock()
		if delete(c.making, name); m.err != nil {
			c.fail(name, m.err)
		}
		close(m.done)
	})
	return m, nil
}

// fail remembers, for retryAfter, why a name got no certificate. The caller holds c.mu.
func (c *Certificates) fail(name string, err error) {
	c.options.Log.Warn("no certificate", "name", name, "error", err.Error(), "again_in", retryAfter)
	now := time.Now()
	for other, f := range c.failed {
		if !now.Before(f.until) {
			delete(c.failed, other)
		}
	}
	c.failed[name] = failure{err, now.Add(retryAfter)}
}

// note handles events of certmagic.
func (c *Certificates) note(_ context.Context, event string, data map[string]any) error {
	switch event {
	case "cert_obtained":
		c.options.Log.Info("certificate obtained", "name", data["identifier"], "renewal", data["renewal"])
	case "cert_failed":
		c.options.Log.Debug("certificate not obtained", "name", data["identifier"], "error", data["error"])
	case "cached_managed_cert":
		c.mu.Lock()
		close(c.changed)
		c.changed = make(chan struct{})
		c.mu.Unlock()
	}
	return nil
}

type peerKey struct{}

// peerOf returns the address of the peer of a connection.
func peerOf(conn net.Conn) netip.Addr {
	if conn == nil {
		return netip.Addr{}
	}
	at, _ := netip.ParseAddrPort(conn.RemoteAddr().String())
	return at.Addr().Unmap()
}
