package gateway

import (
	"context"
	"net"
	"net/http"
	"time"
)

// Server gives an HTTP server for the gateway, with its bounds on time and
// size. It is to serve [Listen] of a listener.
func (g *Gateway) Server() *http.Server {
	return &http.Server{
		Handler:                      g,
		ReadHeaderTimeout:            g.options.FieldTime,
		IdleTimeout:                  g.options.Idle,
		MaxHeaderBytes:               2 * (g.options.FieldBytes + g.options.TargetBytes),
		DisableGeneralOptionsHandler: true, // OPTIONS * is the handler's
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c)
		},
		ConnState: func(c net.Conn, s http.ConnState) {
			if v, ok := c.(*conn); ok && s == http.StateIdle {
				v.expectHead()
			}
		},
	}
}

// boundWrite gives the peer so long to take n bytes of content that are written
// next: a time that is plenty for a head, and a least rate. It stays in force
// while net/http flushes, so everything that is written after a wait, and
// every request at its start, sets it anew.
func boundWrite(w http.ResponseWriter, n int) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeGrace + time.Duration(n)*time.Second/writeRate))
}

// How slowly a peer may take what is written to it.
const (
	writeGrace = 30 * time.Second
	writeRate  = 1_024 // bytes a second
)

// Listen wraps a listener so that two things that net/http does by itself are
// done the gateway's way: a request target with a malformed % is relayed, not
// refused, and what net/http refuses is told as a problem.
func Listen(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c}, nil
}
