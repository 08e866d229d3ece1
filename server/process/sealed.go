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

// sealed is where the port has its certificates from: two files, or a CA that speaks ACME. Where it has neither it speaks in the
// clear.
type sealed struct {
	files   *certificate
	managed *acme.Certificates
}

// acme reports whether certificates come from a CA.
func (o *options) acme() bool { return o.ACMEEmail != "" || o.ACMECA != "" }

// checkTLS refuses flags of TLS that contradict each other.
func (o *options) checkTLS() error {
	switch {
	case o.TLSCert != "" && o.TLSKey == "":
		return fmt.Errorf("--tls-cert=%s: give its key too, with --tls-key", o.TLSCert)
	case o.TLSKey != "" && o.TLSCert == "":
		return fmt.Errorf("--tls-key=%s: give its certificate too, with --tls-cert", o.TLSKey)
	case o.HTTPListen != "" && o.TLSCert == "" && !o.acme():
		return fmt.Errorf("--http-listen=%s: it sends http: URLs to https:, which the port does not speak; give --acme-email, or --tls-cert and --tls-key", o.HTTPListen)
	case !o.acme():
		for flag, value := range map[string]string{"acme-ca-root": o.ACMECARoot, "acme-dir": o.ACMEDir, "acme-dns": o.ACMEDNS, "acme-dns-key": o.ACMEDNSKey} {
			if value != "" {
				return fmt.Errorf("--%s=%s: no CA is asked for certificates; give --acme-email, or --acme-ca", flag, value)
			}
		}
		return nil
	case o.TLSCert != "":
		return errors.New("--acme-email: certificates come from a CA or from --tls-cert, not from both; leave one of them out")
	case o.Data == "" && o.ACMEDir == "":
		return errors.New("--acme-email: certificates have to outlive the process, since a CA gives so many a week; give a directory for them with --data or --acme-dir")
	case o.PublicURL == "":
		return errors.New("--acme-email: a CA gives certificates for names of yours; give --public-url 'https://{label}.example.com/'")
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

// manage has the certificates from a CA, where one is named, of a gateway that listens at an address, and for the CA at the port
// of http, or 0.
func (o *options) manage(g *gateway.Gateway, at *net.TCPAddr, httpPort int, log *slog.Logger) (*acme.Certificates, error) {
	if !o.acme() {
		return nil, nil
	}
	public := g.Public()
	if public.Scheme != "https" {
		return nil, o.wrong(fmt.Errorf("--public-url=%s: with --acme-email the port speaks TLS; give a template that begins with https", o.PublicURL))
	}
	if publicurl.IsLocalName(public.ControlHost) && o.ACMECA == "" {
		return nil, o.wrong(fmt.Errorf("--public-url=%s: no public CA gives certificates for this machine's own names; give a name of yours, or --acme-ca", o.PublicURL))
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

// readRoots reads certificates in PEM.
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

// config returns what handshakes need, or nil in the clear.
func (s *sealed) config() *tls.Config {
	switch {
	case s.files != nil:
		return &tls.Config{GetCertificate: s.files.get}
	case s.managed != nil:
		return &tls.Config{GetCertificate: s.managed.Get}
	}
	return nil
}

// protocols adds to those of a port what the CA speaks.
func (s *sealed) protocols(all map[string]func(*tls.Conn)) map[string]func(*tls.Conn) {
	if s.managed == nil {
		return all
	}
	with := map[string]func(*tls.Conn){acme.ChallengeProtocol: func(*tls.Conn) {}} // the handshake is all of it
	for name, serve := range all {
		with[name] = serve
	}
	return with
}

// start has certificates made. The ports are open by then.
func (s *sealed) start() {
	if s.managed != nil {
		s.managed.Start()
	}
}

// reload looks at files again, and has the CA asked again where it gave nothing.
func (s *sealed) reload() {
	if s.files != nil {
		s.files.reload()
	}
	s.start()
}

// stop ends what makes certificates, before the ports close at which the CA looks.
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

// challenge answers the CA at the port of http.
func (s *sealed) challenge(w http.ResponseWriter, r *http.Request) bool {
	return s.managed != nil && s.managed.Challenge(w, r)
}

// checkAddress refuses what is no address to listen on, of a flag.
func checkAddress(flag, address string) error {
	if _, port, err := net.SplitHostPort(address); err != nil || port == "" || strings.ContainsAny(address, "/ ") {
		return fmt.Errorf("--%s=%s: give HOST:PORT, such as 127.0.0.1:8080, or :80 for all addresses of this machine", flag, address)
	}
	return nil
}
