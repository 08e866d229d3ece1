// Package acmetest has what tests of certificates talk to, in their process and on loopback: Pebble, the small CA of Let's Encrypt
// that speaks ACME as the large one does, and a server of DNS that the CA and the gateway ask.
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

// CA is a CA that runs until a test ends.
type CA struct {
	// URL is that of its directory.
	URL string
	// RootFile has what its own certificate is signed with, in PEM, and Root is that.
	RootFile string
	Root     *x509.CertPool
	// Issued is what its certificates are signed with.
	Issued *x509.CertPool
}

// NewCA starts a CA that asks a server of DNS, and looks at these ports in place of 80 and 443.
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
