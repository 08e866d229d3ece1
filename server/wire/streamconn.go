package wire

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// streamConn is an HTTP/2 stream used as a connection after an extended CONNECT (RFC 8441).
type streamConn struct {
	io.ReadCloser
	w  http.ResponseWriter
	rc *http.ResponseController
	r  *http.Request

	mu     sync.RWMutex // held for reading while w is used: net/http panics if that happens after the handler returned
	closed bool
}

// Extended returns the protocol of an extended CONNECT of HTTP/2 (RFC 8441), as r spells it, if it
// is one of protocols, and "" otherwise. net/http accepts these requests only with
// GODEBUG=http2xconnect=1 in the environment.
func Extended(r *http.Request, protocols ...string) string {
	if r.Method == http.MethodConnect && r.ProtoMajor == 2 {
		for _, asked := range r.Header[ProtocolField] {
			for _, p := range protocols {
				if strings.EqualFold(asked, p) {
					return asked
				}
			}
		}
	}
	return ""
}

// ProtocolField is the key of the pseudo-header field in [http.Request.Header].
const ProtocolField = ":protocol"

// Accept answers an extended CONNECT with 200 and the fields of w, and returns the stream as a
// connection. The handler must close it before it returns.
func Accept(w http.ResponseWriter, r *http.Request) (net.Conn, error) {
	c := &streamConn{ReadCloser: r.Body, w: w, rc: http.NewResponseController(w), r: r}
	// Deadlines of the request no longer apply.
	_ = c.SetDeadline(time.Time{})
	w.WriteHeader(http.StatusOK)
	return c, c.rc.Flush()
}

func (c *streamConn) Write(p []byte) (n int, err error) {
	err = c.use(func() error {
		if n, err = c.w.Write(p); err != nil {
			return err
		}
		return c.rc.Flush()
	})
	return n, err
}

// use calls do, which may use the writer, unless the connection is closed.
func (c *streamConn) use(do func() error) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return net.ErrClosed
	}
	return do()
}

// Close ends a write in progress, and waits for it.
func (c *streamConn) Close() error {
	_ = c.SetWriteDeadline(time.Unix(1, 0))
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	return c.ReadCloser.Close()
}

func (c *streamConn) LocalAddr() net.Addr  { return streamAddr("gateway") }
func (c *streamConn) RemoteAddr() net.Addr { return streamAddr(c.r.RemoteAddr) }

func (c *streamConn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}
func (c *streamConn) SetReadDeadline(t time.Time) error {
	return c.use(func() error { return c.rc.SetReadDeadline(t) })
}
func (c *streamConn) SetWriteDeadline(t time.Time) error {
	return c.use(func() error { return c.rc.SetWriteDeadline(t) })
}

type streamAddr string

func (streamAddr) Network() string  { return "tcp" }
func (a streamAddr) String() string { return string(a) }
