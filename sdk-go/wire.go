package reversehttp

import (
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// How many seconds the gateway may say nothing, though it is asked for a sign of life (tunnelPing).
	quietSeconds = 10
	// A second in which something that was written may still be on its way, to be read before that question is, does not
	// count: so many bytes of it arrive in a second at least. But no more than so many seconds are excused.
	wireRate       = 16 << 10
	excusedSeconds = 60
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

	heard atomic.Bool  // in this second
	wrote atomic.Int64 // bytes in this second
}

func newWire(c io.ReadWriteCloser, begun func()) *wire {
	w := &wire{ReadWriteCloser: c, begun: begun, lost: make(chan struct{}), leaving: make(chan struct{})}
	w.frames = frames{skip: len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")}
	return w
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.ReadWriteCloser.Read(p)
	if n > 0 {
		w.heard.Store(true)
		w.first.Do(func() {
			w.begun()
			w.listen(0, 0, 0)
		})
		if w.frames.away(p[:n]) {
			w.bye.Do(func() { close(w.leaving) })
		}
	}
	if err != nil {
		w.ended.Store(err == io.EOF)
		w.once.Do(func() { close(w.lost) })
	}
	return n, err
}

func (w *wire) Write(p []byte) (int, error) {
	n, err := w.ReadWriteCloser.Write(p)
	w.wrote.Add(int64(n))
	if err != nil {
		w.once.Do(func() { close(w.lost) })
	}
	return n, err
}

// listen closes the connection when the gateway was silent for too long. So many seconds of silence have counted, so many
// were excused, and so many bytes may be on their way.
func (w *wire) listen(quiet, excused int, owed int64) {
	time.AfterFunc(time.Second, func() {
		giveWay() // as a patience does
		select {
		case <-w.lost:
			return
		default:
		}
		owed = min(owed+w.wrote.Swap(0), wireRate*excusedSeconds)
		switch {
		case w.heard.Swap(false):
			quiet, excused = 0, 0
		case owed > 0 && excused < excusedSeconds:
			excused++
		default:
			quiet++
		}
		if quiet == quietSeconds {
			w.Close()
			return
		}
		w.listen(quiet, excused, max(0, owed-wireRate))
	})
}

// clean reports whether the gateway ended the connection.
func (w *wire) clean() bool { return w.ended.Load() }

// Close may be called while others read and write, and again.
func (w *wire) Close() error {
	w.once.Do(func() { close(w.lost) })
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
