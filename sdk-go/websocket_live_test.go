package reversehttp_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	reversehttp "reversehttp/sdk-go"
	"reversehttp/server/claim"
	"reversehttp/server/gateway"
)

// socket serves WebSockets, and returns a function by which a visitor opens one; both ends are closed with
// the test.
func socket(t *testing.T, serve func(ctx context.Context, c *websocket.Conn), accept *websocket.AcceptOptions) (dial func(*websocket.DialOptions) (*websocket.Conn, *http.Response)) {
	l := lend(t, hostShape, gateway.Options{})
	s := l.serve(t, handle(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, accept)
		if err != nil {
			return
		}
		defer c.CloseNow()
		serve(r.Context(), c)
	}), nil)
	client := l.client(t)
	return func(o *websocket.DialOptions) (*websocket.Conn, *http.Response) {
		if o == nil {
			o = &websocket.DialOptions{}
		}
		o.HTTPClient = client
		c, resp, err := websocket.Dial(t.Context(), s.URL(), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.CloseNow() })
		return c, resp
	}
}

func TestCloseCodesPassBothWays(t *testing.T) { overEach(t, closeCodesPassBothWays) }

func closeCodesPassBothWays(t *testing.T) {
	seen := make(chan websocket.CloseError, 1)
	dial := socket(t, func(ctx context.Context, c *websocket.Conn) {
		_, b, err := c.Read(ctx)
		if err == nil {
			c.Close(4000, string(b))
			return
		}
		var e websocket.CloseError
		if websocket.CloseStatus(err) < 0 {
			e.Reason = err.Error()
		} else {
			e = asCloseError(err)
		}
		seen <- e
	}, nil)
	c, _ := dial(nil)
	c.Write(t.Context(), websocket.MessageText, []byte("the handler's reason"))
	if _, _, err := c.Read(t.Context()); asCloseError(err) != (websocket.CloseError{Code: 4000, Reason: "the handler's reason"}) {
		t.Errorf("visitor read %v, want the handler's code and reason", err)
	}
	for _, want := range []websocket.CloseError{{Code: 1000}, {Code: 1001, Reason: "gone"}, {Code: 4999, Reason: strings.Repeat("x", 123)}} {
		c, _ := dial(nil)
		if err := c.Close(want.Code, want.Reason); err != nil {
			t.Errorf("Close = %v, want that the handler answers it", err)
		}
		if got := <-seen; got != want {
			t.Errorf("handler read %v, want %v", got, want)
		}
	}
	c, _ = dial(nil)
	c.CloseNow()
	if got := <-seen; got.Code != 0 || !strings.Contains(got.Reason, "EOF") {
		t.Errorf("handler read %v, want EOF: there was no close", got)
	}
}

func asCloseError(err error) (e websocket.CloseError) {
	for ; err != nil; err = unwrap(err) {
		if c, ok := err.(websocket.CloseError); ok {
			return c
		}
	}
	return e
}

func unwrap(err error) error {
	if u, ok := err.(interface{ Unwrap() error }); ok {
		return u.Unwrap()
	}
	return nil
}

func TestPingsPassBothWays(t *testing.T) { overEach(t, pingsPassBothWays) }

func pingsPassBothWays(t *testing.T) {
	pinged := make(chan error, 1)
	dial := socket(t, func(ctx context.Context, c *websocket.Conn) {
		ctx = c.CloseRead(ctx)
		pinged <- c.Ping(ctx)
		<-ctx.Done()
	}, nil)
	c, _ := dial(nil)
	ctx := c.CloseRead(t.Context())
	if err := c.Ping(ctx); err != nil {
		t.Errorf("visitor's ping: %v", err)
	}
	if err := <-pinged; err != nil {
		t.Errorf("handler's ping: %v", err)
	}
}

func TestManySmallMessagesKeepTheirOrder(t *testing.T) { overEach(t, manySmallMessagesKeepTheirOrder) }

func manySmallMessagesKeepTheirOrder(t *testing.T) {
	const n = 3000
	got := make(chan error, 1)
	dial := socket(t, func(ctx context.Context, c *websocket.Conn) {
		var both sync.WaitGroup
		both.Go(func() { got <- count(ctx, c, n) })
		both.Go(func() {
			for i := range n {
				c.Write(ctx, websocket.MessageText, fmt.Append(nil, i))
			}
		})
		both.Wait()
		c.Close(1000, "")
	}, nil)
	c, _ := dial(nil)
	go func() {
		for i := range n {
			c.Write(t.Context(), websocket.MessageText, fmt.Append(nil, i))
		}
	}()
	if err := count(t.Context(), c, n); err != nil {
		t.Errorf("visitor: %v", err)
	}
	if err := <-got; err != nil {
		t.Errorf("handler: %v", err)
	}
}

// count reads messages, which must be the numbers up to n.
func count(ctx context.Context, c *websocket.Conn, n int) error {
	for i := range n {
		if _, b, err := c.Read(ctx); err != nil || string(b) != fmt.Sprint(i) {
			return fmt.Errorf("message %d is %q, %v", i, b, err)
		}
	}
	return nil
}

func TestCompressionIsNegotiatedEndToEnd(t *testing.T) {
	for _, mode := range []websocket.CompressionMode{websocket.CompressionContextTakeover, websocket.CompressionNoContextTakeover} {
		dial := socket(t, func(ctx context.Context, c *websocket.Conn) {
			c.SetReadLimit(-1)
			for {
				kind, b, err := c.Read(ctx)
				if err != nil || c.Write(ctx, kind, b) != nil {
					return
				}
			}
		}, &websocket.AcceptOptions{CompressionMode: mode, Subprotocols: []string{"b", "a"}})
		c, resp := dial(&websocket.DialOptions{CompressionMode: mode, Subprotocols: []string{"a"}})
		c.SetReadLimit(-1)
		if h := resp.Header; !strings.Contains(h.Get("Sec-WebSocket-Extensions"), "permessage-deflate") || c.Subprotocol() != "a" {
			t.Errorf("mode %v: extensions %q, protocol %q; want deflate and a", mode, h["Sec-Websocket-Extensions"], c.Subprotocol())
		}
		for _, want := range [][]byte{bytes.Repeat([]byte("compressible "), 100_000), large[:1<<20], {}} {
			c.Write(t.Context(), websocket.MessageBinary, want)
			if _, got, err := c.Read(t.Context()); err != nil || !bytes.Equal(got, want) {
				t.Errorf("mode %v: %d bytes came back, %v; want %d, the same", mode, len(got), err, len(want))
			}
		}
	}
}

// A visitor who does not read holds the handler, and vice versa; little is buffered between them.
func TestUpgradedConnectionsHoldLittle(t *testing.T) {
	const most, memory = 32 << 20, 1 << 20 // the kernel may hold 20 MiB of four sockets
	l := lend(t, hostShape, gateway.Options{})
	conns := make(chan net.Conn, 1)
	s := l.serve(t, hijacking(conns), nil)
	for _, from := range []string{"handler", "visitor"} {
		handlers, visitors := both(t, l, s, conns)
		sender, receiver := handlers, visitors
		if from == "visitor" {
			sender, receiver = visitors, handlers
		}
		heap := func() int64 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			return int64(m.HeapAlloc)
		}
		before, sent := heap(), 0
		piece := large[:64<<10]
		for {
			sender.SetWriteDeadline(time.Now().Add(time.Second))
			n, err := sender.Write(piece[sent%len(piece):])
			sent += n
			if err != nil {
				break
			}
			if sent > most {
				t.Fatalf("%s sent %d bytes and nobody reads", from, sent)
			}
		}
		held := heap() - before
		t.Logf("%s sent %d KiB until it was held; %d KiB of heap", from, sent>>10, held>>10)
		if held > memory {
			t.Errorf("%s: %d bytes of heap are held, want %d at most", from, held, memory)
		}
		sender.SetWriteDeadline(time.Time{})
		go func() {
			for total := sent; total < 16<<20; {
				n, err := sender.Write(piece[total%len(piece):])
				if total += n; err != nil {
					return
				}
			}
			sender.Close()
		}()
		got, b := 0, make([]byte, 64<<10)
		for {
			n, err := receiver.Read(b)
			for rest := b[:n]; len(rest) > 0; {
				some := min(len(rest), len(piece)-got%len(piece))
				if !bytes.Equal(rest[:some], piece[got%len(piece):][:some]) {
					t.Fatalf("%s: other bytes came after %d", from, got)
				}
				rest, got = rest[some:], got+some
			}
			if err != nil {
				break
			}
		}
		if got < 16<<20 {
			t.Errorf("%s: %d bytes came, want %d", from, got, 16<<20)
		}
		receiver.Close()
	}
}

// upgrading requests an upgrade in fake time.
func upgrading(t *testing.T, client *http.Client) io.ReadWriteCloser {
	req, _ := http.NewRequest("GET", demo, nil)
	req.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}, "Sec-Websocket-Version": {"13"}}
	resp, err := client.Do(req)
	if err != nil || resp.StatusCode != 101 {
		t.Fatal(resp, err)
	}
	return resp.Body.(io.ReadWriteCloser)
}

// Silence costs no POSTs, and ends nothing.
func TestAnUpgradedConnectionMayBeSilent(t *testing.T) { overEach(t, anUpgradedConnectionMayBeSilent) }

func anUpgradedConnectionMayBeSilent(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *gateway.Gateway, client *http.Client) {
		conns := make(chan net.Conn, 1)
		c := &tally{base: client.Transport}
		s, served := begin(t, &http.Client{Transport: c}, reversehttp.Options{Timeout: time.Second}, hijacking(conns).ServeHTTP)
		visitors := upgrading(t, client)
		handlers := <-conns
		heard := make(chan string)
		go func() {
			defer close(heard)
			b := make([]byte, 5)
			for {
				if _, err := io.ReadFull(visitors, b); err != nil {
					heard <- err.Error()
					return
				}
				heard <- string(b)
			}
		}()
		for range 3 {
			posts := c.count("responses")
			time.Sleep(10 * time.Minute)
			if n := c.count("responses") - posts; n != 0 {
				t.Errorf("%d posts in silence, want none", n)
			}
			b := make([]byte, 5)
			io.WriteString(visitors, "hello")
			io.ReadFull(handlers, b)
			handlers.Write(b)
			if got := <-heard; got != "hello" {
				t.Errorf("visitor read %q", got)
			}
			synctest.Wait()
		}
		handlers.Close()
		if got := <-heard; got != "EOF" {
			t.Errorf("visitor read %s, want the end", got)
		}
		visitors.Close()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		served()
	})
}

// The notice that a visitor left arrives before their last message is read, and does not replace it; but a
// handler that does not read learns it soon.
func TestALastMessageOutlivesItsVisitor(t *testing.T) { overEach(t, aLastMessageOutlivesItsVisitor) }

func aLastMessageOutlivesItsVisitor(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *gateway.Gateway, client *http.Client) {
		conns, left := make(chan net.Conn, 1), make(chan time.Time, 1)
		s, served := begin(t, client, reversehttp.Options{}, func(w http.ResponseWriter, r *http.Request) {
			hijacking(conns).ServeHTTP(w, r)
			<-r.Context().Done()
			left <- time.Now()
		})
		for _, reads := range []bool{true, false} {
			visitors := upgrading(t, client)
			handlers := <-conns
			go io.Copy(io.Discard, visitors)
			io.WriteString(visitors, "the last words")
			synctest.Wait()
			visitors.Close()
			begun := time.Now()
			time.Sleep(900 * time.Millisecond)
			if reads {
				for _, want := range []string{"the ", "last", " words"} {
					b := make([]byte, len(want))
					if _, err := io.ReadFull(handlers, b); string(b) != want {
						t.Errorf("read %q, %v; want %q", b, err, want)
					}
					time.Sleep(900 * time.Millisecond)
				}
				if _, err := handlers.Read(make([]byte, 1)); err != io.EOF {
					t.Errorf("read %v, want the end", err)
				}
				handlers.Close()
			}
			// The gateway gives the handler five more seconds to say farewell.
			if took := (<-left).Sub(begun); !reads && took > 6500*time.Millisecond {
				t.Errorf("the context ended after %v, want six seconds", took)
			}
		}
		s.Close()
		served()
	})
}

func TestALostSessionEndsItsConnections(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *gateway.Gateway, client *http.Client) {
		conns := make(chan net.Conn, 1)
		cut := &cutter{base: client.Transport}
		s, served := begin(t, &http.Client{Transport: cut}, reversehttp.Options{}, hijacking(conns).ServeHTTP)
		visitors := upgrading(t, client)
		handlers := <-conns
		synctest.Wait()
		cut.cut(true)
		time.Sleep(15 * time.Second) // the gateway counts the session as lost
		cut.cut(false)
		if b, _ := io.ReadAll(visitors); len(b) > 0 {
			t.Errorf("visitor read %q, want the end", b)
		}
		visitors.Close()
		check(t, visitURL(client, "GET", "http://none.gateway.test/"), "404")
		time.Sleep(time.Minute)
		if _, err := handlers.Write([]byte("x")); err == nil {
			t.Error("Write after the session was lost succeeded")
		}
		if _, err := handlers.Read(make([]byte, 1)); err == nil {
			t.Error("Read after the session was lost succeeded")
		}
		s.Close()
		served()
	})
}

func TestAGatewayThatStopsHasWebSocketsClosed(t *testing.T) {
	if *clustered {
		t.Skip("it stops the only gateway")
	}
	overEach(t, aGatewayThatStopsHasWebSocketsClosed)
}

// The handler only reads, as for any visitor who leaves, and the visitor sees 1001.
func aGatewayThatStopsHasWebSocketsClosed(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{Times: claim.Times{Parting: patience}, Drain: 4 * patience})
	read := make(chan error, 1)
	s := l.serve(t, handle(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		for err == nil {
			_, _, err = c.Read(r.Context())
		}
		read <- err
	}), nil)
	client := l.client(t)
	c, _, err := websocket.Dial(t.Context(), s.URL(), &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if err := c.Write(t.Context(), websocket.MessageText, []byte("one")); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		l.Drain(t.Context())
	}()
	if _, _, err := c.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("the visitor read %v, want 1001", err)
	}
	if err := <-read; websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("the handler read %v, want 1001", err)
	}
	<-stopped
}
