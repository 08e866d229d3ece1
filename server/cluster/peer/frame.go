package peer

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// kind says what a frame is.
type kind byte

const (
	kindHello    kind = 'V'
	kindRequest  kind = 'R'
	kindContent  kind = 'C'
	kindEnd      kind = 'E'
	kindBroken   kind = 'B'
	kindNoted    kind = 'n'
	kindTaken    kind = 't'
	kindLeft     kind = 'L'
	kindDone     kind = 'D'
	kindMoved    kind = 'M'
	kindWant     kind = 'W'
	kindNote     kind = 'N'
	kindInterim  kind = 'I'
	kindHead     kind = 'H'
	kindFlush    kind = 'F'
	kindHijacked kind = 'J'
	kindShut     kind = 'S'
	kindAborted  kind = 'A'
	kindParting  kind = 'G'
	kindOffer    kind = 'O'
	kindTook     kind = 'T'
	kindPing     kind = 'P'
	kindPong     kind = 'p'
)

// Bounds of a connection, in bytes.
const (
	// mostPayload bounds the payload of a frame. The heads of requests and responses are the
	// longest.
	mostPayload = 4 << 20
	// window is how much content of a request may be on its way before the home asks for more.
	window = 64 << 10
	// piece is how much content is read and sent at once.
	piece = 32 << 10
)

// conn is a connection of two nodes.
type conn struct {
	net.Conn
	to      Node        // which node it was made to; zero at that node
	dropped atomic.Bool // see Pool.Drop
	version int         // of the frames
	in      *bufio.Reader
	payload bytes.Buffer // read by values
	values  *gob.Decoder

	mu      sync.Mutex // held while a frame is written
	out     *bufio.Writer
	encoded bytes.Buffer // written by encode
	encode  *gob.Encoder
	bad     error // of the first write that failed
}

func newConn(c net.Conn) *conn {
	n := &conn{Conn: c, in: bufio.NewReaderSize(c, 8<<10), out: bufio.NewWriterSize(c, 8<<10)}
	n.values, n.encode = gob.NewDecoder(&n.payload), gob.NewEncoder(&n.encoded)
	return n
}

// send writes a frame. Frames that are not flushed go with a later one.
func (c *conn) send(k kind, payload []byte, flush bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.write(k, payload, flush)
}

// part informs the other node that this one is about to end. It may be called at any time.
func (c *conn) part() {
	_ = c.SetWriteDeadline(time.Now().Add(partTime))
	_ = c.send(kindParting, nil, true)
	_ = c.SetWriteDeadline(time.Time{})
}

// partTime is how long another node may take to learn that this one is about to end.
const partTime = time.Second

// sendContent writes content in pieces, and returns how much of it was written.
func (c *conn) sendContent(p []byte, flush bool) (sent int, err error) {
	for part := range slices.Chunk(p, piece) {
		if err := c.send(kindContent, part, flush); err != nil {
			return sent, err
		}
		sent += len(part)
	}
	return sent, nil
}

// sendValue writes a frame whose payload is a value.
func (c *conn) sendValue(k kind, v any, flush bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.encoded.Reset()
	if err := c.encode.Encode(v); err != nil {
		c.bad = err // what the encoder has sent of its types is not known any more
		return err
	}
	return c.write(k, c.encoded.Bytes(), flush)
}

// write writes a frame. The caller holds c.mu.
func (c *conn) write(k kind, payload []byte, flush bool) error {
	if c.bad != nil {
		return c.bad
	}
	var head [5]byte
	head[0] = byte(k)
	binary.BigEndian.PutUint32(head[1:], uint32(len(payload)))
	_, c.bad = c.out.Write(head[:])
	if c.bad == nil {
		_, c.bad = c.out.Write(payload)
	}
	if c.bad == nil && flush {
		c.bad = c.out.Flush()
	}
	return c.bad
}

// next reads the head of the next frame.
func (c *conn) next() (kind, int, error) {
	var head [5]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return 0, 0, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > mostPayload {
		return 0, 0, fmt.Errorf("peer: a frame %q of %d bytes, which are more than %d", head[0], n, mostPayload)
	}
	return kind(head[0]), int(n), nil
}

// readValue reads the payload of n bytes into v.
func (c *conn) readValue(n int, v any) error {
	c.payload.Reset()
	if _, err := io.CopyN(&c.payload, c.in, int64(n)); err != nil {
		return err
	}
	return c.values.Decode(v)
}

// hello is what two nodes tell each other first.
type hello struct {
	// Version is the newest version of the frames that the node speaks, and Oldest the oldest; zero means Version.
	Version, Oldest int
	Node            string
	Run             string
}

// errHello is the error of a peer that does not greet.
var errHello = errors.New("peer: no hello came first")

// greet exchanges hellos, and chooses the version of the connection. The node that connected speaks first.
func (c *conn) greet(own hello, speaks Versions, first bool, within time.Duration) (other hello, err error) {
	_ = c.SetDeadline(time.Now().Add(within))
	defer func() { _ = c.SetDeadline(time.Time{}) }()
	if speaks == (Versions{}) {
		speaks = Spoken
	}
	own.Version, own.Oldest = speaks.Newest, speaks.Oldest
	if first {
		err = c.sendValue(kindHello, own, true)
	}
	if err == nil {
		err = c.heed(&other)
	}
	if err == nil && !first {
		err = c.sendValue(kindHello, own, true)
	}
	if theirs := (Versions{Oldest: other.Oldest, Newest: other.Version}); err == nil && speaks.Common(theirs) == 0 {
		err = &VersionError{other.Node, speaks, theirs}
	} else {
		c.version = speaks.Common(theirs)
	}
	return other, err
}

// heed reads the hello of a peer.
func (c *conn) heed(other *hello) error {
	k, n, err := c.next()
	switch {
	case err != nil:
		return err
	case k != kindHello:
		return errHello
	}
	return c.readValue(n, other)
}
