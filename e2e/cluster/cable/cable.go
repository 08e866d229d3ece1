// Package cable passes TCP connections on between two programs of a test, and can be cut without
// either of them noticing.
package cable

import (
	"context"
	"io"
	"net"
	"sync"
)

// Cable leads from an address of its own to another.
type Cable struct {
	dial     func(context.Context) (net.Conn, error)
	listener net.Listener
	life     context.Context
	end      context.CancelFunc
	running  sync.WaitGroup

	mu      sync.Mutex // guards what follows
	state   state
	changed chan struct{} // closed at the next change of state
	open    map[net.Conn]bool
}

// state is what a cable does.
type state int

const (
	passing state = iota
	cut           // nothing passes, without an error
	broken        // connections are reset, and none is accepted for longer than that
)

// New returns a cable from a free port of this machine to an address. Close ends it.
func New(to string) (*Cable, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return Lead(l, func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", to)
	}), nil
}

// Lead returns a cable from a listener for TCP, each of whose connections leads to one that dial makes.
// Close ends it, and closes the listener.
func Lead(l net.Listener, dial func(context.Context) (net.Conn, error)) *Cable {
	c := &Cable{dial: dial, listener: l, changed: make(chan struct{}), open: make(map[net.Conn]bool)}
	c.life, c.end = context.WithCancel(context.Background())
	c.running.Go(c.accept)
	return c
}

// Address is where it begins.
func (c *Cable) Address() string { return c.listener.Addr().String() }

// Cut lets nothing pass: connections stay open, what is sent waits, and new connections are accepted
// and get no further.
func (c *Cable) Cut() { c.set(cut) }

// Break resets all connections, and every new one until Mend.
func (c *Cable) Break() { c.set(broken) }

// Mend lets everything pass again, also what waits.
func (c *Cable) Mend() { c.set(passing) }

// Close ends it and its connections.
func (c *Cable) Close() {
	c.end()
	_ = c.listener.Close()
	c.set(broken)
	c.running.Wait()
}

func (c *Cable) set(s state) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = s
	close(c.changed)
	c.changed = make(chan struct{})
	if s == broken {
		for conn := range c.open {
			reset(conn)
		}
	}
}

// passes waits until something may pass, and reports whether it ever may.
func (c *Cable) passes() bool {
	for {
		c.mu.Lock()
		s, changed := c.state, c.changed
		c.mu.Unlock()
		switch s {
		case passing:
			return c.life.Err() == nil
		case broken:
			return false
		}
		select {
		case <-changed:
		case <-c.life.Done():
			return false
		}
	}
}

func (c *Cable) accept() {
	for {
		conn, err := c.listener.Accept()
		if err != nil {
			return
		}
		c.running.Go(func() { c.serve(conn) })
	}
}

// serve passes a connection on.
func (c *Cable) serve(from net.Conn) {
	defer c.hold(from)()
	if !c.passes() {
		reset(from)
		return
	}
	to, err := c.dial(c.life)
	if err != nil {
		reset(from)
		return
	}
	defer c.hold(to)()
	var both sync.WaitGroup
	both.Go(func() { c.pass(from, to) })
	both.Go(func() { c.pass(to, from) })
	both.Wait()
}

// hold notes a connection, which is reset if the cable breaks. release closes it.
func (c *Cable) hold(conn net.Conn) (release func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[conn] = true
	if c.state == broken {
		reset(conn)
	}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.open, conn)
		_ = conn.Close()
	}
}

// pass passes one direction on until it ends.
func (c *Cable) pass(from, to net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if !c.passes() {
			reset(from)
			reset(to)
			return
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				reset(from)
				return
			}
		}
		switch {
		case err == io.EOF:
			_ = to.(*net.TCPConn).CloseWrite()
			return
		case err != nil:
			reset(to)
			return
		}
	}
}

// reset closes a connection so that its other end gets a reset.
func reset(c net.Conn) {
	_ = c.(*net.TCPConn).SetLinger(0)
	_ = c.Close()
}
