package gateway

import (
	"bytes"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"reversehttp/schema"
)

type connKey struct{}

// conn stands between a peer and net/http, while that reads the head of a
// request. It shows net/http a target that it does not refuse, and says in the
// gateway's words what net/http refuses all the same.
//
// A request line is looked for where one is due: at the start, and after the
// server said that the connection is idle. net/http may have read on by then,
// where a visitor pipelines. What comes next is the rest of a head then, and if
// that looks like a request line with a malformed target it is changed, which
// [Gateway.garbled] notices. Content is never changed: a handler reads it.
type conn struct {
	net.Conn
	// mu guards below: net/http reads a byte ahead while it calls the handler.
	mu   sync.Mutex
	line requestLine
	// serving is set from the call of the handler until the connection is idle.
	serving bool
}

// expectHead begins to look for a request line.
func (c *conn) expectHead() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.line, c.serving = requestLine{}, false
}

// serve notes that a handler is called. The line does not change from then on.
func (c *conn) serve() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serving = true
}

// Read reads, and changes a malformed target.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.serving {
		c.line.see(p[:n])
	}
	return n, err
}

// CloseWrite ends what is written, where the connection can. net/http asks for
// it so that a peer that still sends sees the answer before the reset.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Write writes. What is written while no handler serves is net/http's own
// refusal, in its words; it becomes a problem.
func (c *conn) Write(p []byte) (int, error) {
	status, rest, _ := bytes.Cut(bytes.TrimPrefix(p, []byte("HTTP/1.1 ")), []byte{' '})
	c.mu.Lock()
	serving := c.serving
	c.mu.Unlock()
	if serving || len(status) != 3 || status[0] < '4' {
		return c.Conn.Write(p)
	}
	problem := &problem{code: schema.CodeBadRequest, visitor: true, handed: handedNo}
	reason, _, _ := bytes.Cut(rest, []byte("\r\n"))
	switch _, why, _ := strings.Cut(string(reason), ": "); {
	case string(status) == "431":
		problem.code = schema.CodeFieldsTooLarge
	case string(status) == "417":
		problem.detail = "Nothing but 100-continue can be expected."
	case string(status) == "501":
		problem.detail = "The content has a transfer coding other than chunked."
	case why != "":
		problem.detail = "The request is malformed: " + why + "."
	}
	w := &refusal{header: http.Header{"Connection": {"close"}}}
	problem.write(w, &http.Request{})
	_ = c.SetWriteDeadline(time.Now().Add(writeGrace)) // the last one may be over
	if _, err := c.Conn.Write(w.bytes()); err != nil {
		return 0, err
	}
	return len(p), nil
}

// connOf gives the connection of a request, or nil where it came another way.
func connOf(r *http.Request) *conn {
	c, _ := r.Context().Value(connKey{}).(*conn)
	return c
}

// target gives the request target as the visitor sent it.
func (g *Gateway) target(r *http.Request) string {
	if c := connOf(r); c != nil && c.line.changed && string(c.line.shown) == r.RequestURI {
		return string(c.line.sent)
	}
	return r.RequestURI
}

// garbled tells whether something was changed on the connection that is not the
// target of r.
func (g *Gateway) garbled(r *http.Request) bool {
	c := connOf(r)
	return c != nil && c.line.changed && string(c.line.shown) != r.RequestURI
}
