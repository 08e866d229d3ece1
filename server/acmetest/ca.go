// Package acmetest runs servers for tests of certificates, in the same process and on loopback:
// Pebble, Let's Encrypt's small ACME server for tests, and a DNS server for both the CA and the
// gateway.
package acmetest

import (
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
)

// CA is an ACME server that runs until a test ends.
type CA struct {
	// URL is the URL of its directory.
	URL string
	// RootFile is a PEM file with the root of the CA's own HTTPS certificate, and Root is that
	// root.
	RootFile string
	Root     *x509.CertPool
	// Issued has the root of the certificates that it issues.
	Issued *x509.CertPool
}

// NewCA starts a CA that resolves names by dns and validates at the given ports instead of 80 and
// 443.
func NewCA(t testing.TB, dns *DNS, httpPort, tlsPort int) *CA {
	t.Helper()
	for name, value := range map[string]string{"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0"} {
		if err := os.Setenv(name, value); err != nil {
			t.Fatal(err)
		}
	}
	out := log.New(io.Discard, "", 0)
	if testing.Verbose() {
		out.SetOutput(t.Output())
	}
	store := db.NewMemoryStore()
	authority := ca.New(out, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {}})
	front := wfe.New(out, store, va.New(out, httpPort, tlsPort, false, dns.Address, store), authority, []string{"ca.test"}, false, false, 1, 1)
	server := httptest.NewTLSServer(front.Handler())
	t.Cleanup(server.Close)
	c := &CA{URL: server.URL + wfe.DirectoryPath, RootFile: filepath.Join(t.TempDir(), "root.pem"), Root: x509.NewCertPool(), Issued: x509.NewCertPool()}
	c.Root.AddCert(server.Certificate())
	if err := os.WriteFile(c.RootFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	if !c.Issued.AppendCertsFromPEM(authority.GetRootCert(0).PEM()) {
		t.Fatal("the CA has no root")
	}
	return c
}
