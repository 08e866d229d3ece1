package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"reversehttp/server/gateway"
)

// certified makes an authority, and a certificate for a name that it signed. The file contains the authority.
func certified(t *testing.T, name string) (file string, cert tls.Certificate) {
	t.Helper()
	sign := func(template, by *x509.Certificate, with *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template.SerialNumber, template.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(time.Hour)
		if by == nil {
			by, with = template, key
		}
		der, err := x509.CreateCertificate(rand.Reader, template, by, &key.PublicKey, with)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c, key
	}
	root, rootKey := sign(&x509.Certificate{Subject: pkix.Name{CommonName: "an authority"}, IsCA: true, BasicConstraintsValid: true}, nil, nil)
	leaf, key := sign(&x509.Certificate{DNSNames: []string{name}}, root, rootKey)
	file = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}
}

// lendTLS runs a gateway that speaks TLS.
func lendTLS(t *testing.T, cert tls.Certificate) *lender {
	t.Helper()
	return lendBy(t, "127.0.0.1:0", "https://{label}.localhost:{port}/", gateway.Options{}, func(g *gateway.Gateway, l net.Listener) net.Listener {
		return g.ListenTLS(l, &tls.Config{Certificates: []tls.Certificate{cert}}, g.ALPN())
	})
}

func TestAPrivateCertificateIsTrustedByEveryTransport(t *testing.T) {
	file, cert := certified(t, "localhost")
	l := lendTLS(t, cert)
	client := l.visitor(t)
	client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{InsecureSkipVerify: true} // the certificate is for another name
	for _, transport := range []string{"auto", "link", "poll", "stream", "framed"} {
		r := l.claim(t, "echo", "--ca", file, "--transport", transport, "--verbose")
		resp, err := client.Get(r.url + "sealed")
		if got := content(t, resp, err); resp.StatusCode != 200 || !strings.Contains(got, `"target":"/sealed"`) {
			t.Errorf("%s: answer = %s %s", transport, resp.Status, got)
		}
		r.signals <- syscall.SIGTERM
		if code := r.exit(); code != exitDone {
			t.Errorf("%s: exit = %d %s", transport, code, r.stderr.String())
		}
		want := map[string]string{"poll": "by batches", "stream": "by a stream", "framed": "by a framed stream"}[transport]
		if want == "" {
			want = "by a link"
		}
		if log := r.stderr.String(); !strings.Contains(log, want) {
			t.Errorf("%s: log = %s, want requests %s", transport, log, want)
		}
	}
	t.Setenv("REVERSEHTTP_CA", file)
	l.claim(t, "echo")
}

func TestTheErrorForAnUntrustedCertificateSaysSo(t *testing.T) {
	_, cert := certified(t, "localhost")
	file, another := certified(t, "gateway.example")
	l, misnamed := lendTLS(t, cert), lendTLS(t, another)
	for _, c := range []struct {
		l    *lender
		args []string
		says string
	}{{l, nil, "--ca FILE"}, {l, []string{"--ca", file}, "--ca FILE"}, {misnamed, []string{"--ca", file}, "not valid for it: x509: certificate is valid for gateway.example"}} {
		r := start(t, append(c.args, "echo", "--gateway", c.l.origin)...)
		if code := r.exit(); code != exitUnreachable || !strings.Contains(r.stderr.String(), c.says) || strings.Contains(r.stderr.String(), "start one here") {
			t.Errorf("%q: exit = %d %s, want 4 and %q", c.args, code, r.stderr.String(), c.says)
		}
	}
}

// Without the client's own rule this fails where the resolver knows no names below localhost, such as glibc's.
func TestAGatewayBelowLocalhostIsOnThisMachine(t *testing.T) {
	l := lend(t, "http://{label}.gateway.localhost:{port}/", gateway.Options{})
	at := strings.Replace(l.origin, "//localhost:", "//gateway.localhost:", 1)
	r := start(t, "echo", "--gateway", at, "--label", "demo")
	if got := r.next("claimed").text("url"); got != strings.Replace(at, "//", "//demo.", 1)+"/" {
		t.Errorf("url = %q, want the label below gateway.localhost", got)
	}
}

func TestAFileWithoutCertificatesIsRefused(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for file, says := range map[string]string{
		"/does/not/exist": "no such file", t.TempDir(): "is a directory", "README.md": "no certificate in PEM", empty: "no certificate in PEM",
	} {
		var stdout, stderr buffer
		if code := run([]string{"echo", "--ca", file}, nil, &stdout, &stderr); code != exitUsage || !strings.Contains(stderr.String(), says) || !strings.Contains(stderr.String(), file) {
			t.Errorf("%s = %d %s, want 2 and %q", file, code, stderr.String(), says)
		}
	}
}
