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

// heard is the connection below a link. It notes when part of a message arrives, and sends a
// message of the WebSocket, which package websocket writes in pieces, in one write. Control frames,
// which that package writes while it reads, do not block the reader: while a message is being sent
// they are kept, and follow it.
type heard struct {
	net.Conn
	link *link

	sending sync.Mutex // held while something is sent
	mu      sync.Mutex // guards what follows; not held while something is sent
	gathers bool       // writes belong to a message
	out     []byte     // the message
	control []byte     // control frames that wait
	left    int        // remaining bytes of the frame that is being written
	closes  bool       // that frame is a Close frame or came after one
	drops   bool       // that frame came after a Close frame, and is dropped
}

const (
	// controlTime is how long writing a control frame may take.
	controlTime = 5 * time.Second
	// mostControl bounds the waiting control frames, in bytes.
	mostControl = 16 << 10
)

// Read notes that part of a message arrives. Control frames show nothing: a program's WebSocket
// library sends them on its own.
func (c *heard) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && c.link.coming.Load() > 0 {
		c.link.heard.Store(int64(time.Since(c.link.epoch)))
		c.link.came.Add(int64(n))
	}
	return n, err
}

// Write sends or keeps p, a frame or a piece of one. It drops what follows a Close frame: package
// websocket and the gateway do not know of each other's.
func (c *heard) Write(p []byte) (int, error) {
	c.mu.Lock()
	if c.left == 0 && len(p) > 0 {
		head, payload := wire.FrameHead(p) // the first piece has the whole head
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

// closeOpcode is the opcode of a Close frame (RFC 6455, 5.2).
const closeOpcode = 8

// send gathers in room what write writes, sends it in one write, and returns the buffer.
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

// sendControl sends the waiting control frames, unless another goroutine is sending, which then
// sends them afterwards.
func (c *heard) sendControl() (err error) {
	for err == nil && c.waits() && c.sending.TryLock() {
		err = c.writeControl(controlTime)
		c.sending.Unlock()
	}
	return err
}

// writeControl writes the waiting control frames, within a time. The caller holds c.sending.
func (c *heard) writeControl(within time.Duration) error {
	c.mu.Lock()
	frames := c.control
	c.control = nil
	c.mu.Unlock()
	if len(frames) == 0 {
		return nil
	}
	_ = c.Conn.SetWriteDeadline(time.Now().Add(within)) // the previous deadline may have passed
	_, err := c.Conn.Write(frames)
	return err
}

// courteous is the connection for package websocket, which closes it right after writing a Close
// frame, although that frame may still wait behind a message.
type courteous struct{ *heard }

// Close closes the connection once everything written has been sent. It drops what the peer does
// not take within lastWrite.
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

// sayClose sends a Close frame (RFC 6455, 5.5.1) and keeps reading possible: package websocket
// stops reading once it has sent one itself.
func (c *heard) sayClose(code websocket.StatusCode, reason string) {
	frame := []byte{0x88, byte(2 + len(reason)), byte(code >> 8), byte(code)}
	_, _ = c.Write(append(frame, reason...))
}
