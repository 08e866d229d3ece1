package wire

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
)

// Listen wraps a listener for a server of [Port.Server]. In HTTP/1 the server then differs from
// net/http in two ways: it accepts a request target with a malformed % (see [Target]), and a
// [Refuse] writes the responses to requests that net/http refuses.
func Listen(l net.Listener) net.Listener {
	plain := newListener(l)
	go plain.accept(func(c net.Conn) { plain.give(acceptance{conn: newAccepted(c, plain, seatOf(c))}) })
	return plain
}

// listener hands connections to a server: those that it accepts, on a goroutine of its own, and
// those that come back (see [Detach]).
type listener struct {
	net.Listener
	accepted chan acceptance
	ctx      context.Context // ends with Close
	end      context.CancelFunc
	running  sync.WaitGroup
	deaf     chan struct{} // closed once accepting has stopped
}

// acceptance is a result of Accept.
type acceptance struct {
	conn net.Conn
	err  error
}

// newListener returns a listener above l. The caller runs accept on one of its goroutines.
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

// Close closes the listener and the connections that it has not handed over. The listener below may
// be closed already.
func (l *listener) Close() error {
	l.end()
	err := l.Listener.Close()
	l.running.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// StopAccepting closes the listening socket of what [Listen] or [Port.ListenTLS] returned, and
// waits until all accepted connections were handed to the server. These go on until the listener is
// closed.
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

// give hands a to the caller of Accept, and reports whether it did. It does not once the listener
// is closed.
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

// accept accepts connections until the listener, or the one below, is closed. If only the one below
// is closed, accepted connections are still handed over and come back. After another error, accept
// continues once Accept has returned the error.
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

// newAccepted returns a connection of a listener. at is its seat, or nil if connections are not
// counted.
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
	seat     *seat // nil if connections are not counted
	// busy is whether a request is being read or answered, and waiting whether the connection is
	// new or no handler has taken its request.
	busy, waiting atomic.Bool
}

// KeepAlive sets how TCP probes a silent peer of a connection that a server of this package
// accepted, also below TLS and other wrappers. It does nothing if there is no TCP connection.
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
