package family

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/server/claim"
	"reversehttp/server/gateway"
)

// pipes is a network of net.Pipe. Waiting on it counts as waiting in a bubble of synctest, unlike on real
// sockets.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// from is a connection from an address.
type from struct {
	net.Conn
	address net.Addr
}

func (c from) RemoteAddr() net.Addr { return c.address }

// visitorAt is the address of all peers, unless a test chooses another.
const visitorAt = "203.0.113.9:51234"

// bubble is a gateway with all doors in a bubble of synctest.
type bubble struct {
	t       *testing.T
	g       *gateway.Gateway
	network atomic.Pointer[pipes]
	stop    func()
	records claim.Records
	// strangers means that other machines can reach the gateway.
	strangers bool
}

// inBubble runs a test with a gateway in a bubble.
func inBubble(t *testing.T, o gateway.Options, test func(b *bubble)) {
	t.Helper()
	inBubbleFor(t, false, o, test)
}

// amongStrangers is inBubble with a gateway that is not local.
func amongStrangers(t *testing.T, o gateway.Options, test func(b *bubble)) {
	t.Helper()
	inBubbleFor(t, true, o, test)
}

func inBubbleFor(t *testing.T, strangers bool, o gateway.Options, test func(b *bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bubble{t: t, records: claim.NewMemoryRecords(), strangers: strangers}
		b.start(o)
		t.Cleanup(func() {
			b.stop()
			time.Sleep(time.Minute) // until what lingers on connections is over
		})
		test(b)
	})
}

// start starts a gateway.
func (b *bubble) start(o gateway.Options) {
	b.t.Helper()
	if o.Doors == nil {
		o.Doors = Doors(Options{})
	}
	o.Records, o.Loopback = b.records, !b.strangers
	g, err := gateway.New(o)
	if err != nil {
		b.t.Fatal(err)
	}
	network := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	server, served := g.Server(), make(chan error, 1)
	go func() { served <- server.Serve(gateway.Listen(network)) }()
	b.g = g
	b.network.Store(network)
	b.stop = func() {
		_ = server.Close()
		<-served
		g.Close()
	}
}

// restart replaces the gateway by another one, with the claims of its records, or with none.
func (b *bubble) restart(o gateway.Options, remembers bool) {
	b.t.Helper()
	b.stop()
	var kept []claim.Kept
	for _, label := range b.g.Registry().Labels(100) {
		r, revision, err := b.records.Get(context.Background(), label)
		if err != nil {
			b.t.Fatal(err)
		}
		kept = append(kept, claim.Kept{Record: r, Revision: revision})
	}
	if !remembers {
		b.records, kept = claim.NewMemoryRecords(), nil
	}
	o.Kept = kept
	b.start(o)
}

// line is a connection on which a test writes and reads bytes.
type line struct {
	net.Conn
	t  *testing.T
	in *bufio.Reader
}

func (b *bubble) dial(address string) *line {
	b.t.Helper()
	l, err := b.connect(address)
	if err != nil {
		b.t.Fatal(err)
	}
	return l
}

// connect is dial for a gateway that may have stopped.
func (b *bubble) connect(address string) (*line, error) {
	network := b.network.Load()
	here, there := net.Pipe()
	select {
	case network.conns <- from{there, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address))}:
	case <-network.closed:
		return nil, net.ErrClosed
	}
	b.t.Cleanup(func() { _ = here.Close() })
	return &line{here, b.t, bufio.NewReader(here)}, nil
}

// say sends bytes on its own goroutine, since a net.Pipe has no buffer.
func (l *line) say(text string) {
	go func() { _, _ = io.WriteString(l.Conn, text) }()
}

// heard is an answer as received.
type heard struct {
	*http.Response
	head string // as on the wire
	body string
	err  error
}

// hear reads an answer to a request with a method.
func (l *line) hear(method string) *heard {
	var head bytes.Buffer
	for {
		text, err := l.in.ReadString('\n')
		head.WriteString(text)
		if err != nil {
			return &heard{Response: &http.Response{}, head: head.String(), err: err}
		}
		if text == "\r\n" {
			break
		}
	}
	text := head.String()
	l.in = bufio.NewReader(io.MultiReader(&head, l.in))
	resp, err := http.ReadResponse(l.in, &http.Request{Method: method})
	if err != nil {
		return &heard{Response: &http.Response{}, err: err}
	}
	h := &heard{Response: resp, head: text}
	body, err := io.ReadAll(resp.Body)
	h.body, h.err = string(body), err
	return h
}

// ask sends one request on its own connection and returns the answer.
func (b *bubble) ask(raw string) *heard {
	b.t.Helper()
	l := b.dial(visitorAt)
	defer l.Close()
	return l.ask(raw)
}

func (l *line) ask(raw string) *heard {
	l.t.Helper()
	l.say(raw)
	method, _, _ := strings.Cut(raw, " ")
	h := l.hear(method)
	if h.err != nil {
		l.t.Fatalf("%.60q: %v", raw, h.err)
	}
	return h
}

// later is an answer that a test waits for.
type later struct {
	t    *testing.T
	l    *line
	got  *heard
	done chan struct{}
}

// begin sends one request on its own connection.
func (b *bubble) begin(raw string) *later { return b.beginFrom(visitorAt, raw) }

func (b *bubble) beginFrom(address, raw string) *later {
	b.t.Helper()
	w := &later{t: b.t, l: b.dial(address), done: make(chan struct{})}
	w.l.say(raw)
	method, _, _ := strings.Cut(raw, " ")
	go func() {
		defer close(w.done)
		w.got = w.l.hear(method)
	}()
	synctest.Wait()
	return w
}

func (w *later) wait() *heard {
	<-w.done
	return w.got
}

// pending fails the test if there is an answer.
func (w *later) pending() {
	w.t.Helper()
	synctest.Wait()
	select {
	case <-w.done:
		w.t.Fatalf("answered %d %q, want it open", w.got.StatusCode, w.got.body)
	default:
	}
}

// visit sends a visitor's request to a label.
func (b *bubble) visit(label, method, target string, rest ...string) *later {
	b.t.Helper()
	return b.beginFrom(visitorAt, method+" "+target+" HTTP/1.1\r\nHost: "+label+".localhost:8080\r\n"+strings.Join(append(rest, "")[:1], "")+"\r\n"+strings.Join(rest[min(len(rest), 1):], ""))
}

// is fails the test unless the answer has a status and a body.
func (h *heard) is(t *testing.T, status int, body string) {
	t.Helper()
	if h.err != nil || h.StatusCode != status || h.body != body && body != "*" {
		t.Fatalf("got %d %q %v, want %d %q", h.StatusCode, h.body, h.err, status, body)
	}
}

// code returns the code of a problem.
func (h *heard) code() string {
	if m := regexp.MustCompile(`"code":"([a-z_]+)"`).FindStringSubmatch(h.body); m != nil {
		return m[1]
	}
	return ""
}

// link returns the path of a link of the answer.
func (h *heard) link(rel string) string {
	for _, m := range regexp.MustCompile(`<http://localhost:8080([^>]*)>; rel="([a-z]+)"`).FindAllStringSubmatch(strings.Join(h.Header["Link"], ", "), -1) {
		if m[2] == rel {
			return m[1]
		}
	}
	return ""
}

func newReader(s string) *bufio.Reader { return bufio.NewReader(strings.NewReader(s)) }
