package control

import (
	"net"
	"sync"
	"time"

	"github.com/coder/websocket"

	"reversehttp/schema"
	"reversehttp/server/problem"
)

// heard is the connection below a link. It notes when something of a message arrives, and sends a message of the WebSocket, which comes
// in pieces, at once. Control frames, with which package websocket answers while it reads, wait for nobody: while a message is being
// sent they are kept, and follow it.
type heard struct {
	net.Conn
	link *link

	sending sync.Mutex // held while something is sent
	mu      sync.Mutex // guards what follows; nothing is sent while it is held
	gathers bool       // what is written belongs to a message
	out     []byte     // the message
	control []byte     // control frames that wait
}

const (
	// controlTime is how long a control frame may take.
	controlTime = 5 * time.Second
	// mostControl bounds the control frames that wait, in bytes.
	mostControl = 16 << 10
)

// Read notes that something of a message arrives. Control frames show nothing: what speaks WebSocket for a program sends them by itself.
func (c *heard) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && c.link.coming.Load() > 0 {
		c.link.heard.Store(int64(time.Since(c.link.epoch)))
		c.link.came.Add(int64(n))
	}
	return n, err
}

// gather has what is written kept, in a buffer with this room, until it is sent.
func (c *heard) gather(room []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gathers, c.out = true, room[:0]
}

// Write sends p, or keeps it.
func (c *heard) Write(p []byte) (int, error) {
	c.mu.Lock()
	switch {
	case c.gathers:
		c.out = append(c.out, p...)
		c.mu.Unlock()
		return len(p), nil
	case len(c.control)+len(p) > mostControl:
		c.mu.Unlock()
		return 0, problem.New(schema.CodeTooSlow, "More control frames came than were taken.")
	}
	c.control = append(c.control, p...)
	c.mu.Unlock()
	return len(p), c.sendControl()
}

// send sends what was kept, and returns its buffer.
func (c *heard) send() (room []byte, err error) {
	c.mu.Lock()
	room, c.out = c.out, nil
	c.gathers = false
	c.mu.Unlock()
	c.sending.Lock()
	_, err = c.Conn.Write(room)
	c.sending.Unlock()
	if err == nil {
		err = c.sendControl()
	}
	return room, err
}

// sendControl sends the control frames that wait, unless somebody sends, who looks for them afterwards.
func (c *heard) sendControl() (err error) {
	for err == nil && c.waits() && c.sending.TryLock() {
		c.mu.Lock()
		frames := c.control
		c.control = nil
		c.mu.Unlock()
		_ = c.Conn.SetWriteDeadline(time.Now().Add(controlTime)) // that of what was sent before may be over
		_, err = c.Conn.Write(frames)
		c.sending.Unlock()
	}
	return err
}

// waits reports whether control frames wait.
func (c *heard) waits() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.control) > 0
}

// sayClose sends a Close frame (RFC 6455, 5.5.1), and leaves what comes to be read: package websocket drops that once it sent one.
func (c *heard) sayClose(code websocket.StatusCode, reason string) {
	frame := []byte{0x88, byte(2 + len(reason)), byte(code >> 8), byte(code)}
	_, _ = c.Write(append(frame, reason...))
}
