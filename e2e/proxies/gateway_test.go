package proxies

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	reversehttp "reversehttp/sdk-go"
	"reversehttp/server/family"
	"reversehttp/server/gateway"
)

// lender is a gateway that counts the requests that reach it.
type lender struct {
	*httptest.Server
	host string // of its control origin

	mu     sync.Mutex // guards counts
	counts map[string]int
}

// lend runs a gateway under a host name until the test ends, within the handler that between returns.
func lend(t *testing.T, name string, secure bool, between func(http.Handler) http.Handler) *lender {
	t.Helper()
	l := &lender{Server: httptest.NewUnstartedServer(nil), counts: map[string]int{}}
	_, port, _ := net.SplitHostPort(l.Listener.Addr().String())
	l.host = name + ":" + port
	scheme := "http"
	if secure {
		scheme = "https"
	}
	o := gateway.Options{
		PublicURL: scheme + "://{label}." + l.host + "/", Loopback: name == "localhost", Doors: family.Doors(family.Options{}),
	}
	times := &o.Times
	for _, d := range []*time.Duration{&times.Acknowledge, &times.Closed, &times.NoPoller, &times.Answer, &times.Part, &times.Lease, &times.Unpolled} {
		*d = patience
	}
	g, err := gateway.New(o)
	if err != nil {
		t.Fatal(err)
	}
	var h http.Handler = g
	if between != nil {
		h = between(g)
	}
	l.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kind := r.Method + " " + r.Header.Get("Upgrade")
		if strings.HasSuffix(r.URL.Path, "/link") {
			kind = "link"
		} else if strings.Contains(r.Header.Get("Accept"), "ndjson") {
			kind = "stream"
		} else if strings.HasSuffix(r.URL.Path, "/requests") {
			kind = "batch"
		}
		l.mu.Lock()
		l.counts[kind]++
		l.mu.Unlock()
		h.ServeHTTP(w, r)
	})
	if secure {
		l.EnableHTTP2 = true
		l.TLS = &tls.Config{Certificates: []tls.Certificate{certificate(t, name)}}
		l.StartTLS()
	} else {
		l.Start()
	}
	t.Cleanup(func() {
		l.CloseClientConnections()
		l.Close()
		g.Close()
	})
	return l
}

func (l *lender) count(kind string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts[kind]
}

// visit sends content to the claim demo, without a proxy, and returns the answer.
func (l *lender) visit(t *testing.T, method, content string) string {
	t.Helper()
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", l.Listener.Addr().String())
		},
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}
	defer transport.CloseIdleConnections()
	scheme := "http"
	if l.TLS != nil {
		scheme = "https"
	}
	req, err := http.NewRequest(method, scheme+"://demo."+l.host+"/a?b", strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: transport, Timeout: patience}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(resp.StatusCode, " ", string(b))
}

// echo answers with the method, the URL and the content of the request.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	content, err := io.ReadAll(r.Body)
	fmt.Fprint(w, r.Method, " ", r.URL, " ", string(content), errText(err))
})

func errText(err error) string {
	if err == nil {
		return ""
	}
	return " " + err.Error()
}

// serve claims demo and serves echo until the test ends.
func serve(t *testing.T, origin string, o reversehttp.Options) *reversehttp.Session {
	t.Helper()
	o.Label = "demo"
	s, err := reversehttp.Claim(t.Context(), origin, &o)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(echo) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-served; !errors.Is(err, reversehttp.ErrClosed) {
			t.Errorf("Serve = %v, want ErrClosed", err)
		}
	})
	return s
}

// check visits with short content, and with content that is too long for the envelope.
func check(t *testing.T, l *lender) {
	t.Helper()
	for _, content := range []string{"", "hello", strings.Repeat("much ", 60_000)} {
		if got, want := l.visit(t, "POST", content), "200 POST /a?b "+content; got != want {
			t.Errorf("visitor got %.80q, %d bytes, want %.80q, %d bytes", got, len(got), want, len(want))
		}
	}
}
