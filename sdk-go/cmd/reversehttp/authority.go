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

// authority is who is trusted with the certificate of the gateway, besides whom the system trusts.
type authority struct{ roots *x509.CertPool }

// UnmarshalText is for kong: it reads the file that text names. No name is nobody besides.
func (a *authority) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	name := string(text)
	content, err := os.ReadFile(name)
	if err != nil {
		var why *fs.PathError
		if errors.As(err, &why) {
			err = why.Err // without the name, which is shown already
		}
		return fmt.Errorf("%q cannot be read: %w; give a file with certificates in PEM", name, err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		return fmt.Errorf("whom this machine trusts cannot be told: %w", err)
	}
	if !roots.AppendCertsFromPEM(content) {
		return fmt.Errorf("%q holds no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----", name)
	}
	a.roots = roots
	return nil
}

// client returns a client for the gateway, or nil where that of the SDK will do.
func (a *authority) client() *http.Client {
	if a.roots == nil {
		return nil
	}
	t := reversehttp.NewTransport()
	t.TLSClientConfig = &tls.Config{RootCAs: a.roots}
	return &http.Client{Transport: t}
}
