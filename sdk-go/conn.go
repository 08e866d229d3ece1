package reversehttp

import (
	"context"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// A conn is the visitor's connection after an upgrade. What the visitor sends arrives as the
// content of the request, and what the handler writes is sent as the parts of the answer, a stream.
// A pipe on each side makes them a net.Conn with working deadlines.
//
//	receive   asks for the content once the gateway took the 101, and fills one pipe until the handler reads
//	send      empties the other into the stream, which holds 64 KiB: what is written while a part is on its way goes
//	          together with the next
//	pump      sends the parts (parts.go), each when the gateway has room for it
//
// The exchange lives until the conn is closed and the last part was taken, until the gateway takes
// no more or says that the visitor left, or until its session ends. What a visitor sent before they
// left can still be read, as long as the handler keeps reading. The end of the exchange's context
// cuts everything.

const (
	// How long a conn may be neither read nor closed after the visitor has left.
	partingMost = time.Second
	// How long a visitor may take to read what was written before Close.
	lingerMost = 30 * time.Second
	// The most bytes on their way between a pipe and the line.
	pieceMost = 8 << 10
)

type conn struct {
	session       *Session
	x             *exchange
	local, remote net.Addr

	reads, arrivals    net.Conn // the ends of a pipe
	writes, departures net.Conn // and of another
	content            *remote
	leaving            leaving

	mu      sync.Mutex // guards what follows
	out     *parts     // set when the answer is a 101
	closed  bool
	parting *time.Timer // set when the visitor has left
	broken  error       // why the content ended without a clean end
}

// newConn returns a connection that waits for the answer to x.
func newConn(s *Session, x *exchange, local, visitor string) *conn {
	c := &conn{session: s, x: x, local: addr(local), remote: addr(visitor)}
	if at, err := netip.ParseAddrPort(visitor); err == nil {
		c.remote = net.TCPAddrFromAddrPort(at)
	}
	c.reads, c.arrivals = net.Pipe()
	c.leaving.to = c.arrivals
	c.writes, c.departures = net.Pipe()
	c.content = newRemote(s.life, s, x)
	context.AfterFunc(x.ctx, func() {
		c.content.Close()
		c.arrivals.Close()
		c.departures.Close()
	})
	return c
}

// open begins the upgraded answer with its head.
func (c *conn) open(head *reply) {
	c.session.exchanges.linger(c.x, c.departs, func() { c.session.running.Go(c.leaving.begin) })
	t := newParts(c.session, c.x, head, nil)
	t.upgraded = true
	t.accepted = func() { c.session.running.Go(c.receive) }
	c.mu.Lock()
	c.out = t
	c.mu.Unlock()
	context.AfterFunc(t.ctx, func() { c.departures.Close() })
	c.session.running.Go(c.pump)
}

// receive passes on what the visitor sends.
func (c *conn) receive() {
	b := make([]byte, pieceMost)
	for {
		n, err := c.content.Read(b)
		if n > 0 && !c.leaving.pass(b[:n]) {
			return
		}
		switch {
		case err == nil:
			continue
		case err == io.EOF:
			c.departs()
			c.arrivals.Close()
		case c.x.ctx.Err() == nil:
			c.breaks(err)
		}
		return
	}
}

// breaks ends a connection on which nothing more can be received: content can be fetched only once.
func (c *conn) breaks(err error) {
	c.mu.Lock()
	c.broken = err
	c.mu.Unlock()
	c.arrivals.Close()
	c.out.cancelC(errGivenUp)
}

// send passes on what the handler writes, until it closes the connection.
func (c *conn) send(from io.Reader) {
	b := make([]byte, pieceMost)
	for {
		n, err := from.Read(b)
		if n > 0 {
			if _, err := writeParts(c.out, b[:n], time.Time{}); err != nil {
				break
			}
			_ = c.out.flush(time.Time{})
		}
		if err != nil {
			break
		}
	}
	c.departures.Close()
	c.out.end(nil, nil)
}

// pump sends the parts, and ends the exchange.
func (c *conn) pump() {
	err := c.out.run()
	c.out.cancelC(err)
	c.session.exchanges.end(c.x)
	if err == errNotTaken && c.out.at != nil {
		c.departs()
		return
	}
	c.x.cancelC(err)
}

// departs notes that the visitor has left.
func (c *conn) departs() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.parting == nil {
		c.parting = time.AfterFunc(partingMost, func() { c.x.cancelC(errVisitorGone) })
	}
}

// Read reads what the visitor sends. It returns io.EOF once they have left.
func (c *conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := c.reads.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case n > 0 && c.parting != nil && c.x.ctx.Err() == nil:
		c.parting.Reset(partingMost)
	case c.closed && err != nil:
		err = net.ErrClosed
	case err == io.EOF && c.broken != nil:
		err = c.broken
	}
	return n, err
}

// Write sends to the visitor. It waits while too much is on its way.
func (c *conn) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := c.writes.Write(p)
	if err != io.ErrClosedPipe {
		return n, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		err = net.ErrClosed
	case c.x.ctx.Err() != nil:
		err = context.Cause(c.x.ctx)
	case c.parting != nil:
		err = errVisitorGone
	}
	return n, err
}

// Close closes the connection after what was written has been sent, and does not wait for that.
func (c *conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.closed = true
	_ = c.reads.Close()
	_ = c.writes.Close()
	late := time.AfterFunc(lingerMost, c.cut)
	context.AfterFunc(c.x.ctx, func() { late.Stop() })
	return nil
}

// cut closes the connection at once.
func (c *conn) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out != nil {
		c.out.cancelC(errGivenUp)
	}
	c.x.cancelC(errGivenUp)
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) SetDeadline(at time.Time) error {
	if err := c.SetReadDeadline(at); err != nil {
		return err
	}
	return c.SetWriteDeadline(at)
}

func (c *conn) SetReadDeadline(at time.Time) error {
	_ = c.reads.SetReadDeadline(at) // fails if the visitor has left
	return c.usable()
}

func (c *conn) SetWriteDeadline(at time.Time) error {
	_ = c.writes.SetWriteDeadline(at)
	return c.usable()
}

// usable returns an error if the connection was closed.
func (c *conn) usable() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	return nil
}

// addr is an address as text.
type addr string

func (addr) Network() string  { return "tcp" }
func (a addr) String() string { return string(a) }
