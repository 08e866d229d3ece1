package family

import (
	"bufio"
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"reversehttp/e2e/cluster/trio"
	"reversehttp/server/claim"
	"reversehttp/server/gateway"
)

// After net/http refused a request, one of its goroutines waits for half a second. Tests cannot wait for it,
// and goleak does not.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

var clustered = flag.Bool("cluster", false, "three gateways that are one, in place of one gateway; each connection is to another")

// town is a gateway with all doors on a real port.
type town struct {
	*gateway.Gateway
	nodes   []*gateway.Gateway // of a cluster; nil if the gateway is alone
	t       *testing.T
	address string
	server  *http.Server
	ends    sync.WaitGroup
	probed  atomic.Int32 // connections of which TCP probes the peer
}

// probing counts the connections of a listener whose peers are probed.
type probing struct {
	net.Listener
	w *town
}

func (l probing) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &probed{c.(*net.TCPConn), l.w}, nil
}

type probed struct {
	*net.TCPConn
	w *town
}

func (c *probed) SetKeepAliveConfig(config net.KeepAliveConfig) error {
	c.w.probed.Add(1)
	return c.TCPConn.SetKeepAliveConfig(config)
}

// newTown runs a gateway that never gives up on peers, unless the options say so.
func newTown(t *testing.T, o gateway.Options) *town {
	t.Helper()
	return newTownOf(t, o, *clustered)
}

// newTownOf is newTown with three gateways that are one, if several is true.
func newTownOf(t *testing.T, o gateway.Options, several bool) *town {
	t.Helper()
	times := &o.Times
	for _, d := range []*time.Duration{&times.Acknowledge, &times.Closed, &times.NoPoller, &times.Answer, &times.Part, &times.Lease, &times.Unpolled} {
		*d = cmp.Or(*d, patience)
	}
	if o.Doors == nil {
		o.Doors = Doors(Options{})
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if o.PublicURL == "" {
		o.PublicURL = fmt.Sprintf("http://{label}.localhost:%d/", l.Addr().(*net.TCPAddr).Port)
	}
	o.Loopback = true
	if several {
		nodes := trio.Serve(t, l, o)
		return &town{Gateway: nodes[0], nodes: nodes, t: t, address: l.Addr().String()}
	}
	g, err := gateway.New(o)
	if err != nil {
		t.Fatal(err)
	}
	w := &town{Gateway: g, t: t, address: l.Addr().String(), server: g.Server()}
	w.ends.Go(func() { _ = w.server.Serve(gateway.Listen(probing{l, w})) })
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		w.Drain(ctx)
		_ = w.server.Close()
		w.ends.Wait()
		g.Close()
	})
	return w
}

// Registry returns the registry of the gateway that has the claim demo, if any.
func (w *town) Registry() *claim.Registry {
	for _, g := range w.nodes {
		if g.Registry().Lookup("demo") != nil {
			return g.Registry()
		}
	}
	return w.Gateway.Registry()
}

// dial connects to the gateway.
func (w *town) dial() net.Conn {
	w.t.Helper()
	c, err := net.Dial("tcp", w.address)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

// send sends head, with {host} for the control host, and reads the response's head.
func (w *town) send(head string) (*talk, *http.Response) {
	w.t.Helper()
	c := &talk{Conn: w.dial(), t: w.t}
	c.in = bufio.NewReader(c.Conn)
	c.say(strings.ReplaceAll(head, "{host}", w.host()))
	return c, c.response()
}

func (w *town) host() string {
	u, _ := url.Parse(w.Public().Control)
	return u.Host
}

// talk is a connection on which a test writes bytes.
type talk struct {
	net.Conn
	in *bufio.Reader
	t  *testing.T
}

func (c *talk) Read(p []byte) (int, error) { return c.in.Read(p) }

func (c *talk) say(bytes string) {
	c.t.Helper()
	if _, err := io.WriteString(c.Conn, bytes); err != nil {
		c.t.Fatalf("write %.40q: %v", bytes, err)
	}
}

func (c *talk) response() *http.Response {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		c.t.Fatalf("no response: %v", err)
	}
	_ = c.SetReadDeadline(time.Time{})
	return resp
}

// request reads a visitor's request on a turned connection.
func (c *talk) request() *http.Request {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	req, err := http.ReadRequest(c.in)
	if err != nil {
		c.t.Fatalf("no request: %v", err)
	}
	_ = c.SetReadDeadline(time.Time{})
	return req
}

// visitor makes visitors' requests.
func (w *town) visitor() *http.Client {
	t := &http.Transport{
		DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", w.address)
		},
	}
	w.t.Cleanup(t.CloseIdleConnections)
	return &http.Client{Transport: t, Timeout: patience}
}

// visit is a visitor's request in progress.
type visit struct {
	t    *testing.T
	done chan struct{}
	resp *http.Response
	body string
	err  error
}

func (w *town) visit(method, label, target, content string) *visit {
	v := &visit{t: w.t, done: make(chan struct{})}
	req, err := http.NewRequest(method, strings.TrimSuffix(w.Public().Base(label), "/")+target, strings.NewReader(content))
	if err != nil {
		w.t.Fatal(err)
	}
	client := w.visitor()
	w.ends.Go(func() {
		defer close(v.done)
		if v.resp, v.err = client.Do(req); v.err != nil {
			return
		}
		b, err := io.ReadAll(v.resp.Body)
		v.body, v.err = string(b), err
		v.resp.Body.Close()
	})
	return v
}

// got fails the test unless the visitor got this answer.
func (v *visit) got(status int, body string) {
	v.t.Helper()
	select {
	case <-v.done:
	case <-time.After(patience):
		v.t.Fatalf("no answer, want %d %q", status, body)
	}
	if v.err != nil || v.resp.StatusCode != status || body != "*" && v.body != body {
		v.t.Fatalf("answer = %+v %d bytes %.200q %v, want %d %d bytes %.200q", v.resp, len(v.body), v.body, v.err, status, len(body), body)
	}
}

// oneShot is a listener of one connection.
type oneShot struct {
	conn chan net.Conn
	end  chan struct{}
	once sync.Once
}

func listenOn(c net.Conn) *oneShot {
	l := &oneShot{conn: make(chan net.Conn, 1), end: make(chan struct{})}
	l.conn <- c
	return l
}

func (l *oneShot) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.end:
		return nil, net.ErrClosed
	}
}
func (l *oneShot) Close() error   { l.once.Do(func() { close(l.end) }); return nil }
func (l *oneShot) Addr() net.Addr { return &net.TCPAddr{} }

// serveOn serves a handler on a turned connection until the test ends.
func (w *town) serveOn(c net.Conn, h http.Handler) *http.Server {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	claiming := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != claimPath:
			h.ServeHTTP(rw, r)
		case r.Method == http.MethodGet:
			_, _ = io.WriteString(rw, `{"label":"demo","token":"t0"}`)
		}
	})
	s := &http.Server{Handler: claiming, Protocols: p}
	w.ends.Go(func() { _ = s.Serve(listenOn(c)) })
	w.t.Cleanup(func() { _ = s.Close() })
	return s
}
