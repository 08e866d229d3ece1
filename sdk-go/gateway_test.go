package reversehttp_test

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"reversehttp/e2e/cluster/trio"
	reversehttp "reversehttp/sdk-go"
	"reversehttp/server/family"
	"reversehttp/server/gateway"
)

var clustered = flag.Bool("cluster", false, "three gateways that are one, in place of one gateway; each connection is to another")

// lender is a real gateway on its own port.
type lender struct {
	addr, origin string
	*gateway.Gateway
}

// patience bounds how long a test waits for anything: far longer than it takes on a busy machine.
const patience = 10 * time.Minute

// lend runs a gateway until the test ends. {port} in the shape stands for its port. It never gives up on
// programs, however busy the machine is.
func lend(t testing.TB, shape string, o gateway.Options) *lender {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	o.PublicURL = strings.ReplaceAll(shape, "{port}", port)
	o.Loopback = true
	times := &o.Times
	for _, d := range []*time.Duration{&times.Acknowledge, &times.Closed, &times.NoPoller, &times.Answer, &times.Part, &times.Lease, &times.Unpolled} {
		*d = cmp.Or(*d, patience)
	}
	if o.Doors == nil {
		o.Doors = family.Doors(family.Options{})
	}
	if *clustered {
		return &lender{addr: l.Addr().String(), origin: "http://localhost:" + port, Gateway: trio.Serve(t, l, o)[0]}
	}
	g, err := gateway.New(o)
	if err != nil {
		t.Fatal(err)
	}
	server := g.Server()
	served := make(chan struct{})
	go func() {
		defer close(served)
		server.Serve(gateway.Listen(l))
	}()
	t.Cleanup(func() {
		server.Close()
		<-served
		g.Close()
	})
	return &lender{addr: l.Addr().String(), origin: "http://localhost:" + port, Gateway: g}
}

const (
	hostShape = "http://{label}.localhost:{port}/"
	pathShape = "http://localhost:{port}/at/{label}/"
)

// client returns a client that resolves every name to the gateway and follows no redirect, until the test
// ends.
func (l *lender) client(t testing.TB) *http.Client {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, l.addr)
		},
		MaxIdleConnsPerHost: 128,
		DisableCompression:  true,
		DisableKeepAlives:   *clustered,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// transport is used by sessions of tests that choose none, neither themselves nor by [overEach].
var transport = flag.String("transport", "framed", "transport of sessions")

// overEach runs a test with sessions of each transport, side by side.
func overEach(t *testing.T, run func(t *testing.T)) {
	for _, by := range transports {
		t.Run(string(by), func(t *testing.T) {
			t.Parallel()
			run(t)
		})
	}
}

var transports = []reversehttp.Transport{reversehttp.TransportPoll, reversehttp.TransportStream, reversehttp.TransportFramed, reversehttp.TransportLink}

// transportOf returns the transport for the sessions of a test, by the name of the test or of one around it.
func transportOf(t testing.TB) reversehttp.Transport {
	for name := range strings.SplitSeq(t.Name(), "/") {
		if by := reversehttp.Transport(name); slices.Contains(transports, by) {
			return by
		}
	}
	return reversehttp.Transport(*transport)
}

// serve claims and serves until the test ends.
func (l *lender) serve(t testing.TB, h http.Handler, o *reversehttp.Options) *reversehttp.Session {
	if o == nil {
		o = &reversehttp.Options{}
	}
	if o.Transport == "" {
		o.Transport = transportOf(t)
	}
	if o.Client == nil {
		o.Client = l.client(t)
	}
	s, err := reversehttp.Claim(context.Background(), l.origin, o)
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
	return s
}

func TestAnInvalidURLReachesTheHandlerAndAProxyBehindIt(t *testing.T) {
	for _, shape := range []string{hostShape, pathShape} {
		var got []string
		relay := &httputil.ReverseProxy{
			Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", "origin.test" },
			Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				got = append(got, r.URL.RequestURI())
				return nil, errors.New("seen")
			}),
			ErrorHandler: func(w http.ResponseWriter, r *http.Request, _ error) {
				io.WriteString(w, r.RequestURI+" "+r.URL.Path+" "+reversehttp.RequestInfo(r.Context()).Target)
			},
		}
		l := lend(t, shape, gateway.Options{})
		s := l.serve(t, relay, nil)
		base, err := url.Parse(s.URL())
		if err != nil {
			t.Fatal(err)
		}
		below := strings.TrimSuffix(base.Path, "/")
		resp := visit(t, l.addr, base.Host, below, "GET /%zz/%?a=b")
		if body, want := readBody(t, resp), "/%zz/%?a=b /%zz/% "+below+"/%zz/%?a=b"; body != want {
			t.Errorf("handler saw %q, want %q", body, want)
		}
		if want := []string{"/%zz/%?a=b"}; !slices.Equal(got, want) {
			t.Errorf("the proxy sent on %q, want %q", got, want)
		}
	}
}

// BenchmarkVisits measures visitor, gateway and session together.
func BenchmarkVisits(b *testing.B) {
	for _, visitors := range []int{1, 64} {
		b.Run(fmt.Sprint(visitors), func(b *testing.B) {
			l := lend(b, hostShape, gateway.Options{})
			s := l.serve(b, handle(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }), nil)
			client := l.client(b)
			b.ReportAllocs()
			b.ResetTimer()
			work := make(chan bool)
			var wg sync.WaitGroup
			for range visitors {
				wg.Go(func() {
					for range work {
						resp, err := client.Get(s.URL())
						if err != nil || resp.StatusCode != http.StatusOK {
							b.Error(resp, err)
							continue
						}
						io.Copy(io.Discard, resp.Body)
						resp.Body.Close()
					}
				})
			}
			for b.Loop() {
				work <- true
			}
			close(work)
			wg.Wait()
		})
	}
}
