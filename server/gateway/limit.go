package gateway

import (
	"net"
	"net/http"
	"net/netip"
	"sync"

	"reversehttp/schema"
	"reversehttp/server/claim"
)

// connectionWeight is what a connection costs in memory: what net/http has for it, and
// the stacks of its goroutines.
const connectionWeight = 24 << 10

// Limit wraps a listener of TCP so that its connections count in the budget of the
// gateway: each address has a share of them, and where they are short the connection that
// was idle for longest makes room. Whoever finds no room is told so, and hung up on.
func (g *Gateway) Limit(l net.Listener) net.Listener { return &limit{l, g} }

type limit struct {
	net.Listener
	g *Gateway
}

// Accept waits for a connection that there is room for.
func (l *limit) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		hold := l.g.registry.Budget().Open(l.g.peer(c))
		if hold.Enter(claim.Connections) && hold.Grow(connectionWeight) {
			p := &seat{TCPConn: c.(*net.TCPConn), hold: hold}
			hold.Evictable(func(error) { _ = p.TCPConn.Close() })
			hold.Wait() // until a request comes
			return p, nil
		}
		hold.Close()
		l.refuse(c)
	}
}

// refuse says why a connection is closed, where its peer can read that: it is one without
// TLS, and the peer sent nothing yet.
func (l *limit) refuse(c net.Conn) {
	if l.g.public.scheme == "http" {
		below := &conn{Conn: c}
		_ = below.refuse(&problem{code: schema.CodeQueueFull, detail: "Too many connections are open, of this address or in all. Close some, or come back soon."})
	}
	_ = c.Close()
}

// peer returns the address that a connection counts for. Those of a trusted proxy, which
// are of many visitors, count for none.
func (g *Gateway) peer(c net.Conn) netip.Addr {
	a := addressOf(c.RemoteAddr().String())
	if g.anonymous || g.trustsAddr(a) {
		return netip.Addr{}
	}
	return a
}

// seat is a connection that has a place. It is one of TCP: the gateway ends one side of
// some, and resets others.
type seat struct {
	*net.TCPConn
	hold *claim.Hold
	once sync.Once
}

// Close closes the connection and gives its place back.
func (p *seat) Close() error {
	defer p.once.Do(p.hold.Close)
	return p.TCPConn.Close()
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

// note notes whether somebody is served on the connection, or it is idle.
func (p *seat) note(s http.ConnState) {
	switch {
	case p == nil:
	case s == http.StateIdle:
		p.hold.Wait()
	case s == http.StateActive, s == http.StateHijacked:
		p.hold.Serve()
	}
}
