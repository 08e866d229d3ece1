package gateway

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/schema"
	"reversehttp/server/claim"
)

// Over HTTP/2 a reset of a poll means that its program ended it; only the end of the connection shows that
// the program is gone.
func TestOnlyTheEndOfTheConnectionIsAHangupInHTTP2(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(poll *call, program net.Conn)
		told time.Duration // the earliest time at which the visitor gets an answer
	}{
		"the stream is reset":   {func(poll *call, _ net.Conn) { poll.stop() }, 10 * time.Second},
		"the connection closes": {func(_ *call, program net.Conn) { _ = program.Close() }, 2 * time.Second},
	} {
		for form, fields := range map[string][]schema.Field{"batch": nil, "stream": {{"Accept", "application/x-ndjson"}}} {
			t.Run(name+", "+form, func(t *testing.T) {
				inWorld(t, Options{}, func(w *world) {
					p := w.claim("demo")
					program, connections := *w, make(chan net.Conn, 1)
					protocols := new(http.Protocols)
					protocols.SetUnencryptedHTTP2(true)
					program.client = &http.Client{Transport: toOrigin{w, &http.Transport{Protocols: protocols, DialContext: func(context.Context, string, string) (net.Conn, error) {
						c, err := w.network.dial(visitorAddr)
						connections <- c
						return c, err
					}}}}
					v := w.visit(get(host, "/"))
					synctest.Wait()
					polled := w.send("GET", p.Requests, p.Token, nil, schema.Field{"Last-Event-ID", p.Cursor})
					cursor := into[schema.Batch](t, polled).Cursor
					poll := program.begin(w.request("GET", p.Requests, p.Token, nil, append(fields, schema.Field{"Last-Event-ID", cursor})...))
					synctest.Wait()
					start := time.Now()
					c.end(poll, <-connections)

					got := v.await()
					if took := time.Since(start); took < c.told || took > c.told+6*time.Second || got.code() != schema.CodeNoHandler {
						t.Errorf("the visitor got %d %s after %s, want no_handler after %s", got.Status, got.code(), took, c.told)
					}
				})
			})
		}
	}
}

// A connection that reads nothing is slow, which is not a hangup, although the gateway ends it.
func TestAStreamThatReadsNothingIsNoHangup(t *testing.T) {
	inWorld(t, Options{Times: claim.Times{Answer: 10 * time.Minute}}, func(w *world) {
		p := w.claim("demo")
		frozen := p.dial(visitorAddr)
		frozen.sendNow(get("localhost:8080", strings.TrimPrefix(p.Requests, p.origin()), "Accept: application/x-ndjson", "Authorization: Bearer "+p.Token, "Last-Event-ID: "+p.Cursor))
		if _, err := http.ReadResponse(frozen.in, nil); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		v, start := w.visit(requestTo("PUT", host, "/", "Content-Length: 60000")+strings.Repeat("x", 60_000)), time.Now()
		got := v.await()
		if took := time.Since(start); took < 20*time.Second || got.code() != schema.CodeNoHandler {
			t.Errorf("the visitor got %d %s after %s, want no_handler 10 s after the 10 s in which the stream took nothing", got.Status, got.code(), took)
		}
	})
}

// hungUpOnTCP lets a program stream over a real connection and end that, and waits until the visitor learns
// of it.
func hungUpOnTCP(t *testing.T, end func(net.Conn)) {
	t.Helper()
	var o Options
	o.Times = claim.Times{Closed: 50 * time.Millisecond, Acknowledge: time.Hour, NoPoller: time.Hour, Answer: 2 * time.Hour, Lease: time.Hour}
	onBothPorts(t, o, func(t *testing.T, g *Gateway, dial func() net.Conn) {
		opened, err := g.Registry().Open(netip.Addr{}, "demo", "t0", claim.Settings{})
		if err != nil {
			t.Fatal(err)
		}
		program, visitor := dial(), dial()
		defer func() { _ = visitor.Close() }()
		_, _ = io.WriteString(program, "GET /claims/demo/sessions/"+opened.Session.ID()+"/requests HTTP/1.1\r\nHost: localhost:8080\r\nAuthorization: Bearer t0\r\nAccept: application/x-ndjson\r\nLast-Event-ID: "+opened.Cursor+"\r\n\r\n")
		stream, err := http.ReadResponse(bufio.NewReader(program), nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(visitor, get(host, "/"))
		lines := bufio.NewReader(stream.Body)
		for line := "\n"; line == "\n"; {
			if line, err = lines.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		end(program)
		resp, err := http.ReadResponse(bufio.NewReader(visitor), nil)
		if told := newReply(resp, err); told.Err != nil || told.code() != schema.CodeNoHandler {
			t.Errorf("the visitor got %+v, want no_handler", told)
		}
	})
}

// Whatever signal of the kernel shows that a program is gone, its visitors learn of it long before its
// silence would be noticed.
func TestSignalsOfTheKernelEndExchangesOfAProgram(t *testing.T) {
	for name, end := range map[string]func(net.Conn){
		"closed": func(c net.Conn) { _ = c.Close() },
		"reset": func(c net.Conn) {
			if over, ok := c.(interface{ NetConn() net.Conn }); ok {
				c = over.NetConn()
			}
			_ = c.(*net.TCPConn).SetLinger(0)
			_ = c.Close()
		},
	} {
		t.Run(name, func(t *testing.T) { hungUpOnTCP(t, end) })
	}
}
