package process

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// certify writes a certificate for a name, and its key, in a directory.
func certify(t *testing.T, dir, name string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func TestWithACertificateTheGatewaySpeaksTLS(t *testing.T) {
	cert, key := certify(t, t.TempDir(), "localhost")
	p := start(t, "--tls-cert="+cert, "--tls-key="+key)
	if !strings.Contains(p.first, "console: https://localhost:") || !strings.Contains(p.first, "public URLs: https://{label}.localhost:") {
		t.Errorf("first line = %q", p.first)
	}
	status, a := p.claim("t0")
	if status != 201 || !strings.HasPrefix(a.URL, "https://demo.localhost:") || !strings.HasPrefix(a.Requests, "https://") {
		t.Errorf("claim = %d %+v", status, a)
	}
	id, visit := p.delivered(a)
	if status, _ := p.send("POST", a.Responses, "t0", map[string]any{"type": "response", "id": id, "status": 200, "body": "sealed"}); status != 202 {
		t.Errorf("answer = %d", status)
	}
	if got := <-visit; got.status != 200 || string(got.content) != "sealed" {
		t.Errorf("visit = %d %s", got.status, got.content)
	}
	p.signals <- syscall.SIGTERM
	p.ended()
	if log := p.log.String(); !strings.Contains(log, "certificate read") || strings.Contains(log, "a proxy must") {
		t.Errorf("log = %s", log)
	}
}

func TestPublicURLsOfAnotherSchemeThanThePortAreLogged(t *testing.T) {
	p := start(t, "--public-url=https://{label}.example.com/")
	if log := p.log.String(); !strings.Contains(log, "a proxy must") {
		t.Errorf("log = %s", log)
	}
}

func TestAChangedCertificateIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	cert, key := certify(t, dir, "first")
	var log bytes.Buffer
	c, err := (&options{TLSCert: cert, TLSKey: key}).certificate(slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	name := func() string {
		t.Helper()
		pair, err := c.get(&tls.ClientHelloInfo{})
		if err != nil {
			t.Fatal(err)
		}
		return pair.Leaf.DNSNames[0]
	}
	certify(t, dir, "second")
	if got := name(); got != "first" {
		t.Errorf("at once it is %s", got)
	}
	c.looked = time.Now().Add(-lookEvery)
	if got := name(); got != "second" {
		t.Errorf("after a while it is %s", got)
	}
	certify(t, dir, "third")
	if c.reload(); name() != "third" {
		t.Errorf("after SIGHUP it is %s", name())
	}
	certify(t, dir, "second")
	c.reload()
	if err := os.WriteFile(cert, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.looked = time.Now().Add(-lookEvery)
	if got := name(); got != "second" || !strings.Contains(log.String(), "cannot read the certificate again") {
		t.Errorf("after half a file it is %s, log %s", got, log.String())
	}
}

func TestTheErrorForAnUnusableCertificateHasTheReason(t *testing.T) {
	cert, key := certify(t, t.TempDir(), "a")
	_, other := certify(t, t.TempDir(), "b")
	for _, c := range []struct{ cert, key, says string }{
		{cert, "", "set its key with --tls-key as well"}, {"", key, "set its certificate with --tls-cert as well"},
		{"/does/not/exist", key, "no such file"}, {cert, other, "does not match"}, {key, key, "PEM files"},
	} {
		o, err := parse([]string{"--listen=127.0.0.1:0", "--tls-cert=" + c.cert, "--tls-key=" + c.key})
		if err == nil {
			err = run(o, nil, io.Discard, io.Discard)
		}
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.HasPrefix(err.Error(), "--tls-") {
			t.Errorf("%q %q: %v, want an error that says %q", c.cert, c.key, err, c.says)
		}
	}
}
