package wire

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
)

// Listen wraps a listener for a server of [Port.Server], which then does two things of
// HTTP/1 another way than net/http by itself: it takes a request target with a malformed %
// (see [Target]), and has [Refuse] write what net/http refuses.
func Listen(l net.Listener) net.Listener {
	plain := newListener(l)
	go plain.accept(func(c net.Conn) { plain.give(acceptance{conn: newAccepted(c, plain, seatOf(c))}) })
	return plain
}

// listener gives connections to a server: those that it accepts, on a goroutine, and those that
// come back (see [Detach]).
type listener struct {
	net.Listener
	accepted chan acceptance
	ctx      context.Context // ends with Close
	end      context.CancelFunc
	running  sync.WaitGroup
	deaf     chan struct{} // closed once nothing is accepted any more
}

// acceptance is what Accept gives.
type acceptance struct {
	conn net.Conn
	err  error
}

// newListener returns a listener above l. Whoever calls accept does so on one of its goroutines.
func newListener(l net.Listener) *listener {
	n := &listener{Listener: l, accepted: make(chan acceptance), deaf: make(chan struct{})}
	n.ctx, n.end = context.WithCancel(context.Background())
	n.running.Add(1)
	return n
}

// Accept waits for a connection.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case a := <-l.accepted:
		return a.conn, a.err
	case <-l.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close closes the listener and what it has not given away. The one below may be closed already.
func (l *listener) Close() error {
	l.end()
	err := l.Listener.Close()
	l.running.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// StopAccepting closes the port below what [Listen] or [Port.ListenTLS] returned, and waits until all that was accepted was given to the
// server. What it has goes on, until the listener is closed.
func StopAccepting(l net.Listener) {
	below, ok := l.(interface{ stopAccepting() })
	if ok {
		below.stopAccepting()
	}
}

func (l *listener) stopAccepting() {
	_ = l.Listener.Close()
	<-l.deaf
}

// give gives a to who accepts, and reports whether it did: it does not once the listener is closed.
func (l *listener) give(a acceptance) bool {
	select {
	case l.accepted <- a:
		return true
	case <-l.ctx.Done():
		if a.conn != nil {
			_ = a.conn.Close()
		}
		return false
	}
}

// accept takes connections until the listener is closed, or the one below. Where only that is, connections that were accepted
// are given, and come back, until the listener is. After another error it goes on when who accepts does.
func (l *listener) accept(take func(net.Conn)) {
	defer l.running.Done()
	defer close(l.deaf)
	for l.ctx.Err() == nil {
		if c, err := l.Listener.Accept(); errors.Is(err, net.ErrClosed) {
			return
		} else if err != nil {
			l.give(acceptance{err: err})
		} else {
			take(c)
		}
	}
}

// newAccepted returns a connection of a listener that has a seat, or none where that is nil.
func newAccepted(c net.Conn, l *listener, at *seat) *accepted {
	a := &accepted{conn: conn{Conn: c}, listener: l, seat: at}
	if at != nil {
		a.place = at.place
	}
	return a
}

// accepted is a connection as the server knows it.
type accepted struct {
	conn
	listener *listener
	port     *Port // nil until a port serves the connection
	seat     *seat // nil where connections are not counted
	// busy says that a request is read or answered on it, and waiting that it is new, or that no handler has taken its request.
	busy, waiting atomic.Bool
}

// KeepAlive has TCP probe a silent peer of a connection that a server of this package
// accepted, whatever is between. It does nothing where there is no TCP.
func KeepAlive(c net.Conn, config net.KeepAliveConfig) {
	for {
		switch below := c.(type) {
		case interface {
			SetKeepAliveConfig(net.KeepAliveConfig) error
		}:
			_ = below.SetKeepAliveConfig(config)
			return
		case interface{ NetConn() net.Conn }:
			c = below.NetConn()
		case *accepted:
			c = below.Conn
		default:
			return
		}
	}
}
