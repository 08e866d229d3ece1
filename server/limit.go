package main

import (
	"net"
	"sync"
)

// limit is a listener of TCP with at most so many open connections; who comes then waits. Its connections are those of
// TCP: the gateway ends one side of some, and resets others, which what x/net/netutil gives cannot.
type limit struct {
	net.Listener
	places chan struct{}
	over   chan struct{} // closed by Close
	close  sync.Once
}

func limited(l net.Listener, n int) net.Listener {
	return &limit{Listener: l, places: make(chan struct{}, n), over: make(chan struct{})}
}

// Accept waits for a place, then for a connection.
func (l *limit) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.over:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.places
		return nil, err
	}
	return &place{TCPConn: c.(*net.TCPConn), free: func() { <-l.places }}, nil
}

func (l *limit) Close() error {
	l.close.Do(func() { close(l.over) })
	return l.Listener.Close()
}

// place is a connection that has a place.
type place struct {
	*net.TCPConn
	once sync.Once
	free func()
}

func (p *place) Close() error {
	defer p.once.Do(p.free)
	return p.TCPConn.Close()
}
