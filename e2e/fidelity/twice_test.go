package fidelity

import (
	"context"
	"errors"
	"flag"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	reversehttp "reversehttp/sdk-go"
	"reversehttp/server/family"
	"reversehttp/server/gateway"
)

const label = "fidelity"

// transport is that of sdk-go; the default is the default of programs.
var transport = flag.String("transport", string(reversehttp.TransportAuto), "transport of sdk-go: auto, link, framed, stream or poll")

// way is one of the two ways to a handler.
type way struct {
	name string
	addr string // where a visitor connects
	host string // the Host field that a visitor sends
	path string // of the public URL, with a slash at its end
}

// The shapes of public URLs; {port} stands for the port of the gateway.
const (
	hostShape = "http://{label}.localhost:{port}/"
	pathShape = "http://localhost:{port}/at/{label}/"
)

// twice serves a handler on both ways until the test ends.
func twice(t testing.TB, h http.Handler) (direct, through way) {
	through = lend(t, h, hostShape)
	direct = way{"direct", serve(t, h), through.host, "/"}
	return direct, through
}

// twiceBelow does the same for a public URL in the path shape.
func twiceBelow(t testing.TB, h http.Handler) (direct, through way) {
	through = lend(t, h, pathShape)
	addr := serve(t, h)
	_, port, _ := net.SplitHostPort(addr)
	return way{"direct", addr, "localhost:" + port, through.path}, through
}

// serve serves a handler with net/http until the test ends.
func serve(t testing.TB, h http.Handler) (addr string) {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// patience is how long anything may take before a test gives up, and before the gateway gives up a program or a
// visitor: far longer than on a busy machine.
const patience = 10 * time.Minute

// lend serves a handler with sdk-go through a gateway of its own until the test ends.
func lend(t testing.TB, h http.Handler, shape string) way {
	start := startGateway
	if *clustered {
		start = startCluster
	}
	addr, client := start(t, shape)
	_, port, _ := net.SplitHostPort(addr)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := reversehttp.Claim(ctx, "http://localhost:"+port, &reversehttp.Options{Label: label, Transport: reversehttp.Transport(*transport), Client: client})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(h) }()
	t.Cleanup(func() {
		s.Close()
		select {
		case err := <-ended:
			if !errors.Is(err, reversehttp.ErrClosed) {
				t.Errorf("Serve = %v, want ErrClosed", err)
			}
		case <-time.After(patience):
			t.Error("Serve has not returned after Close")
		}
	})
	u, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	return way{"through", addr, u.Host, u.Path}
}

// startGateway starts a gateway, which ends with the test. It returns no client: programs use their own.
func startGateway(t testing.TB, shape string) (addr string, _ *http.Client) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	o := gateway.Options{PublicURL: strings.ReplaceAll(shape, "{port}", port), Loopback: true, Doors: family.Doors(family.Options{})}
	times := &o.Times
	for _, d := range []*time.Duration{&times.Acknowledge, &times.Closed, &times.NoPoller, &times.Answer, &times.Part, &times.Lease, &times.Unpolled} {
		*d = patience
	}
	g, err := gateway.New(o)
	if err != nil {
		t.Fatal(err)
	}
	server, served := g.Server(), make(chan struct{})
	go func() {
		defer close(served)
		server.Serve(gateway.Listen(l))
	}()
	t.Cleanup(func() {
		server.Close()
		<-served
		g.Close()
	})
	return l.Addr().String(), nil
}

// client returns a client for this way that follows no redirects and decompresses nothing.
func (w way) client(t testing.TB, connections int) *http.Client {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, w.addr)
		},
		MaxIdleConnsPerHost: connections,
		DisableCompression:  true,
		DisableKeepAlives:   *clustered,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       patience,
	}
}

func (w way) url() string { return "http://" + w.host + w.path }

// dial opens a connection, whose deadline is patience from now.
func (w way) dial(t testing.TB) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(patience))
	return conn
}
