package process

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"reversehttp/server/acme"
	"reversehttp/server/gateway"
	"reversehttp/server/publicurl"
)

// sealed is the source of the port's certificates: two files, or a CA by ACME. If it has neither,
// the port does not speak TLS.
type sealed struct {
	files   *certificate
	managed *acme.Certificates
}

// acme reports whether certificates come from a CA.
func (o *options) acme() bool { return o.ACMEEmail != "" || o.ACMECA != "" }

// checkTLS returns an error if flags of TLS contradict each other.
func (o *options) checkTLS() error {
	switch {
	case o.TLSCert != "" && o.TLSKey == "":
		return fmt.Errorf("--tls-cert=%s: set its key with --tls-key as well", o.TLSCert)
	case o.TLSKey != "" && o.TLSCert == "":
		return fmt.Errorf("--tls-key=%s: set its certificate with --tls-cert as well", o.TLSKey)
	case o.HTTPListen != "" && o.TLSCert == "" && !o.acme():
		return fmt.Errorf("--http-listen=%s: it redirects http: URLs to https:, which the port does not speak; set --acme-email, or --tls-cert and --tls-key", o.HTTPListen)
	case !o.acme():
		for flag, value := range map[string]string{"acme-ca-root": o.ACMECARoot, "acme-dir": o.ACMEDir, "acme-dns": o.ACMEDNS, "acme-dns-key": o.ACMEDNSKey} {
			if value != "" {
				return fmt.Errorf("--%s=%s: no CA is set; set --acme-email or --acme-ca", flag, value)
			}
		}
		return nil
	case o.TLSCert != "":
		return errors.New("--acme-email: certificates come from a CA or from --tls-cert, not from both; leave one of them out")
	case o.Data == "" && o.ACMEDir == "":
		return errors.New("--acme-email: certificates must outlive the process, since a CA limits them a week; set a directory for them with --data or --acme-dir")
	case o.PublicURL == "":
		return errors.New("--acme-email: a CA issues certificates for domains of your own; set --public-url 'https://{label}.example.com/'")
	case (o.ACMEDNS == "") != (o.ACMEDNSKey == ""):
		return fmt.Errorf("--acme-dns=%s --acme-dns-key=%s: give both, or neither", o.ACMEDNS, o.ACMEDNSKey)
	case o.ACMEPerWeek == 0:
		return errors.New("--acme-per-week=0: give a number above 0, or a negative one for no bound")
	}
	if u, err := url.Parse(o.ACMECA); o.ACMECA != "" && (err != nil || u.Scheme != "https" || u.Host == "") {
		return fmt.Errorf("--acme-ca=%s: give the URL of its directory, such as %s", o.ACMECA, acme.LetsEncrypt)
	}
	return nil
}

// manage sets up certificates from the CA, if there is one, for a gateway that listens at an
// address. httpPort is the port at which it answers the CA by HTTP, or 0.
func (o *options) manage(g *gateway.Gateway, at *net.TCPAddr, httpPort int, log *slog.Logger) (*acme.Certificates, error) {
	if !o.acme() {
		return nil, nil
	}
	public := g.Public()
	if public.Scheme != "https" {
		return nil, o.wrong(fmt.Errorf("--public-url=%s: with --acme-email the port speaks TLS; use a template that begins with https", o.PublicURL))
	}
	if publicurl.IsLocalName(public.ControlHost) && o.ACMECA == "" {
		return nil, o.wrong(fmt.Errorf("--public-url=%s: no public CA issues certificates for local names; use a domain of your own, or set --acme-ca", o.PublicURL))
	}
	settings := acme.Options{
		Email: o.ACMEEmail, CA: o.ACMECA, Dir: o.ACMEDir, Own: []string{public.ControlHost}, Resolver: o.Resolver, Serves: g.Serves,
		Parent: public.ControlHost, PerWeek: o.ACMEPerWeek, TLSPort: at.Port, HTTPPort: httpPort, Wait: min(o.FieldTime, time.Minute), Log: log,
	}
	if !at.IP.IsUnspecified() {
		settings.Host = at.IP.String()
	}
	if settings.Dir == "" {
		settings.Dir = filepath.Join(o.Data, "acme")
	}
	var err error
	if o.ACMECARoot != "" {
		if settings.Roots, err = readRoots(o.ACMECARoot); err != nil {
			return nil, o.wrong(fmt.Errorf("--acme-ca-root=%s: %w", o.ACMECARoot, err))
		}
	}
	if o.ACMEDNS != "" {
		key, err := os.ReadFile(o.ACMEDNSKey)
		if err == nil {
			settings.DNS, err = acme.NewDNS(o.ACMEDNS, string(key))
		}
		if err != nil {
			return nil, o.wrong(fmt.Errorf("--acme-dns-key=%s: %w", o.ACMEDNSKey, err))
		}
		if public.PathPrefix == "" {
			settings.Own = append(settings.Own, "*."+public.ControlHost)
		}
	}
	if err := os.MkdirAll(settings.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("--acme-dir=%s: %w; choose a directory that this user may write", settings.Dir, err)
	}
	return acme.New(settings)
}

// readRoots reads root certificates from a PEM file.
func readRoots(file string) (*x509.CertPool, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(content) {
		return nil, errors.New("it has no certificate in PEM")
	}
	return pool, nil
}

// config returns the configuration for TLS, or nil if the port does not speak it.
func (s *sealed) config() *tls.Config {
	switch {
	case s.files != nil:
		return &tls.Config{GetCertificate: s.files.get}
	case s.managed != nil:
		return &tls.Config{GetCertificate: s.managed.Get}
	}
	return nil
}

// protocols adds the challenge protocol of the CA to the protocols of a port.
func (s *sealed) protocols(all map[string]func(*tls.Conn)) map[string]func(*tls.Conn) {
	if s.managed == nil {
		return all
	}
	with := map[string]func(*tls.Conn){acme.ChallengeProtocol: func(*tls.Conn) {}} // the challenge is the handshake itself
	for name, serve := range all {
		with[name] = serve
	}
	return with
}

// start begins to obtain certificates. The ports must be open.
func (s *sealed) start() {
	if s.managed != nil {
		s.managed.Start()
	}
}

// reload reads the files again if they changed, and asks the CA again for missing certificates.
func (s *sealed) reload() {
	if s.files != nil {
		s.files.reload()
	}
	s.start()
}

// stop stops obtaining certificates. Call it before the ports close, since the CA connects to them.
func (s *sealed) stop() {
	if s.managed != nil {
		s.managed.Stop()
	}
}

func (s *sealed) close() {
	if s.managed != nil {
		s.managed.Close()
	}
}

// challenge answers the CA at the HTTP port, and reports whether r was a challenge.
func (s *sealed) challenge(w http.ResponseWriter, r *http.Request) bool {
	return s.managed != nil && s.managed.Challenge(w, r)
}

// checkAddress returns an error if the value of a flag is not an address to listen on.
func checkAddress(flag, address string) error {
	if _, port, err := net.SplitHostPort(address); err != nil || port == "" || strings.ContainsAny(address, "/ ") {
		return fmt.Errorf("--%s=%s: give HOST:PORT, such as 127.0.0.1:8080, or :80 for all addresses of this machine", flag, address)
	}
	return nil
}
