package reversehttp

import (
	"bufio"
	"encoding/binary"
	"io"
	"slices"
	"sync"
)

// socketIn is how much of a link is read at once: many small messages may have arrived.
const socketIn = 16 << 10

// socket is the connection of a link. The WebSocket above it writes a frame in pieces of its buffer, which would be a call of
// the system each, and with TLS a record: here a frame is one write. And it takes note of what shows life.
type socket struct {
	io.ReadWriteCloser
	in    *bufio.Reader
	vigil *vigil

	left int     // bytes of the frame that are not written yet
	held *[]byte // the part received so far
}

func newSocket(conn io.ReadWriteCloser, v *vigil) *socket {
	c := &socket{ReadWriteCloser: conn, vigil: v}
	c.in = bufio.NewReaderSize(readerFunc(c.read), socketIn)
	return c
}

// Read reads what the gateway sends.
func (c *socket) Read(p []byte) (int, error) { return c.in.Read(p) }

func (c *socket) read(p []byte) (int, error) {
	n, err := c.ReadWriteCloser.Read(p)
	if n > 0 {
		c.vigil.heard.Store(true)
	}
	return n, err
}

// heldFrames are buffers that are not in use.
var heldFrames = sync.Pool{New: func() any { return new([]byte) }}

// Write writes a frame, or a piece of one: that waits for the others.
func (c *socket) Write(p []byte) (int, error) {
	if c.left == 0 {
		size := frameSize(p)
		if size <= len(p) {
			return c.write(p)
		}
		c.held, c.left = heldFrames.Get().(*[]byte), size
		*c.held = slices.Grow((*c.held)[:0], size)
	}
	*c.held = append(*c.held, p...)
	if c.left -= len(p); c.left > 0 {
		return len(p), nil
	}
	_, err := c.write(*c.held)
	heldFrames.Put(c.held)
	c.held, c.left = nil, 0
	return len(p), err
}

func (c *socket) write(p []byte) (int, error) {
	c.vigil.waits.Store(true)
	defer c.vigil.waits.Store(false)
	return c.ReadWriteCloser.Write(p)
}

// frameSize returns the length of the frame that begins with head (RFC 6455, 5.2), which a client
// masks, or 0 if it is not a head.
func frameSize(head []byte) int {
	const mask = 4
	if len(head) < 2 {
		return 0
	}
	switch n := int(head[1] & 0x7f); {
	case n < 126:
		return 2 + mask + n
	case n == 126 && len(head) >= 4:
		return 4 + mask + int(binary.BigEndian.Uint16(head[2:]))
	case n == 127 && len(head) >= 10:
		if size := binary.BigEndian.Uint64(head[2:]); size < 1<<62 {
			return 10 + mask + int(size)
		}
	}
	return 0
}
