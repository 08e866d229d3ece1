// Package wire makes HTTP exact below net/http. Handlers see request targets as they were sent,
// even with a malformed %; contradictory framing is refused; the caller writes the responses to
// requests that net/http refuses; and deadlines work the same in HTTP/2 as in HTTP/1. Connections
// are bounded in count, memory and time. The package knows nothing of claims, labels or programs.
//
// A [Port] makes the server and its listeners. Most functions are for its handler.
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

// Options configure a [Port]. Nil means all zero values.
type Options struct {
	// HeadTime bounds how long the head of a request, or a TLS handshake, may take. Zero means no
	// bound.
	HeadTime time.Duration
	// HeadBytes bounds how much of a head net/http reads, in bytes. Zero means 1 MiB.
	HeadBytes int
	// Idle bounds how long a connection stays open between requests. Zero means no bound.
	Idle time.Duration

	// Place reserves a place for a connection of [Port.Limit] with a peer, or returns nil if there
	// is none left. If Place is nil, connections are not counted.
	Place func(peer net.Addr) Place
	// Sealed says that peers speak TLS, to the port or to a proxy in front of it. A peer without a
	// place is then disconnected without a response, which it could not read.
	Sealed bool

	// ClearCookies says to answer a head that cookies make too long with Clear-Site-Data, so that a
	// browser drops the cookies of the site and can come back.
	ClearCookies bool

	// Base is the context from which those of all requests derive. Nil means
	// [context.Background].
	Base context.Context
	// Log receives failed handshakes, at level debug, and panics. Nil means that they are not
	// logged.
	Log *slog.Logger
	// Panicked is called after a panic outside the handler was logged. Nil means no call.
	Panicked func()
}

// Refuse writes the response for a peer that is refused before the handler sees a request.
// An empty detail means the usual one of the code.
type Refuse func(w http.ResponseWriter, code schema.Code, detail string)

// Place is the share of a budget that a connection takes.
type Place interface {
	// Grow takes n more bytes, and reports whether there is room for them.
	Grow(n int) bool
	// Shrink gives n bytes back.
	Shrink(n int)
	// Wait notes that the connection is idle, and Serve that it is not.
	Wait()
	Serve()
	// Evictable sets the function that closes the connection to make room. The budget may call it
	// while the connection is idle.
	Evictable(evict func(why error))
	// Close gives everything back. It is called once.
	Close()
}

// Port serves HTTP: it makes the server, and wraps the listeners that this server serves. It speaks
// HTTP/1.1 and HTTP/2, over TLS by ALPN and in the clear with prior knowledge.
type Port struct {
	handler http.Handler
	refuse  Refuse
	options Options
	busy    atomic.Int64 // connections on which a peer may wait for an answer
	waiting atomic.Int64 // connections that are new, or on which a request began that no handler has taken, see Taken
	closing atomic.Int64 // connections over TLS that are about to be closed
	away    detachedSet
}

// New returns a port whose requests h serves. refuse answers peers whose bytes never become a
// request. Options may be nil.
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

// Server returns an HTTP server with the bounds of the port on time and size. It must serve a
// listener that [Listen] or [Port.ListenTLS] returned. If a handler panics during an HTTP/1.0
// response, the connection is reset, since nothing else shows that the response was cut short.
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
	if p.options.Base != nil {
		server.BaseContext = func(net.Listener) context.Context { return p.options.Base }
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

// Recover is to be deferred by a handler. After a panic it logs the panic, without the request,
// which may hold secrets; calls panicked; and ends the connection, so that the peer sees that the
// response is incomplete. net/http would log the panic among its connection errors.
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

// note counts a connection in n while is is true. was holds the previous value.
func note(n *atomic.Int64, was *atomic.Bool, is bool) {
	switch {
	case was.Swap(is) == is:
	case is:
		n.Add(1)
	default:
		n.Add(-1)
	}
}

// Taken notes that the handler has taken over r. Until then [Port.Awaits] counts r; from then on
// the handler must.
func Taken(r *http.Request) {
	if a, _ := r.Context().Value(connKey{}).(*accepted); a != nil && a.port != nil {
		note(&a.port.waiting, &a.waiting, false)
	}
}

// Base returns the context from which those of all requests of the port derive.
func (p *Port) Base() context.Context {
	if p.options.Base == nil {
		return context.Background()
	}
	return p.options.Base
}

// Awaits reports whether there is an accepted connection that has not sent anything yet, or a
// request that no handler has taken.
func (p *Port) Awaits() bool { return p.waiting.Load() > 0 }

// Settle waits until no peer has begun a request and may be waiting for the answer, or until ctx
// ends. Call it after [http.Server.Serve] returns and before [http.Server.Shutdown], which silently
// drops what it has read by then.
func (p *Port) Settle(ctx context.Context) { zero(ctx, &p.busy) }

// Close closes the connections that are not with net/http (see [Detach]), and waits, for at most a
// second, until the peers of closed TLS connections have their close_notify (RFC 8446, 6.1). Call
// it after the server is closed.
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
