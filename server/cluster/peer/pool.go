package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"net"
	"slices"
	"sync"
	"time"
)

// Pool has the connections of this node to others. Its exported members are set before its first
// use and do not change.
type Pool struct {
	// Node and Run name this node and its process.
	Node, Run string
	// Speaks are the versions of the frames that this node speaks. Zero means [Spoken].
	Speaks Versions
	// TLS is what other nodes speak. Nil means plain TCP.
	TLS *tls.Config
	// Dial connects to an address. Nil means TCP.
	Dial func(ctx context.Context, address string) (net.Conn, error)

	mu     sync.Mutex // guards below
	idle   map[string][]resting
	active map[*conn]struct{}
	parted bool
	closed bool
}

// resting is a connection that carries no request.
type resting struct {
	*conn
	since time.Time
}

// Bounds of the pool.
const (
	// mostIdle is how many connections to one node are kept.
	mostIdle = 256
	// idleTime is how long a connection is kept.
	idleTime = 90 * time.Second
	// dialTime bounds how long connecting to a node may take.
	dialTime = 3 * time.Second
)

// get returns a connection to the node at an address, and whether it carried a request before.
func (p *Pool) get(ctx context.Context, at Node) (c *conn, used bool, err error) {
	if c = p.rested(at); c == nil {
		c, err = p.connect(ctx, at)
	} else {
		used = true
	}
	if err != nil {
		return nil, false, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.active == nil {
		p.active = map[*conn]struct{}{}
	}
	p.active[c] = struct{}{}
	return c, used, nil
}

// rested returns a connection that is kept, or nil.
func (p *Pool) rested(at Node) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.idle[at.Address]) > 0 {
		all := p.idle[at.Address]
		last := all[len(all)-1]
		p.idle[at.Address] = all[:len(all)-1]
		if time.Since(last.since) < idleTime && last.to == at {
			return last.conn
		}
		_ = last.Close()
	}
	return nil
}

// connect makes a connection, and checks that the node is the one that is meant.
func (p *Pool) connect(ctx context.Context, at Node) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	dial := p.Dial
	if dial == nil {
		dial = func(ctx context.Context, address string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		}
	}
	nc, err := dial(ctx, at.Address)
	if err != nil {
		return nil, err
	}
	if p.TLS != nil {
		own := p.TLS.Clone()
		if own.ServerName == "" {
			own.ServerName, _, _ = net.SplitHostPort(at.Address)
		}
		nc = tls.Client(nc, own)
	}
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	c := newConn(nc)
	other, err := c.greet(hello{Node: p.Node, Run: p.Run}, p.Speaks, true, helloTime)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err == nil && (at.Name != "" && other.Node != at.Name || at.Run != "" && other.Run != at.Run) {
		err = &OtherError{At: at, Is: Node{Name: other.Node, Run: other.Run, Address: at.Address}}
	}
	if err != nil {
		_ = nc.Close()
		return nil, err
	}
	c.to = at
	return c, nil
}

// OtherError is the error of an address at which another process answers than the one that is meant,
// which is gone.
type OtherError struct{ At, Is Node }

func (e *OtherError) Error() string {
	return "peer: node " + e.Is.Name + " in run " + e.Is.Run + " is at " + e.At.Address + ", instead of " + e.At.Name + " in run " + e.At.Run
}

// Ping asks the node at an address whether it lives, until ctx ends.
func (p *Pool) Ping(ctx context.Context, at Node) error {
	return p.ask(ctx, at, (*conn).ping)
}

// Offer asks the node at an address to take the claim of a label from this node, until ctx ends. Unless
// it returns nil it is not known whether the node did.
func (p *Pool) Offer(ctx context.Context, at Node, label string) error {
	var refusal string
	err := p.ask(ctx, at, func(c *conn) (err error) {
		refusal, err = c.offer(label)
		return err
	})
	if refusal != "" {
		return errors.New("peer: node " + at.Name + " did not take the claim: " + refusal)
	}
	return err
}

// ask asks the node at an address something on a connection that carries no request, until ctx ends. It
// asks again if a connection had been closed while it was idle.
func (p *Pool) ask(ctx context.Context, at Node, what func(*conn) error) error {
	for {
		c, used, err := p.get(ctx, at)
		if err != nil {
			return err
		}
		stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
		err = what(c)
		p.put(c, stop() && err == nil)
		if err == nil || !used || ctx.Err() != nil {
			return err
		}
	}
}

// ping asks the other node whether it lives.
func (c *conn) ping() error {
	if err := c.send(kindPing, nil, true); err != nil {
		return err
	}
	k, _, err := c.next()
	if err == nil && k != kindPong {
		err = errOrder
	}
	return err
}

// offer asks the other node to take the claim of a label, and returns why it did not.
func (c *conn) offer(label string) (refusal string, err error) {
	if err := c.send(kindOffer, []byte(label), true); err != nil {
		return "", err
	}
	k, n, err := c.next()
	switch {
	case err != nil:
		return "", err
	case k != kindTook || n > mostRefusal:
		return "", errOrder
	}
	why := make([]byte, n)
	_, err = io.ReadFull(c.in, why)
	return string(why), err
}

// mostRefusal bounds the answer to an offer, and mostLabel a label, in bytes.
const mostRefusal, mostLabel = 4 << 10, 63

// Part informs the other nodes that this one is about to end: they answer what waits of the requests
// that it carries to them, and those that it will carry.
func (p *Pool) Part() {
	p.mu.Lock()
	p.parted = true
	active := slices.Collect(maps.Keys(p.active))
	p.mu.Unlock()
	for _, c := range active {
		c.part()
	}
}

// parting reports whether Part was called.
func (p *Pool) parting() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.parted
}

// put keeps a connection on which nothing is due, and closes any other.
func (p *Pool) put(c *conn, clean bool) {
	_ = c.SetDeadline(time.Time{})
	address := c.to.Address
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.active, c)
	if p.idle == nil {
		p.idle = map[string][]resting{}
	}
	if !clean || p.closed || len(p.idle[address]) >= mostIdle {
		_ = c.Close()
		return
	}
	p.idle[address] = append(p.idle[address], resting{c, time.Now()})
}

// Drop closes all connections to a node, with the requests that they carry: its process is gone.
func (p *Pool) Drop(at Node) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.active {
		if c.to == at {
			c.dropped.Store(true)
			_ = c.Close()
		}
	}
	keep := slices.DeleteFunc(p.idle[at.Address], func(c resting) bool {
		if c.to == at {
			_ = c.Close()
		}
		return c.to == at
	})
	if len(keep) > 0 {
		p.idle[at.Address] = keep
	} else {
		delete(p.idle, at.Address)
	}
}

// Sweep closes the connections that were kept for too long.
func (p *Pool) Sweep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for address, all := range p.idle {
		keep := all[:0]
		for _, c := range all {
			if time.Since(c.since) < idleTime {
				keep = append(keep, c)
			} else {
				_ = c.Close()
			}
		}
		if p.idle[address] = keep; len(keep) == 0 {
			delete(p.idle, address)
		}
	}
}

// Close closes the connections that carry no request; others are closed when they are over.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, all := range p.idle {
		for _, c := range all {
			_ = c.Close()
		}
	}
	p.idle = nil
}

// Node says where a node is.
type Node struct {
	// Name and Run are those of the node and its process. A connection to another is refused. Empty
	// means any.
	Name, Run string
	// Address is the host and port at which the node takes connections of others.
	Address string
}
