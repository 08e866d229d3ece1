package faults

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// proxy passes TCP connections on to a gateway, and injects faults into them.
type proxy struct {
	address string // where it listens
	to      string // the gateway
	// plan returns the faults of connection n, whose first bytes are head.
	plan func(n uint64, head []byte) []fault
	// keeps makes links record what passes.
	keeps atomic.Bool

	listener net.Listener
	calm     atomic.Bool // faults do not strike
	struck   [kinds]atomic.Int64
	opened   atomic.Int64
	links    sync.WaitGroup // the accept loop, and two for each connection
	life     context.Context
	end      context.CancelFunc

	mu    sync.Mutex // guards below
	byEnd map[string]chan *link
	all   []*link // if keeps
}

// startProxy starts a proxy that ends with the test.
func startProxy(t *testing.T, to string, plan func(n uint64, head []byte) []fault) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{address: l.Addr().String(), to: to, plan: plan, listener: l, byEnd: map[string]chan *link{}}
	p.life, p.end = context.WithCancel(context.Background())
	p.links.Go(p.accept)
	t.Cleanup(func() {
		p.end()
		_ = l.Close()
		p.links.Wait()
	})
	return p
}

func (p *proxy) accept() {
	for n := uint64(0); ; n++ {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.opened.Add(1)
		p.links.Go(func() { p.serve(n, c.(*net.TCPConn)) })
	}
}

// dial opens a connection through the proxy, and returns the proxy's state of it.
func (p *proxy) dial() (net.Conn, *link, error) {
	c, err := net.Dial("tcp", p.address)
	if err != nil {
		return nil, nil, err
	}
	select {
	case l := <-p.named(c.LocalAddr().String()):
		return c, l, nil
	case <-p.life.Done():
		_ = c.Close()
		return nil, nil, net.ErrClosed
	}
}

// named returns the channel that receives the link whose client has that address.
func (p *proxy) named(end string) chan *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byEnd[end] == nil {
		p.byEnd[end] = make(chan *link, 1)
	}
	return p.byEnd[end]
}

// serve relays one connection.
func (p *proxy) serve(n uint64, client *net.TCPConn) {
	l := &link{proxy: p, number: n, client: client, planned: make(chan struct{})}
	l.life, l.end = context.WithCancel(p.life)
	defer l.end()
	announced := p.named(client.RemoteAddr().String())
	select {
	case <-announced: // the link of an earlier connection from that port, for which no dial waits
	default:
	}
	announced <- l
	if p.keeps.Load() {
		p.mu.Lock()
		p.all = append(p.all, l)
		p.mu.Unlock()
	}
	c, err := net.Dial("tcp", p.to)
	if err != nil {
		l.hurt.Store(true)
		reset(client)
		return
	}
	l.gateway = c.(*net.TCPConn)
	stop := context.AfterFunc(l.life, func() {
		reset(l.client)
		reset(l.gateway)
	})
	defer stop()
	var both sync.WaitGroup
	both.Go(func() { l.pass(true) })
	both.Go(func() { l.pass(false) })
	both.Wait()
	_ = l.client.Close()
	_ = l.gateway.Close()
}

// recorded returns the links whose recorded bytes satisfy which. It needs keeps.
func (p *proxy) recorded(which func(sent, received []byte) bool) []*link {
	p.mu.Lock()
	all := slices.Clone(p.all)
	p.mu.Unlock()
	return slices.DeleteFunc(all, func(l *link) bool { return !which(l.kept()) })
}

// link is one connection through a proxy.
type link struct {
	proxy           *proxy
	number          uint64
	client, gateway *net.TCPConn
	life            context.Context
	end             context.CancelFunc // resets both ends
	// hurt reports whether the proxy broke it.
	hurt atomic.Bool

	planned chan struct{} // closed when faults is set
	faults  []fault

	mu             sync.Mutex // guards below
	sent, received bytes.Buffer
}

func (l *link) kept() (sent, received []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.sent.Bytes()), bytes.Clone(l.received.Bytes())
}

// pass relays one direction until its sender or a fault ends it.
func (l *link) pass(up bool) {
	from, to := l.client, l.gateway
	if !up {
		from, to = to, from
	}
	buf := make([]byte, 16<<10)
	passed, slow, rate := int64(0), 0, 0
	var faults []fault
	for first := true; ; {
		n, err := from.Read(buf)
		if n > 0 && first {
			first = false
			faults = l.faultsOf(up, buf[:n])
		}
		for rest := buf[:n]; len(rest) > 0; {
			piece := rest
			if len(faults) > 0 {
				piece = rest[:min(int64(len(rest)), faults[0].at-passed)]
			}
			if slow > 0 {
				piece = piece[:min(len(piece), 4<<10)]
				slow -= len(piece)
				l.pause(time.Duration(len(piece)) * time.Second / time.Duration(rate))
			}
			if len(piece) > 0 {
				if _, err := to.Write(piece); err != nil {
					l.end()
					return
				}
				l.keep(up, piece)
				passed += int64(len(piece))
				rest = rest[len(piece):]
				continue
			}
			f := faults[0]
			faults = faults[1:]
			if l.proxy.calm.Load() {
				continue
			}
			if l.strike(f, from, to) {
				return
			}
			if f.kind == throttled {
				slow, rate = throttledBytes, f.rate
			}
		}
		if err == io.EOF {
			_ = to.CloseWrite()
			return
		}
		if err != nil {
			l.end()
			return
		}
	}
}

// faultsOf returns the faults of one direction. The client's first bytes, head, determine the plan, so the other
// direction waits for them.
func (l *link) faultsOf(up bool, head []byte) []fault {
	if up {
		l.faults = l.proxy.plan(l.number, head)
		close(l.planned)
	}
	select {
	case <-l.planned:
	case <-l.life.Done():
		return nil
	}
	return slices.DeleteFunc(slices.Clone(l.faults), func(f fault) bool { return f.up != up })
}

// strike applies a fault, and reports whether it ended this direction.
func (l *link) strike(f fault, from, to *net.TCPConn) (over bool) {
	l.proxy.struck[f.kind].Add(1)
	if f.kind.ends() {
		l.hurt.Store(true)
	}
	switch f.kind {
	case cut:
		l.end()
	case truncated:
		_ = to.CloseWrite()
		reset(from)
	case halfClosed:
		_ = to.CloseWrite()
		_, _ = io.Copy(io.Discard, from)
	case stalled:
		l.pause(f.rest)
		l.end()
	case delayed:
		l.pause(f.rest)
		return false
	case throttled:
		return false
	}
	return true
}

func (l *link) keep(up bool, piece []byte) {
	if !l.proxy.keeps.Load() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if up {
		l.sent.Write(piece)
	} else {
		l.received.Write(piece)
	}
}

// pause waits for d, or until the connection ends.
func (l *link) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-l.life.Done():
	}
}

// reset ends a connection so that its other end sees a reset.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}

// strokes describes how many faults of each kind struck.
func strokes(proxies ...*proxy) string {
	counts, opened := map[kind]int64{}, int64(0)
	for _, p := range proxies {
		opened += p.opened.Load()
		for k := range p.struck {
			counts[kind(k)] += p.struck[k].Load()
		}
	}
	return fmt.Sprintf("%v on %d connections", counts, opened)
}
