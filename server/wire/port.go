// Package wire is HTTP made exact below net/http. Requests come as their peers sent them
// (a target with a malformed %, two framings that contradict each other), refusals of
// net/http are written in the caller's words, and HTTP/2 has the deadlines that HTTP/1 has.
// Connections are bounded in count, memory and time. The package knows no claims, labels or
// programs.
//
// A [Port] has the server and its listeners. The functions are for its handler.
package wire

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"reversehttp/schema"
)

// Options of a [Port]. Nil means the zero value of all.
type Options struct {
	// HeadTime is how long the head of a request may take, and a handshake of TLS. Zero
	// means no bound.
	HeadTime time.Duration
	// HeadBytes is how much net/http reads of a head at most, in bytes. Zero means 1 MiB.
	HeadBytes int
	// Idle is how long a connection is kept between requests. Zero means no bound.
	Idle time.Duration

	// Place opens the place of a connection of [Port.Limit] with a peer, or returns nil
	// where there is none. Nil means that connections are not counted.
	Place func(peer net.Addr) Place
	// Sealed says that peers speak TLS, if only to a proxy, so that no one who has no
	// place could read why.
	Sealed bool

	// ClearCookies says that a head which cookies make too long is answered with Clear-Site-Data, so that a browser
	// forgets those of the site and comes back.
	ClearCookies bool

	// Log gets handshakes that fail, at debug, and panics. Nil means nowhere.
	Log *slog.Logger
	// Panicked is called after a panic outside the handler was logged. Nil means no call.
	Panicked func()
}

// Refuse writes the response for a peer that is refused before the handler sees a request.
// An empty detail means the usual one of the code.
type Refuse func(w http.ResponseWriter, code schema.Code, detail string)

// Place is what a connection takes of a budget.
type Place interface {
	// Grow takes n bytes more, and reports whether there is room for them.
	Grow(n int) bool
	// Shrink gives n bytes back.
	Shrink(n int)
	// Wait notes that the connection is idle, and Serve that it is not.
	Wait()
	Serve()
	// Evictable sets what closes the connection. It may be called while that is idle.
	Evictable(evict func(why error))
	// Close gives everything back. It is called once.
	Close()
}

// Port is where HTTP is spoken: it has the server, and wraps the listeners that this serves.
// It speaks HTTP/1.1 and HTTP/2: over TLS by ALPN, in the clear with prior knowledge.
type Port struct {
	handler http.Handler
	refuse  Refuse
	options Options
	busy    atomic.Int64 // connections on which a peer may wait for an answer
	waiting atomic.Int64 // connections that were accepted, are new, or on which a request began that no handler has taken, see Taken
	closing atomic.Int64 // connections over TLS that are about to be closed
	away    detachedSet
}

// New returns a port whose requests h serves. What never becomes a request is refused by
// refuse. Options may be nil.
func New(h http.Handler, refuse Refuse, o *Options) *Port {
	p := &Port{handler: h, refuse: refuse}
	if o != nil {
		p.options = *o
	}
	if p.options.Log == nil {
		p.options.Log = slog.New(slog.DiscardHandler)
	}
	return p
}

// Server returns an HTTP server with the bounds of the port on time and size. It is to serve
// what [Listen] or [Port.ListenTLS] returns. An answer in HTTP/1.0 whose handler panics ends
// with a reset of its connection, since nothing else says that it was cut short.
func (p *Port) Server() *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{
		Handler:                      http.HandlerFunc(p.serve),
		Protocols:                    protocols,
		HTTP2:                        http2Config(),
		ReadHeaderTimeout:            p.options.HeadTime,
		IdleTimeout:                  p.options.Idle,
		MaxHeaderBytes:               p.options.HeadBytes,
		DisableGeneralOptionsHandler: true, // OPTIONS * is the handler's
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if a, ok := c.(*accepted); ok {
				a.port, a.refusal, a.clears = p, p.refuse, p.options.ClearCookies
				return context.WithValue(ctx, connKey{}, a)
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
			note(&p.busy, &a.busy, s == http.StateActive)
			note(&p.waiting, &a.waiting, s == http.StateNew || s == http.StateActive)
			a.seat.arrived()
		},
	}
	server.RegisterOnShutdown(p.away.endIdle)
	return server
}

// serve serves a request of any version.
func (p *Port) serve(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 2 {
		p.serveHTTP2(w, r)
		return
	}
	if c := connOf(r); c != nil {
		c.serve()
		whole := false
		defer func() {
			if !whole && !r.ProtoAtLeast(1, 1) {
				c.reset()
			}
		}()
		p.handler.ServeHTTP(w, r)
		whole = true
		return
	}
	p.handler.ServeHTTP(w, r)
}

// caught logs a panic outside the handler.
func (p *Port) caught(v any) {
	p.options.Log.Error("panic while serving a connection", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	if p.options.Panicked != nil {
		p.options.Panicked()
	}
}

// Recover is deferred by a handler. It logs a panic, without the request, which may hold secrets, calls panicked, and ends the
// connection: net/http would log the panic with the noise of connections, and the peer sees that what it got is not whole.
func Recover(log *slog.Logger, message string, panicked func()) {
	v := recover()
	if v == nil {
		return
	}
	if v != http.ErrAbortHandler {
		panicked()
		log.Error(message, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	}
	panic(http.ErrAbortHandler)
}

// note counts a connection in n while something is so of it, which was says.
func note(n *atomic.Int64, was *atomic.Bool, is bool) {
	switch {
	case was.Swap(is) == is:
	case is:
		n.Add(1)
	default:
		n.Add(-1)
	}
}

// Taken notes that the handler has r in hand, and counts it where it likes. Until then [Port.Awaits] does.
func Taken(r *http.Request) {
	if a, _ := r.Context().Value(connKey{}).(*accepted); a != nil && a.port != nil {
		note(&a.port.waiting, &a.waiting, false)
	}
}

// Awaits reports whether a connection was accepted on which nothing came yet, or a request began that no handler has taken.
func (p *Port) Awaits() bool { return p.waiting.Load() > 0 }

// Settle waits until no peer on a connection has begun a request and may be waiting for the answer, or
// ctx ends. It is for the time between the end of [http.Server.Serve] and
// [http.Server.Shutdown], which drops without a word what it has read by then.
func (p *Port) Settle(ctx context.Context) { zero(ctx, &p.busy) }

// Close closes the connections that are not with net/http (see [Detach]), and waits until peers of
// connections over TLS that were closed have their close_notify (RFC 8446, 6.1), for a second at
// most. It is called after the server is closed.
func (p *Port) Close() {
	p.away.end()
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	zero(ctx, &p.closing)
}

// zero waits until n is zero, or until ctx ends.
func zero(ctx context.Context, n *atomic.Int64) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for n.Load() != 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
