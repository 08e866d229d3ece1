package peer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"testing"
	"time"
)

// authority is a CA that signs certificates of nodes on this machine.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, key: newKey(t)}
	a.cert = a.sign(&x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, a.key, nil, a.key)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *authority) sign(of *x509.Certificate, key *ecdsa.PrivateKey, by *x509.Certificate, with *ecdsa.PrivateKey) *x509.Certificate {
	a.t.Helper()
	of.SerialNumber, of.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: "test"}
	of.NotBefore, of.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if by == nil {
		by = of
	}
	der, err := x509.CreateCertificate(rand.Reader, of, by, &key.PublicKey, with)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert
}

// configs returns the configurations of a node with a certificate of the CA.
func (a *authority) configs() (serves, calls *tls.Config) {
	a.t.Helper()
	key := newKey(a.t)
	cert := a.sign(&x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, key, a.cert, a.key)
	own := tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
	known := x509.NewCertPool()
	known.AddCert(a.cert)
	serves = &tls.Config{MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: known, Certificates: []tls.Certificate{own}}
	calls = &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: known, Certificates: []tls.Certificate{own}}
	return serves, calls
}

func TestNodesSpeakTLSWithCertificatesOfOneCA(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	serves, calls := ours.configs()
	p := newPairOver(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "sealed") }, nil, serves, calls)
	if resp, got := p.get(t); resp.StatusCode != http.StatusOK || got != "sealed" {
		t.Fatalf("%d %q", resp.StatusCode, got)
	}
	at := Node{Name: "home", Run: "h", Address: p.home.Addr().String()}
	_, foreign := theirs.configs()
	trusting := foreign.Clone()
	trusting.RootCAs = p.pool.TLS.RootCAs
	bare := p.pool.TLS.Clone()
	bare.Certificates = nil
	for name, config := range map[string]*tls.Config{"of another CA": foreign, "with a certificate of another CA": trusting, "without a certificate": bare, "without TLS": nil} {
		pool := &Pool{Node: "entry", Run: "e", TLS: config}
		if err := pool.Ping(t.Context(), at); err == nil {
			t.Errorf("a node %s was let in", name)
		} else if other := new(OtherError); errors.As(err, &other) {
			t.Errorf("a node %s got as far as %v", name, err)
		}
		pool.Close()
	}
}
