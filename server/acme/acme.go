// Package acme has certificates from a CA that speaks ACME (RFC 8555), by certmagic, which orders, keeps
// and renews them. This package decides for which names, and how often the CA is asked: names are claimed by strangers, and
// CAs give a server so many certificates a week.
//
// Own names have a certificate from the start. Every other name gets one when somebody connects to it, if it is served at that
// moment; otherwise the handshake is refused.
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

// LetsEncrypt is the directory of the CA where none is named.
const LetsEncrypt = certmagic.LetsEncryptProductionCA

// Options of [New].
type Options struct {
	// Email is told to the CA. Empty means none.
	Email string
	// CA is the URL of its directory. Empty means [LetsEncrypt].
	CA string
	// Roots are what the CA's own certificate is signed with. Nil means those of the machine.
	Roots *x509.CertPool
	// Dir keeps accounts, keys and certificates.
	Dir string

	// Own are the names that have a certificate from the start. The first is for peers that name none.
	Own []string
	// DNS shows that own names are ours by records, which a name with a * needs. Nil means by challenges at the ports.
	DNS *DNS
	// Resolver is the address of the resolver that finds records of DNS again. Empty means that of the machine.
	Resolver string
	// Serves reports whether a name that is not an own one is served now.
	Serves func(name string) bool
	// Parent is the domain below which labels are names. Those get PerWeek certificates a week at most; renewals are not
	// counted. Zero means 40, negative means no bound.
	Parent  string
	PerWeek int

	// Host and TLSPort are where the process listens for TLS, and HTTPPort where it listens for HTTP, by which the CA may reach
	// it at port 80; 0 means nowhere.
	Host              string
	TLSPort, HTTPPort int
	// Wait is how long a peer waits for a certificate that is being made. Zero means 10 s.
	Wait time.Duration
	// Log gets what happens. Nil means nowhere.
	Log *slog.Logger
}

const (
	// obtainTime is how long it may take to make a certificate.
	obtainTime = 3 * time.Minute
	// mostAtOnce is how many certificates are loaded or made at a time, beside the own ones.
	mostAtOnce = 16
	// mostCached is how many certificates are in memory; the others are read from the disk when they are asked for.
	mostCached = 4096
	// retryAfter is how long a name has to wait that got none.
	retryAfter = time.Minute
	// cleanEvery is how often certificates are dropped that expired so long ago: strangers may have caused any number.
	cleanEvery, expired = 24 * time.Hour, 14 * 24 * time.Hour
)

// Certificates are those of a process. [New] makes them.
type Certificates struct {
	options Options
	cache   *certmagic.Cache
	own     *certmagic.Config
	demand  *certmagic.Config
	solver  *certmagic.ACMEIssuer
	limits  limits
	ctx     context.Context // ends with Stop
	stop    context.CancelFunc
	running sync.WaitGroup // what makes certificates, and drops them
	begun   sync.Once

	mu      sync.Mutex // guards below
	making  map[string]*making
	failed  map[string]failure
	changed chan struct{} // closed when an own certificate was made
}

// making is a certificate that is loaded or made.
type making struct {
	done chan struct{} // closed once it is, or is not
	cert *tls.Certificate
	err  error
}

// failure is why a name got no certificate.
type failure struct {
	err   error
	until time.Time
}

// New returns certificates. Nothing is asked of the CA before Start.
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

// Start has the own certificates loaded or made, and renewed, until Stop. The ports are open by then. It may be called again, to
// try those at once that are not there.
func (c *Certificates) Start() {
	if err := c.own.ManageAsync(c.ctx, c.options.Own); err != nil {
		c.options.Log.Warn("certificates are not managed", "names", c.options.Own, "error", err.Error())
	}
	c.begun.Do(func() { c.running.Go(c.clean) })
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.failed)
}

// clean drops certificates that expired, now and then, until Stop.
func (c *Certificates) clean() {
	tick := time.NewTicker(cleanEvery)
	defer tick.Stop()
	for {
		err := certmagic.CleanStorage(c.ctx, c.own.Storage, certmagic.CleanStorageOptions{
			ExpiredCerts: true, ExpiredCertGracePeriod: expired, OCSPStaples: true, Logger: zap.New(core{c.options.Log}),
		})
		if err != nil && c.ctx.Err() == nil {
			c.options.Log.Warn("expired certificates are not dropped", "error", err.Error())
		}
		select {
		case <-tick.C:
		case <-c.ctx.Done():
			return
		}
	}
}

// Stop ends what makes certificates. Those that are there are given on.
func (c *Certificates) Stop() { c.stop() }

// Close ends everything, and waits for it.
func (c *Certificates) Close() {
	c.stop()
	c.running.Wait()
	c.cache.Stop()
}

// Challenge answers a request by which the CA looks whether a name is ours, and reports whether r is one.
func (c *Certificates) Challenge(w http.ResponseWriter, r *http.Request) bool {
	return c.options.HTTPPort != 0 && c.solver.HandleHTTPChallenge(w, r)
}

// Get returns the certificate for a handshake; nil where the name is not served.
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

// ChallengeProtocol is what a CA speaks that looks by TLS whether a name is ours (RFC 8737).
const ChallengeProtocol = "acme-tls/1"

func (c *Certificates) served(name string) error {
	if !c.options.Serves(name) {
		return fmt.Errorf("%s is not served", name)
	}
	return nil
}

// cached returns a certificate for a name that is in memory and good, or nil.
func (c *Certificates) cached(name string) *tls.Certificate {
	for _, cert := range c.cache.AllMatchingCertificates(name) {
		if !cert.Expired() {
			return &cert.Certificate
		}
	}
	return nil
}

// awaitOwn returns a certificate of an own name, for which the peer waits a while.
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
			return nil, fmt.Errorf("acme: there is no certificate for %s, and the gateway stops", name)
		}
	}
}

// onDemand returns the certificate of a name that is served. Where there is none it is made, and the peer waits a while.
func (c *Certificates) onDemand(name string, hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c.cached(name) != nil { // certmagic renews it in good time, meanwhile
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
		return nil, fmt.Errorf("acme: the certificate for %s is not there yet", name)
	}
}

// begin returns the making of a certificate, which it begins unless it is under way.
func (c *Certificates) begin(name string, hello *tls.ClientHelloInfo) (*making, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.making[name]; m != nil {
		return m, nil
	}
	switch f, failed := c.failed[name]; {
	case c.ctx.Err() != nil:
		return nil, fmt.Errorf("acme: there is no certificate for %s, and the gateway stops", name)
	case failed && time.Now().Before(f.until):
		return nil, f.err
	case len(c.making) >= mostAtOnce:
		return nil, fmt.Errorf("acme: too many certificates are being made for one for %s", name)
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

// fail remembers for a while why a name got no certificate. The caller holds c.mu.
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

// note hears of what certmagic does.
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
