package cluster

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"

	"reversehttp/server/claim"
	"reversehttp/server/cluster/engine"
)

// schedule decides, in a bubble, what happens next of that which could: it holds every step back until it is released.
type schedule struct {
	mu      sync.Mutex
	waiting []step
	free    bool // nothing is held back any more
}

// step is something that could happen: bytes between two nodes arrive, a call reaches the engine, or its result the node.
type step struct {
	what string
	goes chan struct{}
}

// pass returns once the schedule has released what.
func (s *schedule) pass(what string) {
	s.mu.Lock()
	if s.free {
		s.mu.Unlock()
		return
	}
	goes := make(chan struct{})
	s.waiting = append(s.waiting, step{what, goes})
	s.mu.Unlock()
	<-goes
}

// choices returns how many steps wait, in an order that does not depend on which began to wait first.
func (s *schedule) choices() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.SortFunc(s.waiting, func(a, b step) int { return strings.Compare(a.what, b.what) })
	return len(s.waiting)
}

// release lets one of the waiting steps happen, and returns which.
func (s *schedule) release(i int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.waiting[i]
	s.waiting = slices.Delete(s.waiting, i, i+1)
	close(one.goes)
	return one.what
}

// end lets everything happen at once from now on.
func (s *schedule) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = true
	for _, one := range s.waiting {
		close(one.goes)
	}
	s.waiting = nil
}

// fabric is a network in memory, on which waiting counts as waiting in a bubble. As with TCP, a write does not wait for
// the reader, and what was written arrives in order, the end of the connection last.
type fabric struct {
	schedule *schedule
	mu       sync.Mutex // guards below
	ports    map[string]*port
	dialled  int
	open     map[*wire]string // the ends of connections, by the node that has them
	lost     string           // the node whose machine is gone; "" for none
}

// port is a listener of a fabric.
type port struct {
	fabric  *fabric
	address string
	conns   chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func newFabric(s *schedule) *fabric {
	return &fabric{schedule: s, ports: map[string]*port{}, open: map[*wire]string{}}
}

func (f *fabric) listen(address string) *port {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := &port{fabric: f, address: address, conns: make(chan net.Conn), closed: make(chan struct{})}
	f.ports[address] = p
	return p
}

// dial connects to an address. The schedule decides what arrives when if from names a node; otherwise all arrives at once.
func (f *fabric) dial(ctx context.Context, from, address string) (net.Conn, error) {
	f.mu.Lock()
	p := f.ports[address]
	gone := f.lost != "" && (f.lost == from || f.lost == nodeAt(address))
	f.dialled++
	name := fmt.Sprintf("%s to %s, connection %d", from, address, f.dialled)
	f.mu.Unlock()
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	if gone {
		<-ctx.Done()
		refused.Err = ctx.Err()
		return nil, refused
	}
	if p == nil {
		return nil, refused
	}
	// hold returns once a piece arrives, and reports whether it does.
	hold := func(way string) bool {
		if from != "" {
			f.schedule.pass(name + way)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.lost == "" || f.lost != from && f.lost != nodeAt(address)
	}
	here, fromThere := net.Pipe()
	there, fromHere := net.Pipe()
	one := &wire{Conn: here, out: newLine(fromHere, func() bool { return hold(", there") })}
	other := &wire{Conn: there, out: newLine(fromThere, func() bool { return hold(", back") })}
	select {
	case p.conns <- other:
		f.mu.Lock()
		defer f.mu.Unlock()
		f.open[one], f.open[other] = from, nodeAt(address)
		return one, nil
	case <-p.closed:
	case <-ctx.Done():
		refused.Err = ctx.Err()
	}
	_ = one.Close()
	_ = other.Close()
	return nil, refused
}

// nodeAt returns the node of an address.
func nodeAt(address string) string { return strings.TrimSuffix(address, ":peers") }

func (p *port) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *port) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *port) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080} }

// wire is one end of a connection. Deadlines hold for reads only.
type wire struct {
	net.Conn // what is read
	out      *line
}

func (c *wire) Write(p []byte) (int, error) { return c.out.write(p) }

func (c *wire) Close() error {
	c.out.close()
	return c.Conn.Close()
}

func (c *wire) LocalAddr() net.Addr  { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080} }
func (c *wire) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9090} }

// line carries bytes in one direction.
type line struct {
	mu     sync.Mutex // guards below
	sent   [][]byte
	closed bool
	broken error
	poke   chan struct{} // of capacity 1
}

// newLine returns a line whose bytes arrive at an end of a pipe, once hold has returned for each piece. If it returns
// false, neither that piece nor the end of the connection ever arrives.
func newLine(to net.Conn, hold func() bool) *line {
	l := &line{poke: make(chan struct{}, 1)}
	go func() {
		for range l.poke {
			for {
				l.mu.Lock()
				sent := l.sent
				l.sent = nil
				over := l.closed && len(sent) == 0
				l.mu.Unlock()
				if len(sent) == 0 && !over {
					break
				}
				arrives := hold()
				if over && arrives {
					_ = to.Close()
				}
				if over {
					return
				}
				if !arrives {
					continue
				}
				for _, p := range sent {
					if _, err := to.Write(p); err != nil {
						l.mu.Lock()
						l.broken = syscall.EPIPE
						l.mu.Unlock()
					}
				}
			}
		}
	}()
	return l
}

func (l *line) write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return 0, net.ErrClosed
	case l.broken != nil:
		return 0, l.broken
	}
	l.sent = append(l.sent, slices.Clone(p))
	l.wake()
	return len(p), nil
}

func (l *line) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.wake()
}

func (l *line) wake() {
	select {
	case l.poke <- struct{}{}:
	default:
	}
}

// gatedEngine is an engine whose calls about claims reach it, and return, when the schedule says so.
type gatedEngine struct {
	engine.Engine
	node     string
	schedule *schedule
}

// held calls do at a time of the schedule's choice, and returns at another.
func held[T any](e *gatedEngine, what string, do func() (T, error)) (T, error) {
	e.schedule.pass(e.node + " asks the engine: " + what)
	got, err := do()
	e.schedule.pass(e.node + " gets the result of: " + what)
	return got, err
}

func (e *gatedEngine) Create(ctx context.Context, r claim.Record) (uint64, error) {
	return held(e, "create", func() (uint64, error) { return e.Engine.Create(ctx, r) })
}

func (e *gatedEngine) Update(ctx context.Context, r claim.Record, revision uint64) (uint64, error) {
	return held(e, "update", func() (uint64, error) { return e.Engine.Update(ctx, r, revision) })
}

func (e *gatedEngine) Look(ctx context.Context, label string) (claim.Record, engine.Home, error) {
	type answer struct {
		record claim.Record
		home   engine.Home
	}
	got, err := held(e, "look", func() (a answer, err error) {
		a.record, a.home, err = e.Engine.Look(ctx, label)
		return a, err
	})
	return got.record, got.home, err
}

// hold holds steps back from now on.
func (s *schedule) hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = false
}

// sever ends all connections of a node, and its ports.
func (f *fabric) sever(node string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for address, p := range f.ports {
		if nodeAt(address) == node {
			_ = p.Close()
			delete(f.ports, address)
		}
	}
	for c, of := range f.open {
		if of == node {
			_ = c.Close()
		}
	}
}

// vanish has the machine of a node disappear with all that is on its way.
func (f *fabric) vanish(node string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lost = node
}
