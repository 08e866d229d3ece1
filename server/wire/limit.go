package wire

import (
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"reversehttp/schema"
)

// connectionWeight is what a connection costs in memory: what net/http has for it, and
// the stacks of its goroutines.
const connectionWeight = 24 << 10

// Limit wraps a listener of TCP so that each of its connections has a place (see
// [Options.Place]), which may be taken back while it is idle. Where there is none the peer
// hears so, unless the port is sealed, and the connection is closed. [Listen] or
// [Port.ListenTLS] wraps what Limit returns.
func (p *Port) Limit(l net.Listener) net.Listener {
	if p.options.Place == nil {
		return l
	}
	return &limit{l, p}
}

type limit struct {
	net.Listener
	port *Port
}

// Accept waits for a connection that there is room for.
func (l *limit) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		place := l.port.options.Place(c.RemoteAddr())
		if place != nil && place.Grow(connectionWeight) {
			s := &seat{remote: c.RemoteAddr(), place: place, port: l.port}
			if p, ok := c.(*proxiedConn); ok {
				s.TCPConn = p.TCPConn
			} else {
				s.TCPConn = c.(*net.TCPConn)
			}
			note(&l.port.waiting, &s.arriving, true)
			place.Evictable(func(error) {
				if s.served.Load() {
					_ = s.TCPConn.Close()
				} else { // its request may be on the way
					l.refuse(s.TCPConn, "The connection was idle while others needed its place. Come back soon.")
				}
			})
			place.Wait() // until a request comes
			return s, nil
		}
		if place != nil {
			place.Close()
		}
		l.refuse(c, "Too many connections are open, of this address or in all. Close some, or come back soon.")
	}
}

// refuse says why a connection is closed, where its peer can read that: it is one without
// TLS, and the peer had no answer yet.
func (l *limit) refuse(c net.Conn, detail string) {
	if !l.port.options.Sealed {
		below := &conn{Conn: c, refusal: l.port.refuse}
		_ = below.refuse(schema.CodeQueueFull, detail)
	}
	_ = c.Close()
}

// seat is a connection that has a place. It is one of TCP: a server ends one side of
// some, and resets others.
type seat struct {
	*net.TCPConn
	remote net.Addr // whom it is for
	place  Place
	once   sync.Once
	// served is set once a request was served on it.
	served atomic.Bool
	// arriving says that the server does not know it yet.
	port     *Port
	arriving atomic.Bool
}

// RemoteAddr returns whom the connection is for.
func (s *seat) RemoteAddr() net.Addr { return s.remote }

// Close closes the connection and gives its place back.
func (s *seat) Close() error {
	defer s.once.Do(s.place.Close)
	s.arrived()
	return s.TCPConn.Close()
}

// arrived notes that the server knows the connection, or that it ended before.
func (s *seat) arrived() {
	if s != nil {
		note(&s.port.waiting, &s.arriving, false)
	}
}

// seatOf returns the seat that is below a connection, or nil where there is none.
func seatOf(c net.Conn) *seat {
	for {
		switch below := c.(type) {
		case *seat:
			return below
		case interface{ NetConn() net.Conn }:
			c = below.NetConn()
		case *accepted:
			c = below.Conn
		default:
			return nil
		}
	}
}

// note notes whether a request is served on the connection, or it is idle.
func (s *seat) note(state http.ConnState) {
	switch {
	case s == nil:
	case state == http.StateIdle:
		s.place.Wait()
	case state == http.StateActive, state == http.StateHijacked:
		s.served.Store(true)
		s.place.Serve()
	}
}

// Idles notes that the peer of the connection of r, which a handler took from net/http, is waited for: the connection may be closed
// where others need its place, as one that is idle, until served is called.
func Idles(r *http.Request) (served func()) {
	a := acceptedOf(r)
	if a == nil || a.seat == nil || r.ProtoMajor != 1 {
		return func() {}
	}
	a.seat.place.Wait()
	return a.seat.place.Serve
}
