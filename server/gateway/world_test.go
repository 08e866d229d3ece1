package gateway

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
	"reversehttp/schema/vectors"
)

// pipeListener is a network of net.Pipe. Waiting on it counts as waiting in a bubble of synctest,
// unlike on real sockets.
type pipeListener struct {
	// sealed is whether connections are over TLS.
	sealed bool
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080} }

// dial connects from an address.
func (l *pipeListener) dial(from string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case l.conns <- addressed{there, net.TCPAddrFromAddrPort(mustAddrPort(from))}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	if !l.sealed {
		return here, nil
	}
	c := tls.Client(here, &tls.Config{InsecureSkipVerify: true})
	return c, c.Handshake()
}

// addressed is a connection from an address.
type addressed struct {
	net.Conn
	remote net.Addr
}

func (c addressed) RemoteAddr() net.Addr { return c.remote }

// The address of visitors and programs, unless a test chooses another.
const (
	visitorIP   = "203.0.113.9"
	visitorAddr = visitorIP + ":51234"
)

// shortTokens are the tokens of most tests, which need not be hard to guess.
var shortTokens = []string{"t0", "t1"}

// world is a gateway behind a real http.Server in a bubble.
type world struct {
	t       *testing.T
	gateway *Gateway
	server  *http.Server
	network *pipeListener
	client  *http.Client
}

// inWorld runs a test with a gateway in a bubble of synctest.
func inWorld(t *testing.T, o Options, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(newWorld(t, o)) })
}

// inBothWorlds runs a test in the clear and over TLS, without session tickets, because net.Pipe does not buffer and
// nobody would read them.
func inBothWorlds(t *testing.T, o Options, test func(w *world)) {
	t.Helper()
	t.Run("in the clear", func(t *testing.T) { inWorld(t, o, test) })
	t.Run("over TLS", func(t *testing.T) {
		config := &tls.Config{Certificates: []tls.Certificate{certificate()}, SessionTicketsDisabled: true}
		synctest.Test(t, func(t *testing.T) { test(newWorld(t, o, config)) })
	})
}

// listening wraps a listener, with TLS where there is a configuration for it.
func (g *Gateway) listening(l net.Listener, over []*tls.Config) net.Listener {
	if len(over) == 0 {
		return Listen(l)
	}
	return g.ListenTLS(l, over[0], nil)
}

// newWorld starts a gateway, which ends with the test.
func newWorld(t *testing.T, o Options, over ...*tls.Config) *world {
	t.Helper()
	o.SharedTokens = append(shortTokens, o.SharedTokens...)
	if o.LookupTXT == nil { // tests use no real DNS servers
		o.LookupTXT = func(context.Context, string) ([]string, error) { return nil, &net.DNSError{IsNotFound: true} }
	}
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, gateway: g, server: g.Server(), network: newPipeListener()}
	w.network.sealed = len(over) > 0
	w.client = &http.Client{
		Transport: &http.Transport{
			DisableKeepAlives: true, DisableCompression: true,
			DialContext: func(context.Context, string, string) (net.Conn, error) { return w.network.dial(visitorAddr) },
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	served := make(chan error, 1)
	l := g.listening(w.network, over)
	go func() { served <- w.server.Serve(l) }()
	t.Cleanup(func() {
		_ = w.server.Close()
		<-served
		time.Sleep(time.Minute) // until lingering connections are closed
		g.Close()
	})
	return w
}

// onTCP serves a gateway on a real port until the test ends, for what net.Pipe cannot.
func onTCP(t *testing.T, o Options, over ...*tls.Config) (g *Gateway, address string) {
	t.Helper()
	o.SharedTokens = append(shortTokens, o.SharedTokens...)
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, served := g.Server(), make(chan error, 1)
	address = l.Addr().String()
	l = g.listening(l, over)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
		g.Close()
	})
	return g, address
}

// onBothPorts runs a test on a real port in the clear and on one over TLS.
func onBothPorts(t *testing.T, o Options, test func(t *testing.T, g *Gateway, dial func() net.Conn)) {
	t.Helper()
	for name, over := range map[string][]*tls.Config{"in the clear": nil, "over TLS": {{Certificates: []tls.Certificate{certificate()}}}} {
		t.Run(name, func(t *testing.T) {
			g, address := onTCP(t, o, over...)
			test(t, g, func() net.Conn {
				c := dialTCP(t, address)
				if over != nil {
					c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
				}
				return c
			})
		})
	}
}

func dialTCP(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// origin is the control origin without a final slash.
func (w *world) origin() string { return strings.TrimSuffix(w.gateway.Public().Control, "/") }

// reply is a whole answer of the gateway.
type reply struct {
	Status  int
	Header  http.Header
	Content []byte
	// Version is that of the status line, such as "HTTP/1.1".
	Version string
	Err     error
}

// code returns the code of a problem, or "" if the reply is not one.
func (r *reply) code() schema.Code { return r.problem().Code }

// problem returns the problem in r, without a code if r is not one.
func (r *reply) problem() (p schema.Problem) {
	if r.Header.Get("Content-Type") != "application/problem+json" || json.Unmarshal(r.Content, &p) != nil {
		return schema.Problem{}
	}
	return p
}

// handed returns the parameter of Proxy-Status; empty if it is absent.
func (r *reply) handed() string {
	_, value, _ := strings.Cut(r.Header.Get("Proxy-Status"), "; handed=")
	return value
}

func newReply(resp *http.Response, err error) *reply {
	if err != nil {
		return &reply{Err: err}
	}
	defer func() { _ = resp.Body.Close() }()
	content, err := io.ReadAll(resp.Body)
	return &reply{Status: resp.StatusCode, Header: resp.Header, Content: content, Version: resp.Proto, Err: err}
}

// call is a program's request that waits for its answer.
type call struct {
	got  *reply
	done chan struct{}
	stop context.CancelFunc
}

// begin sends a program's request on a goroutine of its own.
func (w *world) begin(req *http.Request) *call {
	ctx, stop := context.WithCancel(context.Background())
	c := &call{done: make(chan struct{}), stop: stop}
	go func() {
		defer close(c.done)
		defer stop()
		c.got = newReply(w.client.Do(req.WithContext(ctx)))
	}()
	w.t.Cleanup(stop)
	return c
}

// send sends a program's request and waits for the answer. v is encoded as JSON unless nil; as is the token
// or key to send, or empty.
func (w *world) send(method, url, as string, v any, fields ...schema.Field) *reply {
	w.t.Helper()
	req := w.request(method, url, as, v, fields...)
	got := newReply(w.client.Do(req))
	if got.Err != nil {
		w.t.Fatalf("%s %s: %v", method, url, got.Err)
	}
	return got
}

func (w *world) request(method, url, as string, v any, fields ...schema.Field) *http.Request {
	w.t.Helper()
	send := vectors.Send{Method: method, URL: url, As: as, Headers: fields}
	if v != nil {
		var err error
		if send.JSON, err = json.Marshal(v); err != nil {
			w.t.Fatal(err)
		}
	}
	req, err := send.Request(w.origin(), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return req
}

// into decodes the JSON of a reply.
func into[T any](t *testing.T, r *reply) T {
	t.Helper()
	var v T
	dec := json.NewDecoder(bytes.NewReader(r.Content))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%d %s: %v", r.Status, r.Content, err)
	}
	return v
}

// program is a session of a claim that polls without cursors.
type program struct {
	*world
	schema.ClaimAnswer
	framed bool // it polls and answers in the framed form
}

// claim claims a label with the token "t0".
func (w *world) claim(label string) *program {
	w.t.Helper()
	got := w.send("POST", "/claims", "", schema.ClaimRequest{Label: &label, Token: new("t0")})
	if got.Status != http.StatusCreated && got.Status != http.StatusOK {
		w.t.Fatalf("claim %s: %d %s", label, got.Status, got.Content)
	}
	return &program{world: w, ClaimAnswer: into[schema.ClaimAnswer](w.t, got)}
}

// poll polls once and returns the requests of the batch.
func (p *program) poll(fields ...schema.Field) []schema.Request {
	p.t.Helper()
	if p.framed {
		fields = append(fields, schema.Field{"Accept", envelope.MediaFramed}, schema.Field{"Prefer", "wait=1"})
	}
	got := p.send("GET", p.Requests, p.Token, nil, fields...)
	if got.Status == http.StatusNoContent {
		return nil
	}
	if got.Status != http.StatusOK {
		p.t.Fatalf("poll: %d %s", got.Status, got.Content)
	}
	var requests []schema.Request
	for _, m := range p.messages(got) {
		var r schema.Request
		if err := json.Unmarshal(m, &r); err != nil {
			p.t.Fatal(err)
		}
		if r.Type == schema.TypeRequest {
			requests = append(requests, r)
		}
	}
	return requests
}

// messages returns the messages of a poll's answer.
func (p *program) messages(got *reply) (list []json.RawMessage) {
	p.t.Helper()
	if !p.framed {
		return into[schema.Batch](p.t, got).Messages
	}
	for in := bufio.NewReader(bytes.NewReader(got.Content)); ; {
		m, err := vectors.Unframe(in)
		if err == io.EOF {
			return list
		}
		if err != nil {
			p.t.Fatalf("%v in %q", err, got.Content)
		}
		list = append(list, m)
	}
}

// next polls until there is one request.
func (p *program) next() schema.Request {
	p.t.Helper()
	for range 4 {
		if rs := p.poll(); len(rs) > 0 {
			return rs[0]
		}
	}
	p.t.Fatal("no request came within four polls")
	return schema.Request{}
}

// fetched returns the content of a request that has a bodyUrl.
func (p *program) fetched(r schema.Request) *reply {
	p.t.Helper()
	return newReply(p.client.Do(p.request("GET", r.BodyURL, p.Token, nil)))
}

// answer posts one message and returns its result.
func (p *program) answer(v any) schema.Result {
	p.t.Helper()
	var got *reply
	if p.framed {
		got = p.posts(framesOf(p.t, v))
	} else {
		got = p.send("POST", p.Responses, p.Token, v)
	}
	if got.Status != http.StatusAccepted {
		p.t.Fatalf("answer: %d %s", got.Status, got.Content)
	}
	results := into[schema.Results](p.t, got).Results
	if len(results) != 1 {
		p.t.Fatalf("answer: %d results, want 1: %s", len(results), got.Content)
	}
	return results[0]
}

// framesOf returns a message, or a list of messages, in the framed form.
func framesOf(t *testing.T, v any) (content []byte) {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var list struct{ Messages []json.RawMessage }
	if json.Unmarshal(text, &list) != nil || list.Messages == nil {
		return vectors.Frame(text)
	}
	for _, m := range list.Messages {
		content = append(content, vectors.Frame(m)...)
	}
	return content
}

// posts posts content in the framed form.
func (p *program) posts(content []byte) *reply {
	p.t.Helper()
	req := p.request("POST", p.Responses, p.Token, nil, schema.Field{"Content-Type", envelope.MediaFramed})
	req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(content)), int64(len(content))
	got := newReply(p.client.Do(req))
	if got.Err != nil {
		p.t.Fatal(got.Err)
	}
	return got
}

// respond answers an exchange and fails the test unless it is accepted.
func (p *program) respond(r schema.Response) {
	p.t.Helper()
	r.Type = schema.TypeResponse
	if got := p.answer(r); got.Status != schema.ResultAccepted {
		p.t.Fatalf("answer: %s %s, want accepted", got.Status, got.Detail)
	}
}
