package process

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"
)

// signed returns a certificate and its key, signed by another or by itself.
func signed(t *testing.T, isCA bool, by *x509.Certificate, with *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: isCA, BasicConstraintsValid: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if by == nil {
		by, with = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by, &key.PublicKey, with)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return c, key
}

func TestAPeerHasACertificateOfTheCA(t *testing.T) {
	ca, key := signed(t, true, nil, nil)
	foreign, foreignKey := signed(t, true, nil, nil)
	known := x509.NewCertPool()
	known.AddCert(ca)
	between, betweenKey := signed(t, true, ca, key)
	check := func(chain ...*x509.Certificate) error {
		return signedBy(known)(tls.ConnectionState{PeerCertificates: chain})
	}
	ours, _ := signed(t, false, ca, key)
	if err := check(ours); err != nil {
		t.Errorf("a certificate of the CA, for no host: %v", err)
	}
	ours, _ = signed(t, false, between, betweenKey)
	if err := check(ours, between); err != nil {
		t.Errorf("a certificate of a CA of the CA: %v", err)
	}
	theirs, _ := signed(t, false, foreign, foreignKey)
	if check(theirs) == nil || check(theirs, foreign) == nil {
		t.Error("a certificate of another CA is accepted")
	}
	if own, _ := signed(t, false, nil, nil); check(own) == nil {
		t.Error("a certificate that signs itself is accepted")
	}
}
