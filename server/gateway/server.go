package gateway

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"strings"
	"time"

	"reversehttp/schema"
)

// Server gives an HTTP server for the gateway, with its bounds on time and
// size. It is to serve [Listen] of a listener.
func (g *Gateway) Server() *http.Server {
	return &http.Server{
		Handler:                      g,
		ReadHeaderTimeout:            g.options.FieldTime,
		IdleTimeout:                  g.options.Idle,
		MaxHeaderBytes:               2 * (g.options.FieldBytes + g.options.TargetBytes),
		DisableGeneralOptionsHandler: true, // OPTIONS * is the handler's
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c)
		},
		ConnState: func(c net.Conn, s http.ConnState) {
			if v, ok := c.(*conn); ok && s == http.StateIdle {
				v.expectHead()
			}
		},
	}
}

// boundWrite gives the peer so long to take n bytes of content that are written
// next: a time that is plenty for a head, and a least rate. It stays in force
// while net/http flushes, so everything that is written after a wait, and
// every request at its start, sets it anew.
func boundWrite(w http.ResponseWriter, n int) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeGrace + time.Duration(n)*time.Second/writeRate))
}

// How slowly a peer may take what is written to it.
const (
	writeGrace = 30 * time.Second
	writeRate  = 1_024 // bytes a second
)

// Listen wraps a listener so that two things that net/http does by itself are
// done the gateway's way: a request target with a malformed % is relayed, not
// refused, and what net/http refuses is told as a problem.
func Listen(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, head: true}, nil
}

type connKey struct{}

// conn sees request lines before net/http does. net/http refuses a target whose
// path has a malformed %, so conn shows it another of the same length, keeps the
// original, and [Gateway.target] gives it back.
//
// A request line is looked for where one is due: at the start, and after the
// server said that the connection is idle. A visitor who pipelines can make it
// due in the midst of content; then the changed target is nobody's, and
// [Gateway.garbled] has the request refused rather than relayed changed.
type conn struct {
	net.Conn
	// head says that the next read begins with a request line. Reads, and the
	// server's word that the connection is idle, follow one another.
	head bool
	// shown is the target that net/http sees in place of sent; empty where there is none.
	shown, sent string
}

func (c *conn) expectHead() { c.head, c.shown, c.sent = true, "", "" }

// Read reads, and changes a malformed target.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n <= 1 || !c.head { // the server reads one byte ahead to notice that a visitor leaves
		return n, err
	}
	c.head = false
	line, _, _ := bytes.Cut(p[:n], []byte{'\n'})
	start := bytes.IndexByte(line, ' ') + 1
	end := bytes.LastIndex(line, []byte(" HTTP/1."))
	if start == 0 || end <= start {
		return n, err
	}
	target := line[start:end]
	path, _, _ := bytes.Cut(target, []byte{'?'})
	if i := malformedPercent(path); i >= 0 {
		c.sent = string(target)
		for ; i >= 0; i = malformedPercent(path) {
			path[i] = '_'
		}
		c.shown = string(target)
	}
	return n, err
}

// malformedPercent finds a % that two hexadecimal digits do not follow, or gives -1.
func malformedPercent(path []byte) int {
	for i := 0; i < len(path); i++ {
		if path[i] == '%' && (i+2 >= len(path) || !isHex(path[i+1]) || !isHex(path[i+2])) {
			return i
		}
	}
	return -1
}

func isHex(b byte) bool { return strings.IndexByte("0123456789abcdefABCDEF", b) >= 0 }

// target gives the request target as the visitor sent it.
func (g *Gateway) target(r *http.Request) string {
	if c, ok := r.Context().Value(connKey{}).(*conn); ok && c.shown != "" && c.shown == r.RequestURI {
		return c.sent
	}
	return r.RequestURI
}

// garbled tells whether something was changed on the connection that is not the
// target of r.
func (g *Gateway) garbled(r *http.Request) bool {
	c, ok := r.Context().Value(connKey{}).(*conn)
	return ok && c.shown != "" && c.shown != r.RequestURI
}

// Write writes. What net/http answers by itself to a malformed request becomes
// a problem; a handler's response never begins like it, for it carries Via.
func (c *conn) Write(p []byte) (int, error) {
	const fields = "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
	if !bytes.HasPrefix(p, []byte("HTTP/1.1 4")) {
		return c.Conn.Write(p)
	}
	line, text, ok := bytes.Cut(p, []byte(fields))
	if !ok || !bytes.HasPrefix(text, []byte("4")) || bytes.ContainsRune(line, '\r') {
		return c.Conn.Write(p)
	}
	w := &refusal{header: http.Header{"Connection": {"close"}}}
	problem := &problem{code: schema.CodeBadRequest, visitor: true, handed: handedNo}
	if bytes.HasPrefix(text, []byte("431")) {
		problem.code = schema.CodeFieldsTooLarge
	} else if _, why, ok := bytes.Cut(text, []byte(": ")); ok {
		problem.detail = "The request is malformed: " + string(why) + "."
	}
	problem.write(w, &http.Request{})
	if _, err := c.Conn.Write(w.bytes()); err != nil {
		return 0, err
	}
	return len(p), nil
}
