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

// conn stands between a peer and net/http, while that reads the head of a
// request. It shows net/http a target that it does not refuse, and says in the
// words of a [Refuse] what net/http refuses all the same.
//
// A head is looked for where one is due: at the start, and after the server said
// that the connection is idle. net/http may have read on by then, where a visitor
// pipelines. It waits for four bytes, with one deadline, before it reads the head,
// with another, and has one buffer of the size readBuffer. So a read under the first
// deadline tells by the room left in the buffer how many bytes it has already,
// three at most, and conn knows what they were. Where no read comes before the
// second one conn is lost, and looks for nothing until the connection is idle
// again. So content is never taken for a head, nor changed.
//
// Where net/http has a buffer of another size conn is lost after the first head.
// At the start it reads only as much as tells whether the peer speaks HTTP/2. If
// it does, conn steps aside for good.
type conn struct {
	net.Conn
	// ahead was read before, and comes first.
	ahead []byte
	// aside says that conn is nothing but what it wraps.
	aside atomic.Bool
	// left says that the peer closed the connection.
	left atomic.Bool
	// chosen says that HTTP/2 was chosen by ALPN, so that nothing else is spoken.
	chosen bool
	// mu guards below: net/http reads a byte ahead while it calls the handler.
	mu    sync.Mutex
	line  requestLine
	guard guard
	// start is how many bytes came, as far as that matters to tell the preface of
	// HTTP/2; other says that it is something else.
	start int
	other bool
	// tail is what was read last.
	tail [3]byte
	// begun says that a read was made for the head; lost, that the start of the
	// head was read before.
	begun, lost bool
	// deadlines counts those that were set since the connection is idle.
	deadlines int
	// waits says that the connection was idle before the head.
	waits bool
	// over says that the time for a head is over. net/http gives it again after it
	// looked for the preface of HTTP/2.
	over bool
	// refused says that all was said and what net/http writes is dropped.
	refused bool
	// refusal has the words; nil until a port serves the connection.
	refusal Refuse
	// clears says that a head which cookies make too long has the peer forget them.
	clears bool
	// place is what the connection has, or nil. A head counts in it beyond what net/http reads at
	// once, until the request that it makes does: head is how much came, and counted how much counts.
	place         Place
	head, counted int
	// serving is set from the call of the handler until the connection is idle.
	serving bool
}

// readBuffer is how much net/http reads at once, in bytes.
const readBuffer = 4 << 10

// http2Weight is what a connection of HTTP/2 costs in memory besides: the fields of a request may
// fill as much before anybody sees them.
const http2Weight = 192 << 10

// preface is what a peer that speaks HTTP/2 says first (RFC 9113, 3.4). net/http
// waits for its first line at least.
const (
	preface     = prefaceLine + "\r\n\r\nSM\r\n\r\n"
	prefaceLine = "PRI * HTTP/2.0"
)

// stepAside makes c nothing but what it wraps.
func (c *conn) stepAside() { c.aside.Store(true) }

// expectHead begins to look for a head.
func (c *conn) expectHead() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.line = requestLine{}
	c.guard.idle(c.tail[:])
	c.begun, c.lost, c.serving = false, false, false
	c.waits, c.deadlines = true, 0
}

// SetReadDeadline sets it, and notes that net/http waits no more for a head but
// has the start of it.
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

// serve notes that a handler is called. What is known of the head does not
// change from then on.
func (c *conn) serve() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serving = true
	c.uncount()
}

// count counts n bytes more of a head, and reports whether there is room for them. The caller
// holds c.mu.
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

// uncount notes that the head counts as that of a request. The caller holds c.mu.
func (c *conn) uncount() {
	if c.counted > 0 {
		c.place.Shrink(c.counted)
	}
	c.head, c.counted = 0, 0
}

// Read reads, looks at a head, and changes a malformed target.
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
	case idle: // net/http waits in vain, and gives up soon where nothing comes
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
		_ = c.refuse(schema.CodeTooSlow, "The fields came too slowly.")
	}
	return n, err
}

// pass has the guard look at n bytes that were read into p, and returns how many of them, or of what is in their place, net/http gets.
// The caller holds c.mu.
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

// leaves notes by what a read ended with whether the peer closed the connection.
func (c *conn) leaves(err error) {
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.left.Store(true)
	}
}

// prefaces tells whether the preface of HTTP/2 ends with the next bytes. The
// caller holds c.mu.
func (c *conn) prefaces(p []byte) bool {
	if c.start >= len(preface) || len(p) == 0 {
		return false
	}
	c.other = c.other || !strings.HasPrefix(preface[c.start:], string(p))
	c.start += len(p)
	return c.start == len(preface) && !c.other
}

// begin begins a head with what of it net/http has already, which has space
// for so many bytes more. The caller holds c.mu.
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

// see sees the next bytes of a head. The caller holds c.mu.
func (c *conn) see(p []byte) {
	if !c.lost {
		c.line.see(p)
	}
}

// CloseWrite ends what is written, where the connection can, and listens for a
// while to a peer that still sends: one that sees the connection reset may never
// see the answer (RFC 9112, 9.6). net/http asks for it before it closes.
func (c *conn) CloseWrite() (err error) {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		err = half.CloseWrite()
	}
	_ = c.Conn.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.CopyN(io.Discard, c.Conn, lingerBytes)
	return err
}

// reset has the connection end with a reset, where it can. In HTTP/1.0 the end of
// the connection is the end of the content, so a peer could not tell by anything
// else that it was cut short.
func (c *conn) reset() {
	if l, ok := c.Conn.(lingerer); ok {
		_ = l.SetLinger(0)
	}
}

// lingerer is a connection such as that of TCP.
type lingerer interface{ SetLinger(seconds int) error }

// How much longer, in time and bytes, a peer is listened to.
const (
	lingerTime  = 2 * time.Second
	lingerBytes = 8 << 20
)

// Write writes. What is written while no handler serves is net/http's own
// refusal, in its words; it becomes a problem.
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

// refuse answers what is not a request, with fields that are given as names and values, and the connection ends.
func (c *conn) refuse(code schema.Code, detail string, fields ...string) error {
	if c.refusal == nil {
		return nil
	}
	w := &refusal{header: http.Header{"Connection": {"close"}}}
	for i := 0; i < len(fields); i += 2 {
		w.header.Set(fields[i], fields[i+1])
	}
	c.refusal(w, code, detail)
	_ = c.SetWriteDeadline(time.Now().Add(writeGrace)) // the last one may be over
	_, err := c.Conn.Write(w.bytes())
	return err
}
