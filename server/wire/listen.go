package wire

import "net"

// Listen wraps a listener for a server of [Port.Server], which then does two things of
// HTTP/1 another way than net/http by itself: it takes a request target with a malformed %
// (see [Target]), and has [Refuse] write what net/http refuses.
func Listen(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newAccepted(c, seatOf(c)), nil
}

// newAccepted returns a connection that has a seat, or none where that is nil.
func newAccepted(c net.Conn, at *seat) *accepted {
	a := &accepted{conn: conn{Conn: c}, seat: at}
	if at != nil {
		a.place = at.place
	}
	return a
}

// accepted is a connection as the server knows it.
type accepted struct {
	conn
	seat *seat // nil where connections are not counted
	// busy says that it is new, or that a request is read or answered on it. Only
	// the ConnState hook touches it, which net/http calls one after the other.
	busy bool
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
