package control

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/coder/websocket"

	"reversehttp/schema"
	"reversehttp/server/problem"
	"reversehttp/server/wire"
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
	left    int        // bytes of the frame that is being written
	closes  bool       // it is a Close frame, or came after one
	drops   bool       // it came after one: nothing follows a Close frame
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

// Write sends p, a frame or a piece of one, or keeps it. What follows a Close frame is dropped: package websocket does not know of that
// of the gateway, which does not know of the one that the package sends.
func (c *heard) Write(p []byte) (int, error) {
	c.mu.Lock()
	if c.left == 0 && len(p) > 0 {
		head, payload := wire.FrameHead(p) // all of the head is in the first piece
		c.left, c.drops = head+int(payload), c.closes
		c.closes = c.closes || p[0]&0x0f == closeOpcode
	}
	c.left -= min(c.left, len(p))
	switch {
	case c.drops:
		c.mu.Unlock()
		return len(p), nil
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

// closeOpcode is that of a Close frame (RFC 6455, 5.2).
const closeOpcode = 8

// send sends what write writes as one, put together in room, and returns its buffer.
func (c *heard) send(room []byte, write func() error) ([]byte, error) {
	c.sending.Lock()
	c.mu.Lock()
	c.gathers, c.out = true, room[:0]
	c.mu.Unlock()
	refused := write()
	c.mu.Lock()
	room, c.out = c.out, nil
	c.gathers = false
	c.mu.Unlock()
	_, err := c.Conn.Write(room)
	c.sending.Unlock()
	if err == nil {
		err = c.sendControl()
	}
	return room, errors.Join(refused, err)
}

// sendControl sends the control frames that wait, unless somebody sends, who looks for them afterwards.
func (c *heard) sendControl() (err error) {
	for err == nil && c.waits() && c.sending.TryLock() {
		err = c.writeControl(controlTime)
		c.sending.Unlock()
	}
	return err
}

// writeControl writes the control frames that wait, within a time. The caller holds c.sending.
func (c *heard) writeControl(within time.Duration) error {
	c.mu.Lock()
	frames := c.control
	c.control = nil
	c.mu.Unlock()
	if len(frames) == 0 {
		return nil
	}
	_ = c.Conn.SetWriteDeadline(time.Now().Add(within)) // that of what was sent before may be over
	_, err := c.Conn.Write(frames)
	return err
}

// courteous is the connection as package websocket has it, which closes it as soon as it has written a Close frame: that one may still
// wait for a message that is being sent.
type courteous struct{ *heard }

// Close closes the connection once everything written has been sent. What the peer does not take within lastWrite is dropped.
func (c courteous) Close() error {
	_ = c.Conn.SetWriteDeadline(time.Now().Add(lastWrite))
	c.sending.Lock()
	defer c.sending.Unlock()
	_ = c.writeControl(lastWrite)
	return c.Conn.Close()
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
