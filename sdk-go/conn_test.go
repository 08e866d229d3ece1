package reversehttp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	reversehttp "reversehttp/sdk-go"
	"reversehttp/server/gateway"
)

// hijacking is a handler that upgrades its connections and passes them to conns.
func hijacking(conns chan<- net.Conn) http.Handler {
	return handle(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(101)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		conns <- conn
	})
}

// both returns the two ends of an upgraded connection: the handler's and the visitor's.
func both(t testing.TB, l *lender, s *reversehttp.Session, conns <-chan net.Conn) (handlers, visitors net.Conn) {
	u, _ := url.Parse(s.URL())
	conn, in, _ := upgraded(t, l.addr, u.Host)
	conn.SetDeadline(time.Time{})
	return <-conns, struct {
		io.Reader
		tcp
	}{in, tcp{conn}}
}

type tcp struct{ net.Conn }

func TestAnUpgradedConnectionIsANetConn(t *testing.T) { overEach(t, anUpgradedConnectionIsANetConn) }

func anUpgradedConnectionIsANetConn(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	conns := make(chan net.Conn, 1)
	s := l.serve(t, hijacking(conns), nil)
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		c1, c2 = both(t, l, s, conns)
		return c1, c2, func() { c1.Close(); c2.Close() }, nil
	})
	c, _ := both(t, l, s, conns)
	u, _ := url.Parse(s.URL())
	if c.LocalAddr().String() != u.Host || !strings.HasPrefix(c.RemoteAddr().String(), "127.0.0.1:") || c.RemoteAddr().Network() != "tcp" {
		t.Errorf("addresses are %v and %v, want the claim's and the visitor's", c.LocalAddr(), c.RemoteAddr())
	}
	c.Close()
	if err := c.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("second Close = %v, want net.ErrClosed", err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write after Close = %v, want net.ErrClosed", err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read after Close = %v, want net.ErrClosed", err)
	}
	if err := c.SetDeadline(time.Now()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("SetDeadline after Close = %v, want net.ErrClosed", err)
	}
}

func TestAReadDeadlineBreaksNoConnection(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	conns := make(chan net.Conn, 1)
	s := l.serve(t, hijacking(conns), nil)
	handlers, visitors := both(t, l, s, conns)
	waiting := make(chan error)
	go func() {
		_, err := handlers.Read(make([]byte, 1))
		waiting <- err
	}()
	handlers.SetReadDeadline(time.Now().Add(-time.Second))
	if err := <-waiting; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read = %v, want ErrDeadlineExceeded", err)
	}
	handlers.SetReadDeadline(time.Time{})
	for _, want := range []string{"hello", "again"} {
		io.WriteString(visitors, want)
		b := make([]byte, 5)
		if _, err := io.ReadFull(handlers, b); string(b) != want {
			t.Errorf("Read = %q, %v; want %q", b, err, want)
		}
		handlers.SetReadDeadline(time.Now())
		handlers.Read(b)
		handlers.SetReadDeadline(time.Time{})
	}
	handlers.Close()
}

// All written content arrives before the end, however long it is and however slow the visitor.
func TestCloseComesAfterWrittenContent(t *testing.T) { overEach(t, closeComesAfterWrittenContent) }

func closeComesAfterWrittenContent(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	conns := make(chan net.Conn, 1)
	s := l.serve(t, hijacking(conns), nil)
	for _, size := range []int{0, 1, 70_000, 150_000, 3_000_000} {
		handlers, visitors := both(t, l, s, conns)
		go func() {
			handlers.Write(large[:size])
			handlers.Close()
		}()
		if b, err := io.ReadAll(visitors); string(b) != string(large[:size]) {
			t.Errorf("visitor read %d bytes, %v; want %d, the same", len(b), err, size)
		}
	}
}

// The content that a visitor sent before they left is read to its end, and then io.EOF.
func TestContentIsReadAfterItsVisitorLeft(t *testing.T) {
	overEach(t, whatAVisitorSentIsReadAfterHeHasLeft)
}

func whatAVisitorSentIsReadAfterHeHasLeft(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	conns, left := make(chan net.Conn, 1), make(chan error, 3)
	s := l.serve(t, handle(func(w http.ResponseWriter, r *http.Request) {
		hijacking(conns).ServeHTTP(w, r)
		<-r.Context().Done()
		left <- context.Cause(r.Context())
	}), nil)
	sizes := []int{0, 10, 100_000}
	for _, size := range sizes {
		handlers, visitors := both(t, l, s, conns)
		visitors.Write(large[:size])
		visitors.(interface{ CloseWrite() error }).CloseWrite()
		if b, err := io.ReadAll(handlers); string(b) != string(large[:size]) || err != nil {
			t.Errorf("read %d bytes, %v; want %d, the same", len(b), err, size)
		}
	}
	// The visitors have left, so nobody needs to close a connection. Handlers check that once a second.
	for range sizes {
		select {
		case err := <-left:
			if !isLeaving(err) {
				t.Errorf("cause = %v, want that the visitor left", err)
			}
		case <-time.After(patience):
			t.Error("the context has not ended after the visitor left")
		}
	}
}

func (c tcp) CloseWrite() error { return c.Conn.(*net.TCPConn).CloseWrite() }

// A request for an upgrade may get an ordinary answer, before Hijack or after it.
func TestAnUpgradeMayBeRefused(t *testing.T) { overEach(t, anUpgradeMayBeRefused) }

func anUpgradeMayBeRefused(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	s := l.serve(t, handle(func(w http.ResponseWriter, r *http.Request) {
		hijack := func() net.Conn {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			return conn
		}
		written := func(s string) {
			conn := hijack()
			io.WriteString(conn, s)
			conn.Close()
		}
		switch r.URL.Query().Get("case") {
		case "plainly":
			http.Error(w, "no", http.StatusForbidden)
		case "written":
			written("HTTP/1.1 400 Bad Request\r\nContent-Type: text/x\r\nContent-Length: 5\r\n\r\nno go")
		case "up to close":
			written("HTTP/1.0 426 Upgrade Required\r\nX-A: 1\r\nX-A: 2\r\n\r\nuntil here")
		case "chunked":
			written("HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n")
		case "much":
			written("HTTP/1.1 200 OK\r\nContent-Type: text/x\r\n\r\n" + strings.Repeat("much", 100_000))
		case "informed":
			written("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
		case "cut":
			written("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nno")
		case "nothing":
			written("")
		case "nonsense":
			written("SSH-2.0-x\r\n\r\n")
		case "panic":
			hijack()
			panic(http.ErrAbortHandler)
		case "101 and no more":
			w.WriteHeader(101)
		case "after an answer":
			io.WriteString(w, "hello")
			if _, _, err := http.NewResponseController(w).Hijack(); err == nil {
				panic("Hijack succeeded")
			}
		case "twice":
			written("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
			_, _, err := http.NewResponseController(w).Hijack()
			_, again := w.Write([]byte("x"))
			if err != http.ErrHijacked || again != http.ErrHijacked || http.NewResponseController(w).Flush() != http.ErrHijacked {
				panic(fmt.Sprint(err, again))
			}
			w.WriteHeader(500)
		}
	}), nil)
	u, _ := url.Parse(s.URL())
	for name, want := range map[string]string{
		"plainly":         "403 [text/plain; charset=utf-8] [] no\n",
		"written":         "400 [text/x] [] no go",
		"up to close":     "426 [] [1 2] until here",
		"chunked":         "400 [] [] no",
		"much":            "200 [text/x] [] " + strings.Repeat("much", 100_000),
		"informed":        "401 [] [] ",
		"cut":             "502 ",
		"nothing":         "502 ",
		"nonsense":        "502 ",
		"panic":           "502 ",
		"101 and no more": "500 ",
		"after an answer": "200 [text/plain; charset=utf-8] [] hello",
		"twice":           "202 [] [] ",
	} {
		raw := strings.Replace(fmt.Sprintf(upgradeRequest, u.Host), "x=1", "case="+url.QueryEscape(name), 1)
		resp := exchange(t, l.addr, "GET", []byte(raw))
		got := fmt.Sprint(resp.StatusCode, " ", resp.Header["Content-Type"], " ", resp.Header["X-A"], " ", readBody(t, resp))
		if !strings.HasPrefix(got, want) || strings.HasPrefix(want, "4") && got != want {
			t.Errorf("%s: visitor got %.200q, want %.200q", name, got, want)
		}
	}
}

func TestAnOrdinaryRequestIsNotHijacked(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	s := l.serve(t, handle(func(w http.ResponseWriter, r *http.Request) {
		_, is := w.(http.Hijacker)
		_, _, err := http.NewResponseController(w).Hijack()
		fmt.Fprint(w, is, errors.Is(err, http.ErrNotSupported), r.Header["Upgrade"], r.Header["Connection"])
	}), nil)
	resp, err := l.client(t).Get(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := readBody(t, resp), "false true [] []"; got != want {
		t.Errorf("handler saw %s, want %s", got, want)
	}
}

// A connection that a handler left open keeps the session, until Shutdown may wait no longer; Close cuts it.
func TestShutdownWaitsForUpgradedConnectionsAndCloseCutsThem(t *testing.T) {
	overEach(t, shutdownWaitsForUpgradedConnectionsAndCloseCutsThem)
}

func shutdownWaitsForUpgradedConnectionsAndCloseCutsThem(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	for _, way := range []string{"ends", "wait is over", "close"} {
		conns := make(chan net.Conn, 1)
		s := l.serve(t, hijacking(conns), nil)
		handlers, visitors := both(t, l, s, conns)
		ctx, cancel := context.WithCancel(t.Context())
		var shut sync.WaitGroup
		var err error
		if way == "close" {
			s.Close()
		} else {
			shut.Go(func() { err = s.Shutdown(ctx) })
			io.WriteString(visitors, "hello")
			b := make([]byte, 5)
			if _, err := io.ReadFull(handlers, b); err != nil {
				t.Errorf("%s: Read while the session drains: %v", way, err)
			}
			handlers.Write(b)
			if _, err := io.ReadFull(visitors, b); string(b) != "hello" {
				t.Errorf("%s: visitor read %q, %v while the session drains", way, b, err)
			}
		}
		if way == "ends" {
			handlers.Close()
		} else {
			cancel()
		}
		shut.Wait()
		if (way == "wait is over") != errors.Is(err, context.Canceled) {
			t.Errorf("%s: Shutdown = %v", way, err)
		}
		if _, err := handlers.Read(make([]byte, 1)); err == nil {
			t.Errorf("%s: Read succeeded", way)
		}
		if _, err := io.ReadAll(visitors); err != nil && way == "ends" {
			t.Errorf("%s: visitor read %v, want the end", way, err)
		}
		cancel()
		handlers.Close()
		visitors.Close()
	}
}
