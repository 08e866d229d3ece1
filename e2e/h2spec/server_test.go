package h2spec

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/summerwind/h2spec/config"

	reversehttp "reversehttp/sdk-go"
	"reversehttp/server/gateway"
)

// plainServer starts net/http with a handler of its own.
func plainServer(t *testing.T, inTLS bool) *config.Config {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: http.HandlerFunc(answer), Protocols: protocols}
	l := listen(t)
	serve(t, server, l, inTLS)
	return target(l, inTLS, "/")
}

// publicDoor starts a gateway with a claim, and returns the address for visitors.
func publicDoor(t *testing.T, inTLS bool) *config.Config {
	t.Helper()
	l, scheme := listen(t), "http://"
	if inTLS {
		scheme = "https://"
	}
	origin := scheme + l.Addr().String()
	g, err := gateway.New(gateway.Options{PublicURL: origin + "/at/{label}/", Loopback: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	client := http.DefaultClient
	if inTLS {
		lent := httptest.NewUnstartedServer(nil) // for its certificate
		lent.EnableHTTP2 = true
		lent.StartTLS()
		t.Cleanup(lent.Close)
		client = lent.Client()
		serve(t, g.Server(), g.ListenTLS(l, &tls.Config{Certificates: lent.TLS.Certificates}, nil), false)
	} else {
		serve(t, g.Server(), gateway.Listen(l), false)
	}
	s, err := reversehttp.Claim(context.Background(), origin, &reversehttp.Options{Label: "demo", Client: client})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.Serve(http.HandlerFunc(answer))
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-served
	})
	resp, err := client.Get(s.URL())
	if err != nil || resp.StatusCode != http.StatusOK || resp.ContentLength != int64(len(content)) {
		t.Fatalf("the claim answers %v %v", resp, err)
	}
	_ = resp.Body.Close()
	return target(l, inTLS, "/at/demo/")
}

var content = strings.Repeat("h2spec ", 20)

// answer reads the content of a request, and answers with short content.
func answer(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	_, _ = io.WriteString(w, content)
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// serve serves l until the test ends, over TLS of net/http or in the clear.
func serve(t *testing.T, server *http.Server, l net.Listener, inTLS bool) {
	t.Helper()
	server.ErrorLog = log.New(io.Discard, "", 0) // cases are malformed on purpose
	s := &httptest.Server{Listener: l, Config: server, EnableHTTP2: true}
	if inTLS {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
}

// target returns the configuration of h2spec for a server.
func target(l net.Listener, inTLS bool, path string) *config.Config {
	at := l.Addr().(*net.TCPAddr)
	return &config.Config{
		Host: at.IP.String(), Port: at.Port, Path: path,
		Timeout: timeout, MaxHeaderLen: 4000, Strict: true,
		TLS: inTLS, Insecure: true,
	}
}
