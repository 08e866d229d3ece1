package cluster

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// Balancer gives each connection to another node than the one before, whatever it carries, and to
// the next one if a node refuses it.
type Balancer struct {
	listener net.Listener
	nodes    []*Node
	turn     atomic.Int64

	running sync.WaitGroup
	mu      sync.Mutex // guards below
	conns   map[net.Conn]struct{}
	closed  bool
}

// NewBalancer returns a balancer at an address. The caller calls Close.
func NewBalancer(address string, nodes []*Node) (*Balancer, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	b := &Balancer{listener: l, nodes: nodes, conns: map[net.Conn]struct{}{}}
	b.running.Go(b.accept)
	return b, nil
}

func (b *Balancer) port() string {
	_, port, _ := net.SplitHostPort(b.listener.Addr().String())
	return port
}

// Address is where it takes connections.
func (b *Balancer) Address() string { return b.listener.Addr().String() }

func (b *Balancer) accept() {
	for {
		c, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.running.Go(func() { b.serve(c) })
	}
}

// serve passes a connection on to a node.
func (b *Balancer) serve(from net.Conn) {
	if !b.hold(from) {
		return
	}
	defer b.release(from)
	for range b.nodes {
		to, err := net.Dial("tcp", b.nodes[int(b.turn.Add(1))%len(b.nodes)].Address)
		if err != nil {
			continue
		}
		if !b.hold(to) {
			return
		}
		defer b.release(to)
		var both sync.WaitGroup
		both.Go(func() { pass(to, from) })
		pass(from, to)
		both.Wait()
		return
	}
}

// pass copies one direction, and its end.
func pass(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if half, is := to.(*net.TCPConn); is && err == nil {
		_ = half.CloseWrite()
		return
	}
	_ = to.Close()
	_ = from.Close()
}

func (b *Balancer) hold(c net.Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		_ = c.Close()
		return false
	}
	b.conns[c] = struct{}{}
	return true
}

func (b *Balancer) release(c net.Conn) {
	_ = c.Close()
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.conns, c)
}

// Close ends it with its connections.
func (b *Balancer) Close() {
	_ = b.listener.Close()
	b.mu.Lock()
	b.closed = true
	for c := range b.conns {
		_ = c.Close()
	}
	b.mu.Unlock()
	b.running.Wait()
}
