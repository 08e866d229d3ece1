package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"

	reversehttp "reversehttp/sdk-go"
)

// authority has the trusted roots for the certificate of the gateway, in addition to those of the
// system.
type authority struct{ roots *x509.CertPool }

// UnmarshalText reads the file that text names, for kong. An empty name means no additional roots.
func (a *authority) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	name := string(text)
	content, err := os.ReadFile(name)
	if err != nil {
		var why *fs.PathError
		if errors.As(err, &why) {
			err = why.Err // without the name, which the message already has
		}
		return fmt.Errorf("%q cannot be read: %w; use a file with certificates in PEM", name, err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		return fmt.Errorf("cannot read the trusted roots of this machine: %w", err)
	}
	if !roots.AppendCertsFromPEM(content) {
		return fmt.Errorf("%q holds no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----", name)
	}
	a.roots = roots
	return nil
}

// client returns a client for the gateway. Names below localhost are this machine, whatever its resolver knows. The
// caller has to close idle connections.
func (a *authority) client() *http.Client {
	t := reversehttp.NewTransport()
	t.DialContext = dialOnce
	if a.roots != nil {
		t.TLSClientConfig = &tls.Config{RootCAs: a.roots}
	}
	return &http.Client{Transport: t}
}
