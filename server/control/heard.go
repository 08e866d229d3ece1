package control

import (
	"net"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// heard is the connection below a link. It notes when something of a message arrives, and sends a message of the WebSocket, which comes
// in pieces, at once.
type heard struct {
	net.Conn
	link *link

	mu      sync.Mutex // guards what follows
	gathers bool
	out     []byte
}

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
	defer c.mu.Unlock()
	if c.gathers {
		c.out = append(c.out, p...)
		return len(p), nil
	}
	// It is a control frame, or the last message. The deadline of what was sent before may be over.
	_ = c.Conn.SetWriteDeadline(time.Now().Add(controlTime))
	return c.Conn.Write(p)
}

// controlTime is how long a control frame may take.
const controlTime = 5 * time.Second

// send sends what was kept, and returns its buffer.
func (c *heard) send() (room []byte, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err = c.Conn.Write(c.out)
	room = c.out
	c.gathers, c.out = false, nil
	return room, err
}

// sayClose sends a Close frame (RFC 6455, 5.5.1), and leaves what comes to be read: package websocket drops that once it sent one.
func (c *heard) sayClose(code websocket.StatusCode, reason string) {
	frame := []byte{0x88, byte(2 + len(reason)), byte(code >> 8), byte(code)}
	_, _ = c.Write(append(frame, reason...))
}
