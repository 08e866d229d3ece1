package acme_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"reversehttp/server/acme"
	"reversehttp/server/acmetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// One for each account in a process, for its whole life; and one for each lock, which ends within 5
		// s.
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.(*RingBufferRateLimiter).loop"),
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"),
		goleak.IgnoreAnyFunction("github.com/letsencrypt/pebble/v2/va.VAImpl.processTasks"),
	)
}

// world is a CA, DNS, and ports that show certificates.
type world struct {
	t    *testing.T
	dns  *acmetest.DNS
	ca   *acmetest.CA
	tls  net.Listener
	http *httptest.Server
	dir  string

	mu      sync.Mutex // guards the fields below
	serves  map[string]bool
	current *acme.Certificates
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dns: acmetest.NewDNS(t), dir: t.TempDir(), serves: make(map[string]bool)}
	w.http = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if c := w.certificates(); c == nil || !c.Challenge(rw, r) {
			rw.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(w.http.Close)
	below, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.tls = tls.NewListener(below, &tls.Config{NextProtos: []string{"http/1.1", acme.ChallengeProtocol}, GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		return w.certificates().Get(hello)
	}})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := w.tls.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer func() { _ = c.Close() }()
				if c.(*tls.Conn).Handshake() == nil {
					_, _ = c.Write([]byte("x"))
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = w.tls.Close()
		running.Wait()
	})
	w.ca = acmetest.NewCA(t, w.dns, portOf(w.http.Listener), portOf(w.tls))
	return w
}

func portOf(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

func (w *world) certificates() *acme.Certificates {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.current
}

// serve sets whether names are served.
func (w *world) serve(served bool, names ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range names {
		w.serves[name] = served
	}
}

// start starts certificates, with options changed by change, until the returned function is called or the
// test ends.
func (w *world) start(change func(*acme.Options)) (stop func()) {
	w.t.Helper()
	o := acme.Options{
		CA: w.ca.URL, Roots: w.ca.Root, Dir: w.dir, Own: []string{"gateway.test"}, Parent: "gateway.test", Host: "127.0.0.1", TLSPort: portOf(w.tls),
		Serves: func(name string) bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.serves[name]
		},
		Wait: 1 << 40, Log: slog.New(slog.NewTextHandler(w.t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&o)
	}
	c, err := acme.New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	w.current = c
	w.mu.Unlock()
	c.Start()
	stop = sync.OnceFunc(func() { c.Close() })
	w.t.Cleanup(stop)
	return stop
}

// handshake connects to a name and returns the certificate.
func (w *world) handshake(name string) (*x509.Certificate, error) {
	c, err := tls.Dial("tcp", w.tls.Addr().String(), &tls.Config{ServerName: name, RootCAs: w.ca.Issued})
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	_, err = c.Read(make([]byte, 1))
	return c.ConnectionState().PeerCertificates[0], err
}

// has fails unless a name has a certificate. It returns the certificate's first name.
func (w *world) has(name string) *x509.Certificate {
	w.t.Helper()
	cert, err := w.handshake(name)
	if err != nil {
		w.t.Fatalf("%s: %v", name, err)
	}
	return cert
}

// orders returns how many certificates are stored for names with a suffix.
func (w *world) orders(suffix string) int {
	w.t.Helper()
	found, err := filepath.Glob(filepath.Join(w.dir, "certificates", "*", "*", "*"+suffix+".crt"))
	if err != nil {
		w.t.Fatal(err)
	}
	return len(found)
}

func TestANameThatIsServedGetsACertificateWhenItIsAskedFor(t *testing.T) {
	w := newWorld(t)
	stop := w.start(nil)
	w.serve(true, "demo.gateway.test")
	w.has("gateway.test")
	first := w.has("demo.gateway.test")
	if got := first.DNSNames; len(got) != 1 || got[0] != "demo.gateway.test" {
		t.Errorf("names %v, want its own only", got)
	}
	if again := w.has("demo.gateway.test"); !again.Equal(first) {
		t.Error("the second peer got another certificate")
	}
	stop()
	w.start(nil)
	if again := w.has("demo.gateway.test"); !again.Equal(first) {
		t.Error("after a restart it is another certificate")
	}
	_ = filepath.WalkDir(w.dir, func(path string, d os.DirEntry, err error) error {
		if info, e := d.Info(); err != nil || e != nil || info.Mode().Perm()&0o077 != 0 && path != w.dir && filepath.Ext(path) != ".lock" {
			t.Errorf("%s is %v: others can read it, %v %v", path, info.Mode(), err, e)
		}
		return nil
	})
}

func TestANameThatIsNotServedGetsNoCertificate(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	w.has("gateway.test")
	for _, name := range []string{"demo.gateway.test", "other.test", "x.demo.gateway.test", "127.0.0.2"} {
		cert, err := w.handshake(name)
		if err == nil || name != "127.0.0.2" && !strings.Contains(err.Error(), "unrecognized name") {
			t.Errorf("%s: %v %v, want unrecognized_name", name, cert, err)
		}
	}
	w.serve(true, "demo.gateway.test")
	w.has("demo.gateway.test")
	w.serve(false, "demo.gateway.test")
	if _, err := w.handshake("demo.gateway.test"); err == nil {
		t.Error("a name that is no longer served still gets its certificate")
	}
	if n := w.orders(""); n != 2 {
		t.Errorf("%d certificates were made, want those of the gateway and of demo", n)
	}
}

// TestAccountsWithoutAnAddress requests the first certificate of an account for a name of either kind.
func TestAccountsWithoutAnAddress(t *testing.T) {
	w := newWorld(t)
	stop := w.start(func(o *acme.Options) { o.Own = []string{"first.gateway.test"} })
	w.has("first.gateway.test")
	w.serve(true, "demo.gateway.test")
	w.has("demo.gateway.test")
	stop()
	w.serve(true, "other.gateway.test")
	w.start(func(o *acme.Options) { o.Own = []string{"second.gateway.test"} })
	w.has("second.gateway.test")
	w.has("other.gateway.test")
}

func TestConcurrentPeersCauseOneOrder(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	w.serve(true, "demo.gateway.test")
	var all sync.WaitGroup
	serials := make([]string, 20)
	for i := range serials {
		all.Go(func() {
			if cert, err := w.handshake("demo.gateway.test"); err == nil {
				serials[i] = cert.SerialNumber.String()
			}
		})
	}
	all.Wait()
	for _, serial := range serials {
		if serial == "" || serial != serials[0] {
			t.Fatalf("certificates %v, want one for all", serials)
		}
	}
}

// In TestStrangersDoNotUseUpTheCA one address requests certificates for names that it claimed until it is
// refused.
func TestStrangersDoNotUseUpTheCA(t *testing.T) {
	w := newWorld(t)
	stop := w.start(func(o *acme.Options) { o.PerWeek = 3 })
	w.serve(true, "a.gateway.test", "b.gateway.test", "c.gateway.test", "d.gateway.test", "hooks.example.test")
	for _, name := range []string{"a.gateway.test", "b.gateway.test", "c.gateway.test"} {
		w.has(name)
	}
	refused := func(when string) {
		t.Helper()
		if _, err := w.handshake("d.gateway.test"); err == nil {
			t.Errorf("%s: a fourth label got a certificate, with 3 a week", when)
		}
	}
	refused("at once")
	w.has("a.gateway.test") // existing certificates are still served
	w.has("hooks.example.test")
	stop()
	w.start(func(o *acme.Options) { o.PerWeek = 3 })
	w.has("c.gateway.test")
	refused("after a restart")
	if n := w.orders("d.gateway.test"); n != 0 {
		t.Errorf("%d certificates for the fourth label", n)
	}
}

func TestChallengesByHTTPIfThereIsAPort(t *testing.T) {
	w := newWorld(t)
	w.start(func(o *acme.Options) {
		o.HTTPPort, o.TLSPort, o.Email = portOf(w.http.Listener), 0, "operator@gateway.test"
	})
	w.serve(true, "demo.gateway.test")
	w.has("demo.gateway.test")
}

func TestAWildcardByDNS(t *testing.T) {
	w := newWorld(t)
	key, err := acme.NewDNS(w.dns.Address, acmetest.Key)
	if err != nil {
		t.Fatal(err)
	}
	w.start(func(o *acme.Options) {
		o.Own, o.DNS, o.Resolver = []string{"gateway.test", "*.gateway.test"}, key, w.dns.Address
		o.PerWeek = 1
	})
	for _, label := range []string{"one", "two", "three"} {
		if got := w.has(label + ".gateway.test").DNSNames; len(got) != 1 || got[0] != "*.gateway.test" {
			t.Errorf("names %v, want the wildcard", got)
		}
	}
	w.serve(true, "hooks.example.test") // the zone belongs to somebody else
	w.has("hooks.example.test")
	if left := w.dns.Texts("_acme-challenge.gateway.test"); len(left) != 0 {
		t.Errorf("records are left: %v", left)
	}
}

func TestNothingIsOrderedOnceTheGatewayStops(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	w.serve(true, "demo.gateway.test", "late.gateway.test")
	w.has("gateway.test")
	w.has("demo.gateway.test")
	w.certificates().Stop()
	if _, err := w.handshake("late.gateway.test"); err == nil {
		t.Error("a certificate was made while the gateway stops")
	}
	w.has("demo.gateway.test")
	w.has("gateway.test")
}

func TestANameThatGotNoCertificateIsNotTriedAgainAtOnce(t *testing.T) {
	var looked sync.Map // by the path of a challenge: the CA may look several times for one
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		looked.Store(r.URL.Path, true)
		w.WriteHeader(http.StatusNotFound)
	}))
	t.Cleanup(refusing.Close)
	w := newWorld(t)
	w.ca = acmetest.NewCA(t, w.dns, portOf(refusing.Listener), portOf(w.tls))
	w.start(func(o *acme.Options) {
		o.HTTPPort, o.TLSPort, o.Own = portOf(refusing.Listener), 0, []string{"*.nobody.test"}
	})
	w.serve(true, "demo.gateway.test")
	if _, err := w.handshake("demo.gateway.test"); err == nil {
		t.Fatal("a certificate without a challenge that was met")
	}
	for range 5 {
		if _, err := w.handshake("demo.gateway.test"); err == nil {
			t.Error("a certificate without a challenge that was met")
		}
	}
	n := 0
	looked.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("%d orders were tried, want 1", n)
	}
}

func TestExpiredCertificatesAreDropped(t *testing.T) {
	w := newWorld(t)
	dir := filepath.Join(w.dir, "certificates", "ca", "old.gateway.test")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"old.gateway.test"}, NotAfter: time.Now().Add(-15 * 24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"old.gateway.test.crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), "old.gateway.test.key": []byte("key"), "old.gateway.test.json": []byte("{}")} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.start(nil)
	for {
		if _, err := os.Stat(dir); os.IsNotExist(err) {
			break
		}
		if err := t.Context().Err(); err != nil {
			t.Fatal(err)
		}
		runtime.Gosched()
	}
	w.has("gateway.test") // this one was not refused
}

func TestOnlyAValidKeyForDNSIsAccepted(t *testing.T) {
	for key, says := range map[string]string{
		acmetest.Key: "", "key gateway { algorithm hmac-sha512; secret c2VjcmV0; };": "", "": "tsig-keygen",
		`key "a" { algorithm hmac-sha256; };`: "tsig-keygen", `key "a" { algorithm hmac-sha256; secret "abc"; };`: "base64",
	} {
		if _, err := acme.NewDNS("192.0.2.1", key); (says == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", key, err, says)
		}
	}
}
