package reversehttp

import (
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// wire is an upgraded connection as a net.Conn for the HTTP/2 server of a tunnel. It notices what a handler of net/http is
// not told: that the connection has ended, and that the gateway goes away (RFC 9113, 6.8). And it judges whether the gateway
// is silent: net/http wants the answer to its question in a time, whatever lies before that and whatever else comes.
type wire struct {
	io.ReadWriteCloser
	frames frames
	begun  func() // called when the gateway has sent something

	first   sync.Once
	ended   atomic.Bool // by the gateway, cleanly
	once    sync.Once
	lost    chan struct{} // closed when nothing more comes
	leaving chan struct{} // closed when the gateway begins no more requests
	bye     sync.Once

	vigil vigil
}

func newWire(c io.ReadWriteCloser, begun func()) *wire {
	w := &wire{ReadWriteCloser: c, begun: begun, lost: make(chan struct{}), leaving: make(chan struct{})}
	w.frames = frames{skip: len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")}
	return w
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.ReadWriteCloser.Read(p)
	if n > 0 {
		w.vigil.heard.Store(true)
		w.first.Do(func() {
			w.begun()
			w.vigil.begin(func() { w.Close() })
		})
		if w.frames.away(p[:n]) {
			w.bye.Do(func() { close(w.leaving) })
		}
	}
	if err != nil {
		w.ended.Store(err == io.EOF)
		w.lose()
	}
	return n, err
}

func (w *wire) Write(p []byte) (int, error) {
	n, err := w.ReadWriteCloser.Write(p)
	w.vigil.wrote.Add(int64(n))
	if err != nil {
		w.lose()
	}
	return n, err
}

// lose notes that nothing more comes.
func (w *wire) lose() {
	w.once.Do(func() { close(w.lost) })
	w.vigil.end()
}

// clean reports whether the gateway ended the connection.
func (w *wire) clean() bool { return w.ended.Load() }

// Close may be called while others read and write, and again.
func (w *wire) Close() error {
	w.lose()
	return w.ReadWriteCloser.Close()
}

// There is no deadline: the server that has the connection closes it where others would set one.
func (*wire) SetDeadline(time.Time) error      { return nil }
func (*wire) SetReadDeadline(time.Time) error  { return nil }
func (*wire) SetWriteDeadline(time.Time) error { return nil }

func (*wire) LocalAddr() net.Addr  { return addr("program") }
func (*wire) RemoteAddr() net.Addr { return addr("gateway") }

// frames follows the frames of a connection (RFC 9113, 4.1) by their heads.
type frames struct {
	skip int // bytes until the next head
	head [9]byte
	have int
}

// away reports whether a GOAWAY is among the frames that begin in p.
func (f *frames) away(p []byte) (found bool) {
	const goaway = 7
	for len(p) > 0 {
		if f.skip > 0 {
			n := min(f.skip, len(p))
			f.skip -= n
			p = p[n:]
			continue
		}
		n := copy(f.head[f.have:], p)
		f.have += n
		p = p[n:]
		if f.have == len(f.head) {
			f.have, f.skip = 0, int(f.head[0])<<16|int(f.head[1])<<8|int(f.head[2])
			found = found || f.head[3] == goaway
		}
	}
	return found
}

// oneConn is a listener of one connection. The server that accepts from it waits, after that, until it is closed.
type oneConn struct {
	conn   chan net.Conn
	closed chan struct{}
	end    sync.Once
}

func listenOnce(c net.Conn) *oneConn {
	l := &oneConn{conn: make(chan net.Conn, 1), closed: make(chan struct{})}
	l.conn <- c
	return l
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.closed:
		return nil, http.ErrServerClosed
	}
}

func (l *oneConn) Close() error {
	l.end.Do(func() { close(l.closed) })
	return nil
}

func (l *oneConn) Addr() net.Addr { return addr("gateway") }
