package gateway

import (
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// streamConn is a stream of HTTP/2 that an extended CONNECT (RFC 8441) made a
// connection of.
type streamConn struct {
	io.ReadCloser
	w  http.ResponseWriter
	rc *http.ResponseController
	r  *http.Request
}

// Extended tells whether r is an extended CONNECT of HTTP/2 for one of some protocols,
// and gives that as r spells it. net/http takes these with GODEBUG=http2xconnect=1 in
// the environment only.
func Extended(r *http.Request, protocols ...string) string {
	if r.Method == http.MethodConnect && r.ProtoMajor == 2 {
		for _, asked := range r.Header[protocolField] {
			for _, p := range protocols {
				if strings.EqualFold(asked, p) {
					return asked
				}
			}
		}
	}
	return ""
}

// protocolField is where net/http puts the pseudo-header field.
const protocolField = ":protocol"

// Accept answers an extended CONNECT with 200 and the fields that w has, and gives the
// stream as a connection, which lasts until the handler returns.
func Accept(w http.ResponseWriter, r *http.Request) (net.Conn, error) {
	c := &streamConn{r.Body, w, http.NewResponseController(w), r}
	// What bounded the request bounds nothing any more.
	_ = c.SetDeadline(time.Time{})
	w.WriteHeader(http.StatusOK)
	return c, c.rc.Flush()
}

func (c *streamConn) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	if err == nil {
		err = c.rc.Flush()
	}
	return n, err
}

func (c *streamConn) LocalAddr() net.Addr  { return streamAddr("gateway") }
func (c *streamConn) RemoteAddr() net.Addr { return streamAddr(c.r.RemoteAddr) }

func (c *streamConn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}
func (c *streamConn) SetReadDeadline(t time.Time) error  { return c.rc.SetReadDeadline(t) }
func (c *streamConn) SetWriteDeadline(t time.Time) error { return c.rc.SetWriteDeadline(t) }

type streamAddr string

func (streamAddr) Network() string  { return "tcp" }
func (a streamAddr) String() string { return string(a) }
