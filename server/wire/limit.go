package wire

import (
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"reversehttp/schema"
)

// connectionWeight is the memory of a connection in net/http, with the stacks of its goroutines, in
// bytes.
const connectionWeight = 24 << 10

// Limit wraps a TCP listener so that each of its connections has a place (see [Options.Place]),
// which may be reclaimed while the connection is idle. If there is no place, the peer gets a
// problem, unless the port is sealed, and the connection is closed. Pass the result to [Listen] or
// [Port.ListenTLS].
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

// Accept waits for a connection that has a place.
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

// refuse closes a connection. It says why if the peer can read that: without TLS, and before any
// answer.
func (l *limit) refuse(c net.Conn, detail string) {
	if !l.port.options.Sealed {
		below := &conn{Conn: c, refusal: l.port.refuse}
		_ = below.refuse(schema.CodeQueueFull, detail)
	}
	_ = c.Close()
}

// seat is a connection that has a place. It is a [net.TCPConn], because a server closes only one
// side of some connections and resets others.
type seat struct {
	*net.TCPConn
	remote net.Addr // the address that the connection counts for
	place  Place
	once   sync.Once
	// served is set once a request was served on the connection.
	served atomic.Bool
	// arriving is whether the server does not know the connection yet.
	port     *Port
	arriving atomic.Bool
}

// RemoteAddr returns the address that the connection counts for.
func (s *seat) RemoteAddr() net.Addr { return s.remote }

// Close closes the connection and gives its place back.
func (s *seat) Close() error {
	defer s.once.Do(s.place.Close)
	s.arrived()
	return s.TCPConn.Close()
}

// arrived notes that the server knows the connection, or that it ended earlier.
func (s *seat) arrived() {
	if s != nil {
		note(&s.port.waiting, &s.arriving, false)
	}
}

// seatOf returns the seat below a connection, or nil if it has none.
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

// note notes whether the connection serves a request or is idle.
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

// Idles notes that the handler which took the connection of r from net/http waits for the peer.
// Until served is called, the connection counts as idle and may be closed if others need its place.
func Idles(r *http.Request) (served func()) {
	a := acceptedOf(r)
	if a == nil || a.seat == nil || r.ProtoMajor != 1 {
		return func() {}
	}
	a.seat.place.Wait()
	return a.seat.place.Serve
}
