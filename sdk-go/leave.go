package reversehttp

import (
	"encoding/binary"
	"net"
	"sync"
	"sync/atomic"
)

// A stopping gateway reports the WebSockets of its visitors. Their handlers should close them with
// 1001, so that visitors come back elsewhere; but a handler knows only its end of the connection.
// So it is given a Close frame as if its visitor had sent it: any implementation answers that with
// the same code (RFC 6455, 5.5.1) and closes the connection. It comes between two frames of the
// visitor.

// goingAway is a Close frame of a visitor with 1001, masked with zeros.
var goingAway = []byte{0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9}

// leaving is what the handler of a conn reads, and whether that ends by the frame above.
type leaving struct {
	to    net.Conn // what is written there the handler reads
	asked atomic.Bool

	passing sync.Mutex // guards what follows, and is held while something passes
	frames  socketFrames
	said    bool
}

// begin has the handler close the connection. It may wait until the handler has read what came before.
func (l *leaving) begin() {
	l.asked.Store(true)
	l.passing.Lock()
	defer l.passing.Unlock()
	l.say()
}

// pass passes what the visitor sent to the handler. It reports false if nothing more is to pass.
func (l *leaving) pass(b []byte) bool {
	l.passing.Lock()
	defer l.passing.Unlock()
	n := 0
	for n < len(b) && !l.said && !(l.asked.Load() && l.frames.between()) {
		n += l.frames.take(b[n:])
	}
	if _, err := l.to.Write(b[:n]); err != nil {
		return false // closed
	}
	l.say()
	return !l.said
}

// say ends what the handler reads by a Close frame, if it is to leave and no frame of the visitor is begun. The caller holds passing.
func (l *leaving) say() {
	if l.said || !l.asked.Load() || !l.frames.between() {
		return
	}
	l.said = true
	_, _ = l.to.Write(goingAway)
	_ = l.to.Close()
}

// socketFrames follows where the frames of a visitor begin (RFC 6455, 5.2).
type socketFrames struct {
	head []byte // of the one that begins, as far as it came
	left uint64 // of its payload
}

// between reports whether none is begun.
func (f *socketFrames) between() bool { return len(f.head) == 0 && f.left == 0 }

// take takes what comes up to the end of a frame, and returns how much that is.
func (f *socketFrames) take(b []byte) (n int) {
	for ; f.left == 0 && n < len(b); n++ {
		f.head = append(f.head, b[n])
		size, whole := f.size()
		if !whole {
			continue
		}
		f.head, f.left = f.head[:0], size
		if size == 0 {
			return n + 1
		}
	}
	more := min(f.left, uint64(len(b)-n))
	f.left -= more
	return n + int(more)
}

// size returns how long the payload is, and whether the head that says so is whole.
func (f *socketFrames) size() (size uint64, whole bool) {
	if len(f.head) < 2 {
		return 0, false
	}
	masked := int(f.head[1] >> 7 * 4)
	switch size = uint64(f.head[1] & 0x7f); {
	case size < 126:
		return size, len(f.head) == 2+masked
	case len(f.head) < 4+masked || size == 127 && len(f.head) < 10+masked:
		return 0, false
	case size == 126:
		return uint64(binary.BigEndian.Uint16(f.head[2:])), true
	}
	return binary.BigEndian.Uint64(f.head[2:]), true
}
