package gateway

import (
	"context"
	"net"
	"net/http"
	"time"
)

// Server gives an HTTP server for the gateway, with its bounds on time and
// size. It is to serve what [Listen] or [Gateway.ListenTLS] give. It speaks
// HTTP/1.1 and HTTP/2, in the clear with prior knowledge.
func (g *Gateway) Server() *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:                      http.HandlerFunc(g.serve),
		Protocols:                    protocols,
		HTTP2:                        http2Config(),
		ReadHeaderTimeout:            g.options.FieldTime,
		IdleTimeout:                  g.options.Idle,
		MaxHeaderBytes:               2 * (g.options.FieldBytes + g.options.TargetBytes),
		DisableGeneralOptionsHandler: true, // OPTIONS * is the handler's
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if a, ok := c.(*accepted); ok {
				return context.WithValue(ctx, connKey{}, &a.conn)
			}
			return ctx
		},
		ConnState: func(c net.Conn, s http.ConnState) {
			a, ok := c.(*accepted)
			if !ok {
				return
			}
			if s == http.StateIdle {
				a.expectHead()
			}
			a.seat.note(s)
			if busy := s == http.StateNew || s == http.StateActive; busy != a.busy {
				a.busy = busy
				if busy {
					g.busy.Add(1)
				} else {
					g.busy.Add(-1)
				}
			}
		},
	}
}

// Settle waits until nobody on a connection may be waiting for an answer, or
// ctx ends. It is for the time between the end of [http.Server.Serve] and
// [http.Server.Shutdown], which drops without a word what it has read by then.
func (g *Gateway) Settle(ctx context.Context) {
	wait(ctx, func() bool { return g.busy.Load() == 0 })
}

// wait waits until done, or until ctx ends.
func wait(ctx context.Context, done func() bool) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// boundWrite gives the peer so long to take n bytes of content that are written
// next: a time that is plenty for a head, and a least rate. It stays in force
// while net/http flushes, so everything that is written after a wait, and
// every request at its start, sets it anew.
func boundWrite(w http.ResponseWriter, n int) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTime(n)))
}

// writeTime is how long a peer may take n bytes.
func writeTime(n int) time.Duration {
	return writeGrace + time.Duration(n)*time.Second/writeRate
}

// How slowly a peer may take what is written to it.
const (
	writeGrace = 30 * time.Second
	writeRate  = 1_024 // bytes a second
)

// Listen wraps a listener so that two things that net/http does by itself with
// HTTP/1 are done the gateway's way: a request target with a malformed % is
// relayed, not refused, and what net/http refuses is told as a problem.
func Listen(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newAccepted(c, seatOf(c)), nil
}

// newAccepted returns a connection that has a seat, or none where that is nil.
func newAccepted(c net.Conn, at *seat) *accepted {
	a := &accepted{conn: conn{Conn: c}, seat: at}
	if at != nil {
		a.hold = at.hold
	}
	return a
}

// accepted is a connection as the server knows it.
type accepted struct {
	conn
	seat *seat // nil where connections are not counted
	// busy says that it is new, or that a request is read or answered on it. Only
	// the ConnState hook touches it, which net/http calls one after the other.
	busy bool
}
