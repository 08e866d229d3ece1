package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/bcrypt"

	"reversehttp/server/family"
	"reversehttp/server/gateway"
	"reversehttp/server/policy"
)

func TestMain(m *testing.M) {
	policy.Cost = bcrypt.MinCost
	for _, name := range []string{"GATEWAY", "CA", "LABEL", "TOKEN", "TOKEN_FILE", "KEY", "KEY_FILE"} {
		os.Unsetenv("REVERSEHTTP_" + name)
	}
	runtime, err := os.MkdirTemp("", "reversehttp-run-")
	if err != nil {
		panic(err)
	}
	os.Setenv("XDG_RUNTIME_DIR", runtime)
	os.Setenv("XDG_STATE_HOME", runtime)
	// When a net/http server ends a connection, the connection lingers for half a second, longer than goleak
	// waits.
	lingers := goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait")
	goleak.VerifyTestMain(m, lingers, goleak.Cleanup(func(code int) {
		if wasBuilt {
			dir, _ := build()
			os.RemoveAll(dir)
		}
		os.RemoveAll(runtime)
		os.Exit(code)
	}))
}

// patience bounds waits for events: far longer than they take on a busy machine.
const patience = 10 * time.Minute

const (
	hostShape = "http://{label}.localhost:{port}/"
	pathShape = "http://localhost:{port}/at/{label}/"
)

// lender is a real gateway on its own port.
type lender struct {
	addr, origin string
	stop         func()
}

// lend runs a gateway, with all its doors unless the options name some, until the test ends. {port} in the
// shape stands for its port. Unless the options say otherwise it never gives up on programs, however busy the
// machine is.
func lend(t *testing.T, shape string, o gateway.Options) *lender {
	t.Helper()
	return lendAt(t, "127.0.0.1:0", shape, o)
}

func lendAt(t *testing.T, addr, shape string, o gateway.Options) *lender {
	t.Helper()
	return lendBy(t, addr, shape, o, func(_ *gateway.Gateway, l net.Listener) net.Listener { return gateway.Listen(l) })
}

// lendBy is lend with a function that converts connections of a listener to HTTP connections.
func lendBy(t *testing.T, addr, shape string, o gateway.Options, by func(*gateway.Gateway, net.Listener) net.Listener) *lender {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	o.PublicURL, o.Loopback = strings.ReplaceAll(shape, "{port}", port), true
	times := &o.Times
	for _, d := range []*time.Duration{&times.Acknowledge, &times.NoPoller, &times.Answer, &times.Part, &times.Lease, &times.Unpolled} {
		*d = cmp.Or(*d, patience)
	}
	if o.Doors == nil {
		o.Doors = family.Doors(family.Options{})
	}
	g, err := gateway.New(o)
	if err != nil {
		t.Fatal(err)
	}
	server, served := g.Server(), make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(by(g, l))
	}()
	stop := sync.OnceFunc(func() {
		_ = server.Close()
		<-served
		g.Close()
	})
	t.Cleanup(stop)
	return &lender{l.Addr().String(), strings.SplitAfter(shape, "://")[0] + "localhost:" + port, stop}
}

func (l *lender) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, network, l.addr)
}

// visitor returns a client that resolves every name to the gateway and follows no redirect.
func (l *lender) visitor(t *testing.T) *http.Client {
	transport := &http.Transport{DialContext: l.dial, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport: transport, Timeout: patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// seen is an event that a command printed.
type seen map[string]any

func (e seen) text(member string) string {
	s, _ := e[member].(string)
	return s
}

// running is a command that runs in this process.
type running struct {
	t       *testing.T
	url     string
	signals chan os.Signal
	events  chan seen
	code    chan int
	stderr  buffer
}

// start runs a command until the test ends.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	out, in := io.Pipe()
	r := &running{t: t, signals: make(chan os.Signal, 2), events: make(chan seen, 1000), code: make(chan int, 1)}
	go func() {
		code := run(args, r.signals, in, &r.stderr)
		in.Close()
		r.code <- code
	}()
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(r.events)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 8<<20)
		for lines.Scan() {
			e := seen{}
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				t.Errorf("line is no JSON: %q", lines.Text())
			}
			r.events <- e
		}
	}()
	t.Cleanup(func() {
		r.signals <- syscall.SIGTERM
		r.signals <- syscall.SIGTERM
		select {
		case <-read:
		case <-time.After(patience):
			t.Error("the command has not ended")
		}
	})
	return r
}

// claim runs a command at a gateway, and waits until its URL is known.
func (l *lender) claim(t *testing.T, args ...string) *running {
	t.Helper()
	r := start(t, append(args, "--gateway", l.origin)...)
	r.url = r.next("claimed").text("url")
	return r
}

// next waits for an event and skips others.
func (r *running) next(name string) seen {
	r.t.Helper()
	for deadline := time.After(patience); ; {
		select {
		case e, ok := <-r.events:
			switch {
			case !ok:
				r.t.Fatalf("no %s event came; stderr: %s", name, r.stderr.String())
			case e.text("event") == name:
				return e
			}
		case <-deadline:
			r.t.Fatalf("no %s event; stderr: %s", name, r.stderr.String())
		}
	}
}

// exit waits for the end.
func (r *running) exit() int {
	r.t.Helper()
	select {
	case code := <-r.code:
		return code
	case <-time.After(patience):
		r.t.Fatal("the command has not ended")
		return 0
	}
}

// buffer is a buffer for several goroutines.
type buffer struct {
	mu sync.Mutex // guards b
	b  strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// local runs a server on this machine until the test ends.
func local(t *testing.T, h http.HandlerFunc) *httptest.Server {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func content(t *testing.T, resp *http.Response, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
