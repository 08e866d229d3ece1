package peer

import (
	"io"
	"net/http"
	"sync"
	"time"

	"reversehttp/server/wire"
)

// Content is the content of a request at its entry. It reads no more of it than the home asks for, and
// keeps the beginning for another home, should the first one end. The goroutine that serves the request
// calls [Content.Stop] before it returns.
type Content struct {
	w http.ResponseWriter
	r *http.Request

	mu      sync.Mutex // guards below
	moved   sync.Cond
	from    io.Reader
	to      *conn // nil between homes
	credit  int   // how much more the home takes
	kept    []byte
	sent    int   // how much this home was sent
	passed  bool  // more was read than could be kept; nothing is kept then
	err     error // of the last read; [io.EOF] if all was read
	told    bool  // this home knows of err
	running bool
	reading bool
	stopped bool
}

// MostKept is how much content is kept for another home, in bytes: no more than a home takes unasked,
// so that what is kept can always be sent.
const MostKept = window

// NewContent returns the content of r, or nil if r has none.
func NewContent(w http.ResponseWriter, r *http.Request) *Content {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	return newContent(w, r)
}

func newContent(w http.ResponseWriter, r *http.Request) *Content {
	c := &Content{w: w, r: r, from: r.Body}
	c.moved.L = &c.mu
	return c
}

// Whole reports whether another home can still be sent all of the content.
func (c *Content) Whole() bool {
	if c == nil {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.passed
}

// attach has the content sent to a home, which takes credit bytes unasked.
func (c *Content) attach(to *conn, credit int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.to, c.credit, c.sent, c.told = to, credit, 0, false
	if !c.running {
		c.running = true
		// The home has a deadline for what it reads.
		_ = http.NewResponseController(c.w).SetReadDeadline(time.Time{})
		go c.run()
	}
	c.moved.Broadcast()
}

// detach ends the sending to a home. It waits for nothing: what is being read is for the next one.
func (c *Content) detach() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.to, c.credit = nil, 0
}

// allow lets n more bytes be sent.
func (c *Content) allow(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.credit += n
	c.moved.Broadcast()
}

// upgrade sends what is read from an upgraded connection in place of the content.
func (c *Content) upgrade(from io.Reader) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.from, c.err, c.told = from, nil, false
	c.moved.Broadcast()
}

// run reads and sends until the content is stopped.
func (c *Content) run() {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer func() {
		c.running = false
		c.moved.Broadcast()
	}()
	var buf []byte
	for !c.stopped {
		switch {
		case c.to == nil || c.credit == 0 && (c.err == nil || c.sent < len(c.kept)) || c.err != nil && c.told:
			c.moved.Wait()
		case c.sent < len(c.kept): // read for an earlier home
			n := min(len(c.kept)-c.sent, c.credit)
			_ = c.to.send(kindContent, c.kept[c.sent:c.sent+n], true)
			c.sent += n
			c.credit -= n
		case c.err != nil:
			c.told = true
			c.tell()
			c.moved.Broadcast()
		default:
			if buf == nil {
				buf = make([]byte, c.size())
			}
			c.read(buf[:min(len(buf), c.credit)])
		}
	}
}

// size returns how much is read at once.
func (c *Content) size() int {
	if n := c.r.ContentLength; n > 0 && n < piece {
		return int(n) + 1 // one more, to see the end
	}
	return piece
}

// read reads and sends a piece. The caller holds c.mu, which read gives up while it reads.
func (c *Content) read(into []byte) {
	from := c.from
	c.reading = true
	c.mu.Unlock()
	n, err := from.Read(into)
	c.mu.Lock()
	c.reading = false
	if err == io.EOF { // from here on net/http notices when the peer leaves
		_ = http.NewResponseController(c.w).SetReadDeadline(time.Time{})
	}
	c.err = err
	if n > 0 {
		if !c.passed && len(c.kept)+n <= MostKept {
			c.kept = append(c.kept, into[:n]...)
		} else {
			c.passed, c.kept = true, nil
		}
		if c.to != nil {
			_ = c.to.send(kindContent, into[:n], err == nil)
			c.sent += n
			c.credit -= n
		}
	}
	c.moved.Broadcast()
}

// tell sends the end of the content. The caller holds c.mu.
func (c *Content) tell() {
	if c.err != io.EOF {
		_ = c.to.send(kindBroken, nil, true)
		return
	}
	_ = c.to.sendValue(kindEnd, c.r.Trailer, true)
}

// await waits until nothing is being read, and the home knows the result.
func (c *Content) await() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.running && !c.stopped && (c.reading || c.to != nil && c.err != nil && !c.told) {
		c.moved.Wait()
	}
}

// Stop ends the reading, and waits until it has ended: net/http forbids reads after the handler has
// returned. A read that Stop breaks off may have been the one at the end of the content, after which
// net/http watches the connection and takes the broken read for a sender who left. So the connection
// carries no other request then.
func (c *Content) Stop() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	if c.reading {
		wire.HangUp(c.w)
		if half, is := c.from.(interface{ SetReadDeadline(time.Time) error }); is {
			_ = half.SetReadDeadline(time.Unix(1, 0))
		}
	}
	c.moved.Broadcast()
	for c.running {
		c.moved.Wait()
	}
}

// waits reports whether nothing of the content may be read before the home asks for it: the first
// read invites a sender that waits for 100 (Continue).
func (c *Content) waits() bool { return c != nil && wire.Expects(c.r) && len(c.kept) == 0 }
