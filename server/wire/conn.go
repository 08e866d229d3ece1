package wire

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"reversehttp/schema"
)

// conn stands between a peer and net/http while net/http reads the head of a request. It replaces a
// target that net/http would refuse with one that it accepts, and has a [Refuse] write the response
// if net/http refuses the request anyway.
//
// conn expects a head at the start, and after the server reported that the connection is idle. If a
// visitor pipelines, net/http may have read ahead by then. net/http waits for four bytes under one
// deadline before it reads the head under another, and has one buffer of the size readBuffer. A
// read under the first deadline therefore shows, by the room left in the buffer, how many bytes
// net/http already has. These are three at most, and conn knows what they were. If no read comes
// before the second deadline, conn is lost and examines nothing until the connection is idle again.
// So it never mistakes content for a head, and never changes it.
//
// If net/http had a buffer of another size, conn would be lost after the first head. At the start
// it reads only enough to see whether the peer speaks HTTP/2. If so, conn steps aside for good.
type conn struct {
	net.Conn
	// ahead was read before, and comes first.
	ahead []byte
	// aside is set once conn only passes bytes through.
	aside atomic.Bool
	// left is set once the peer closed the connection.
	left atomic.Bool
	// chosen is whether ALPN chose HTTP/2, so that anything else is an error.
	chosen bool
	// mu guards below: net/http reads a byte ahead while it calls the handler.
	mu    sync.Mutex
	line  requestLine
	guard guard
	// start counts bytes received while they may still be the preface of HTTP/2; other is set once
	// they are not.
	start int
	other bool
	// tail has the last three bytes read.
	tail [3]byte
	// begun is set once a read was made for the head; lost, if the start of the head was read
	// earlier.
	begun, lost bool
	// deadlines counts the deadlines set since the connection became idle.
	deadlines int
	// waits is whether the connection was idle before the head.
	waits bool
	// over is set once the time for a head has passed. net/http would start it again after looking
	// for the preface of HTTP/2.
	over bool
	// refused is set once a refusal was written. Whatever net/http writes then is dropped.
	refused bool
	// refusal writes refusals. It is nil until a port serves the connection.
	refusal Refuse
	// clears is whether to have the peer drop its cookies if they make a head too long.
	clears bool
	// place is the connection's share of the budget, or nil. It also covers the part of a head that
	// exceeds the read buffer of net/http, until the request itself is counted. head is how much of
	// the head came, and counted how much of it place covers.
	place         Place
	head, counted int
	// serving is set from the call of the handler until the connection is idle.
	serving bool
}

// readBuffer is how much net/http reads at once, in bytes.
const readBuffer = 4 << 10

// http2Weight is the additional memory of an HTTP/2 connection, in bytes: the fields of a request
// may take that much before a handler sees them.
const http2Weight = 192 << 10

// preface is what a peer that speaks HTTP/2 sends first (RFC 9113, 3.4). net/http waits at least
// for its first line.
const (
	preface     = prefaceLine + "\r\n\r\nSM\r\n\r\n"
	prefaceLine = "PRI * HTTP/2.0"
)

// stepAside makes c pass all bytes through unchanged.
func (c *conn) stepAside() { c.aside.Store(true) }

// expectHead prepares for the head of the next request.
func (c *conn) expectHead() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.line = requestLine{}
	c.guard.idle(c.tail[:])
	c.begun, c.lost, c.serving = false, false, false
	c.waits, c.deadlines = true, 0
}

// SetReadDeadline sets the deadline. It also notes that net/http no longer waits for a head but has
// its start.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	if c.waits && !c.begun {
		c.deadlines++
		c.lost = c.deadlines > 1
		c.begun = c.lost
	}
	c.mu.Unlock()
	return c.Conn.SetReadDeadline(t)
}

// serve notes that a handler is called. The state of the head does not change from then on.
func (c *conn) serve() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serving = true
	c.uncount()
}

// count adds n bytes to the head, and reports whether there is room for them. The caller holds
// c.mu.
func (c *conn) count(n int) bool {
	if c.place == nil {
		return true
	}
	c.head += n
	if more := c.head - readBuffer - c.counted; more > 0 {
		if !c.place.Grow(more) {
			return false
		}
		c.counted += more
	}
	return true
}

// uncount gives back what the head took, since its request is counted now. The caller holds c.mu.
func (c *conn) uncount() {
	if c.counted > 0 {
		c.place.Shrink(c.counted)
	}
	c.head, c.counted = 0, 0
}

// Read reads from the peer, examines heads and replaces malformed targets.
func (c *conn) Read(p []byte) (int, error) {
	if c.aside.Load() {
		n, err := c.Conn.Read(p)
		c.leaves(err)
		return n, err
	}
	c.mu.Lock()
	over, idle := c.over, c.other && !c.serving && c.start+len(p) == len(prefaceLine)
	amiss := c.other && c.chosen
	stopped := c.guard.why != "" && len(c.ahead) == 0
	c.mu.Unlock()
	switch {
	case stopped:
		return 0, io.EOF
	case amiss: // RFC 9113, 3.4
		return 0, io.EOF
	case over:
		return 0, os.ErrDeadlineExceeded
	case idle: // net/http waits in vain, and gives up soon if nothing comes
		return 0, nil
	}
	var n int
	var err error
	if len(c.ahead) > 0 {
		n = copy(p, c.ahead)
		c.ahead = c.ahead[n:]
	} else {
		n, err = c.Conn.Read(p)
		c.leaves(err)
	}
	c.mu.Lock()
	if c.prefaces(p[:n]) {
		c.uncount()
		room := c.place == nil || c.place.Grow(http2Weight)
		c.mu.Unlock()
		if !room {
			_ = c.Conn.Close()
			return 0, io.EOF
		}
		c.stepAside()
		return n, err
	}
	n = c.pass(p, n)
	if c.other && c.chosen {
		c.refused = true
		c.mu.Unlock()
		return 0, io.EOF
	}
	if !c.serving && !c.count(n) {
		c.mu.Unlock()
		_ = c.Conn.Close()
		return 0, io.EOF
	}
	if !c.serving {
		if !c.begun {
			c.begin(len(p))
		}
		c.see(p[:n])
	}
	if n >= len(c.tail) {
		copy(c.tail[:], p[n-len(c.tail):n])
	} else {
		copy(c.tail[copy(c.tail[:], c.tail[n:]):], p[:n])
	}
	c.over = !c.serving && errors.Is(err, os.ErrDeadlineExceeded)
	slow := c.over && (c.lost || c.guard.begun())
	c.refused = c.refused || slow
	c.mu.Unlock()
	if slow {
		_ = c.refuse(schema.CodeTooSlow, "The fields arrived too slowly.")
	}
	return n, err
}

// pass runs the guard over the n bytes read into p, and returns how many bytes of p net/http gets,
// original or replaced. The caller holds c.mu.
func (c *conn) pass(p []byte, n int) int {
	if c.guard.why != "" {
		return n
	}
	passed := c.guard.see(p[:n])
	switch {
	case c.guard.why != "":
		c.ahead = []byte(stopped)
		if passed == 0 {
			passed = copy(p, c.ahead)
			c.ahead = c.ahead[passed:]
		}
	case passed < n:
		c.ahead = append(bytes.Clone(p[passed:n]), c.ahead...)
	}
	return passed
}

// leaves notes whether the peer closed the connection, judging by the error of a read.
func (c *conn) leaves(err error) {
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.left.Store(true)
	}
}

// prefaces reports whether p completes the preface of HTTP/2. The caller holds c.mu.
func (c *conn) prefaces(p []byte) bool {
	if c.start >= len(preface) || len(p) == 0 {
		return false
	}
	c.other = c.other || !strings.HasPrefix(preface[c.start:], string(p))
	c.start += len(p)
	return c.start == len(preface) && !c.other
}

// begin begins a head with the bytes of it that net/http already has. space is the room left in its
// buffer. The caller holds c.mu.
func (c *conn) begin(space int) {
	c.begun = true
	if !c.waits {
		return // nothing came before
	}
	ahead := readBuffer - space
	c.lost = ahead < 0 || ahead > len(c.tail)
	if !c.lost {
		c.see(bytes.Clone(c.tail[len(c.tail)-ahead:]))
	}
}

// see examines the next bytes of a head. The caller holds c.mu.
func (c *conn) see(p []byte) {
	if !c.lost {
		c.line.see(p)
	}
}

// CloseWrite closes the write side, if the connection can, and reads for a while from a peer that
// still sends: if the connection were reset, the peer might never see the answer (RFC 9112, 9.6).
// net/http calls it before Close.
func (c *conn) CloseWrite() (err error) {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		err = half.CloseWrite()
	}
	_ = c.Conn.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.CopyN(io.Discard, c.Conn, lingerBytes)
	return err
}

// reset makes the connection end with a reset, if it can. In HTTP/1.0 the end of the connection
// ends the content, so only a reset shows a peer that content was cut short.
func (c *conn) reset() {
	if l, ok := c.Conn.(lingerer); ok {
		_ = l.SetLinger(0)
	}
}

// lingerer is a connection such as that of TCP.
type lingerer interface{ SetLinger(seconds int) error }

// Bounds, in time and bytes, on reading from a peer after the response.
const (
	lingerTime  = 2 * time.Second
	lingerBytes = 8 << 20
)

// Write writes to the peer. Anything written while no handler runs is a refusal by net/http itself;
// Write replaces it with a problem.
func (c *conn) Write(p []byte) (int, error) {
	if c.aside.Load() {
		return c.Conn.Write(p)
	}
	status, rest, _ := bytes.Cut(bytes.TrimPrefix(p, []byte("HTTP/1.1 ")), []byte{' '})
	c.mu.Lock()
	serving, refused, stopped, clears := c.serving, c.refused, c.guard.why, c.clears && c.guard.cookiesFill()
	c.mu.Unlock()
	if refused {
		return len(p), nil
	}
	if serving || c.refusal == nil || len(status) != 3 || status[0] < '4' {
		return c.Conn.Write(p)
	}
	code, detail := schema.CodeBadRequest, ""
	reason, _, _ := bytes.Cut(rest, []byte("\r\n"))
	switch _, why, _ := strings.Cut(string(reason), ": "); {
	case string(status) == "431":
		code = schema.CodeFieldsTooLarge
		if clears {
			return len(p), c.refuse(code, "", "Clear-Site-Data", `"cookies"`)
		}
	case stopped != "":
		detail = stopped
	case string(status) == "417":
		detail = "Nothing but 100-continue can be expected."
	case string(status) == "501":
		detail = "The content has a transfer coding other than chunked."
	case why != "":
		detail = "The request is malformed: " + why + "."
	}
	if err := c.refuse(code, detail); err != nil {
		return 0, err
	}
	return len(p), nil
}

// refuse answers bytes that are not a request, with fields as pairs of name and value, and ends the
// connection.
func (c *conn) refuse(code schema.Code, detail string, fields ...string) error {
	if c.refusal == nil {
		return nil
	}
	w := &refusal{header: http.Header{"Connection": {"close"}}}
	for i := 0; i < len(fields); i += 2 {
		w.header.Set(fields[i], fields[i+1])
	}
	c.refusal(w, code, detail)
	_ = c.SetWriteDeadline(time.Now().Add(writeGrace)) // the previous deadline may have passed
	_, err := c.Conn.Write(w.bytes())
	return err
}
