package process

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"reversehttp/schema"
)

// peer is a connection on which a test writes any bytes.
type peer struct {
	*process
	net.Conn
}

// connect opens a connection that the gateway has accepted.
func (p *process) connect() *peer {
	p.t.Helper()
	conn, err := p.dial()
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	if p.inTLS {
		over := tls.Client(conn, unverified)
		if err := over.Handshake(); err != nil {
			p.t.Fatal(err)
		}
		conn = over
	}
	// Connections are accepted in order, and this one comes later.
	if status, _ := p.send("GET", p.console+"healthz", "", nil); status != 204 {
		p.t.Fatalf("health = %d", status)
	}
	return &peer{p, conn}
}

func (p *process) dial() (net.Conn, error) {
	u, err := url.Parse(p.console)
	if err != nil {
		return nil, err
	}
	return dialLoopback(p.t.Context(), "tcp", u.Host)
}

func (c *peer) write(format string, a ...any) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c, format, a...); err != nil {
		c.t.Fatal(err)
	}
}

// deaf waits until the gateway accepts no connections.
func (p *process) deaf() {
	p.t.Helper()
	for until := time.Now().Add(patience); time.Now().Before(until); {
		conn, err := p.dial()
		if err != nil {
			return
		}
		_ = conn.Close()
	}
	p.t.Fatal("the gateway still listens")
}

// answered is content larger than the buffers between two processes.
const answered = 15 << 20

// relayed returns a visitor of an answered exchange who has not read anything.
func (p *process) relayed() *peer {
	p.t.Helper()
	_, a := p.claim("t0")
	u, err := url.Parse(a.URL)
	if err != nil {
		p.t.Fatal(err)
	}
	v := p.connect()
	v.write("GET / HTTP/1.1\r\nHost: %s\r\n\r\n", u.Host)
	_, content := p.send("GET", a.Requests, "t0", nil)
	_, id, _ := strings.Cut(string(content), `"id":"`)
	id, _, _ = strings.Cut(id, `"`)
	body := strings.Repeat("x", answered)
	if status, content := p.send("POST", a.Responses, "t0", schema.Response{Type: schema.TypeResponse, ID: id, Status: 200, Body: &body}); status != 202 {
		p.t.Fatalf("answer = %d %s", status, content)
	}
	return v
}

// hasty is a short time for last writes.
const hasty = 100 * time.Millisecond

func TestNoPeerDelaysTheEndOfTheProcess(t *testing.T) {
	inBoth(t, func(t *testing.T, args ...string) {
		t.Run("a visitor who does not read", func(t *testing.T) {
			t.Parallel()
			p := startHasty(t, hasty, append(args, "--drain=100ms")...)
			p.relayed()
			p.signals <- syscall.SIGTERM
			p.ended()
		})
		t.Run("a program that does not send", func(t *testing.T) {
			t.Parallel()
			p := startHasty(t, hasty, append(args, "--drain=100ms")...)
			p.connect().write("POST /claims HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
			p.signals <- syscall.SIGTERM
			p.ended()
		})
		t.Run("a connection that is not used", func(t *testing.T) {
			t.Parallel()
			p := startHasty(t, hasty, args...)
			p.connect()
			p.signals <- syscall.SIGTERM
			p.ended()
		})
	})
}

func TestAVisitorWithoutAnAnswerInTimeGetsAnError(t *testing.T) {
	inBoth(t, func(t *testing.T, args ...string) {
		p := start(t, append(args, "--drain=100ms")...)
		_, a := p.claim("t0")
		u, err := url.Parse(a.URL)
		if err != nil {
			t.Fatal(err)
		}
		v := p.connect()
		v.write("POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: 0\r\n\r\n", u.Host)
		if status, content := p.send("GET", a.Requests, "t0", nil); status != 200 {
			t.Fatalf("poll = %d %s", status, content)
		}
		p.signals <- syscall.SIGTERM
		resp, err := http.ReadResponse(bufio.NewReader(v), nil)
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(resp.Body)
		if resp.StatusCode != 503 || !strings.Contains(string(content), `"draining"`) || err != nil {
			t.Errorf("the visitor got %d %s %v, want 503 draining", resp.StatusCode, content, err)
		}
		p.ended()
	})
}

func TestAVisitorWhoseClaimEndedGetsAnError(t *testing.T) {
	inBoth(t, func(t *testing.T, args ...string) {
		p := start(t, append(args, "--drain=100ms")...)
		_, a := p.claim("t0")
		_, visit := p.delivered(a)
		if status, content := p.send("DELETE", a.Claim, "t0", nil); status != 204 {
			t.Fatalf("delete = %d %s", status, content)
		}
		p.signals <- syscall.SIGTERM
		if got := <-visit; got.status != 503 || !strings.Contains(string(got.content), `"draining"`) {
			t.Errorf("the visitor got %d %s, want 503 draining", got.status, got.content)
		}
		p.ended()
	})
}

func TestAVisitorWhoIsSendingAtTheEndGetsAnError(t *testing.T) {
	inBoth(t, func(t *testing.T, args ...string) {
		p := start(t, append(args, "--drain=500ms")...)
		_, a := p.claim("t0")
		u, err := url.Parse(a.URL)
		if err != nil {
			t.Fatal(err)
		}
		v := p.connect()
		v.write("POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: 10\r\n\r\nhello", u.Host)
		for open := false; !open; {
			_, metrics := p.send("GET", p.console+"metrics", "", nil)
			open = strings.Contains(string(metrics), "reversehttp_exchanges_open 1\n")
		}
		p.signals <- syscall.SIGTERM
		resp, err := http.ReadResponse(bufio.NewReader(v), nil)
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(resp.Body)
		if resp.StatusCode != 503 || !strings.Contains(string(content), `"draining"`) || err != nil {
			t.Errorf("the visitor got %d %s %v, want 503 draining", resp.StatusCode, content, err)
		}
		p.ended()
	})
}

func TestASlowReaderHasAllOfDrain(t *testing.T) {
	inBoth(t, func(t *testing.T, args ...string) {
		p := startHasty(t, hasty, append(args, "--drain=10m")...)
		v := p.relayed()
		p.signals <- syscall.SIGTERM
		p.deaf()
		<-time.After(5 * hasty) // the visitor pauses
		resp, err := http.ReadResponse(bufio.NewReader(v), nil)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, resp.Body); n != answered || err != nil {
			t.Errorf("the visitor got %d bytes and %v, want all %d", n, err, answered)
		}
		p.ended()
	})
}

func TestEveryAcceptedVisitorIsAnswered(t *testing.T) {
	inBoth(t, func(t *testing.T, args ...string) {
		p := startHasty(t, patience, append(args, "--drain=1s")...) // so that this test may write late
		_, a := p.claim("t0")
		u, err := url.Parse(a.URL)
		if err != nil {
			t.Fatal(err)
		}
		v := p.connect()
		p.signals <- syscall.SIGTERM
		p.deaf()
		v.write("GET / HTTP/1.1\r\nHost: %s\r\n\r\n", u.Host)
		resp, err := http.ReadResponse(bufio.NewReader(v), nil)
		if err != nil {
			t.Fatalf("a visitor got %v, want an answer", err)
		}
		content, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != 503 || !strings.Contains(string(content), `"draining"`) || !resp.Close {
			t.Errorf("a visitor got %d %s, close %v; want 503 draining, and that the connection ends", resp.StatusCode, content, resp.Close)
		}
		p.ended()
	})
}
