package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"reversehttp/server/gateway"
)

func TestForwardAcceptsASelfSignedCertificateIfAsked(t *testing.T) {
	s := newTLS(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "secret") })
	l := lend(t, hostShape, gateway.Options{})
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		flags []string
		warns bool
	}{{[]string{"--upstream-ca", file}, false}, {[]string{"--upstream-insecure"}, true}, {[]string{"--insecure"}, true}} {
		r := l.claim(t, append([]string{"forward", s.URL}, c.flags...)...)
		resp, err := l.visitor(t).Get(r.url)
		if got := content(t, resp, err); got != "secret" {
			t.Errorf("with %v: %s %q", c.flags, resp.Status, got)
		}
		if got := r.stderr.String(); strings.Contains(got, "is not checked") != c.warns {
			t.Errorf("with %v: stderr %q, want a warning: %v", c.flags, got, c.warns)
		}
	}
	for _, flags := range [][]string{nil, {"--upstream-ca", otherCA(t)}} {
		r := l.claim(t, append([]string{"forward", s.URL}, flags...)...)
		resp, err := l.visitor(t).Get(r.url)
		if content(t, resp, err); resp.StatusCode != 502 {
			t.Errorf("with %v: %s, want 502", flags, resp.Status)
		}
		if x := r.next("exchange"); !strings.Contains(x.text("error"), "--upstream-ca FILE") {
			t.Errorf("event = %v, want a word about --upstream-ca", x)
		}
	}
	for _, args := range [][]string{{s.URL, "--upstream-ca", file, "--upstream-insecure"}, {"3000", "--upstream-insecure"}, {"3000", "--upstream-ca", file}} {
		if code := start(t, append([]string{"forward", "--gateway", l.origin}, args...)...).exit(); code != exitUsage {
			t.Errorf("%v: code %d, want %d", args, code, exitUsage)
		}
	}
}

// otherCA returns a file with a certificate that signed nothing.
func otherCA(t *testing.T) string {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	made, err := x509.CreateCertificate(rand.Reader, of, of, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "other.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: made}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestForwardReachesASocketOfUnix(t *testing.T) {
	file := filepath.Join(t.TempDir(), "app.sock")
	listener, err := net.Listen("unix", file)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			_, _ = io.WriteString(w, r.Host+" "+r.RequestURI)
			return
		}
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			return
		}
		defer c.CloseNow()
		kind, message, err := c.Read(r.Context())
		if err == nil {
			_ = c.Write(r.Context(), kind, message)
		}
		_, _, _ = c.Read(r.Context())
	})}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.Serve(listener)
	}()
	defer func() {
		_ = s.Close()
		<-served
	}()
	l := lend(t, hostShape, gateway.Options{})
	r := l.claim(t, "forward", "unix:"+file, "--host-header=rewrite", "--label=socket")
	resp, err := l.visitor(t).Get(r.url + "a%2Fb?c")
	if got, want := content(t, resp, err), "localhost /a%2Fb?c"; got != want {
		t.Errorf("the server was asked for %q, want %q", got, want)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client := l.visitor(t)
	client.Timeout = 0
	c, _, err := websocket.Dial(ctx, r.url, &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if err := c.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, got, err := c.Read(ctx); err != nil || string(got) != "hello" {
		t.Errorf("echo = %q %v, want hello", got, err)
	}
	_ = c.Close(websocket.StatusNormalClosure, "")
	r.next("exchange")
	r.next("exchange")
	recorded := start(t, "inspect", "socket", "--gateway", l.origin)
	if x := <-recorded.events; x["target"] != "/a%2Fb?c" {
		t.Errorf("inspect printed %v, want the request to the socket", x)
	}
}

func TestForwardWaitsForASocketThatDoesNotExistYet(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	r := l.claim(t, "forward", "unix:"+filepath.Join(t.TempDir(), "none.sock"))
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		if resp, err := l.visitor(t).Get(r.url); err == nil {
			resp.Body.Close()
		}
	}()
	if x := r.next("state"); x.text("state") != "waiting" || !strings.Contains(x.text("detail"), "none.sock") {
		t.Errorf("event = %v, want that nothing listens there yet", x)
	}
	if x := r.next("exchange"); x["status"] != 502.0 || !strings.Contains(x.text("error"), "nothing listens at unix:") {
		t.Errorf("event = %v, want 502 and why", x)
	}
	<-asked
	if code := start(t, "forward", "unix:", "--gateway", l.origin).exit(); code != exitUsage {
		t.Errorf("unix: without a path: code %d, want %d", code, exitUsage)
	}
}
