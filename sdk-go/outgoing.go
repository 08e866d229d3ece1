package reversehttp

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/coder/websocket"

	"reversehttp/schema/envelope"
)

// bulkMost is how much of what is large goes in one message, unless one piece is more: what is small waits for no more than that
// on the same line.
const bulkMost = 128 << 10

// outgoing is what waits to be sent on a link, encoded in the framed form. What is small goes before what is large; those of one
// exchange keep their order, for what is large there is sent after what is small. The zero value is ready; link.mu guards it.
type outgoing struct {
	small   []byte   // as much as one message has
	full    [][]byte // that before it
	bulk    []*piece
	writing bool
	spare   []byte
	current *piece // the piece whose message is being written, or nil
}

// room returns small with room for so many bytes.
func (o *outgoing) room(n int) []byte {
	if len(o.small)+n > linkMessage {
		o.full = append(o.full, o.small)
		o.small = nil
	}
	return o.small
}

// piece is a part, or the abort of an answer in parts, on a link; it is kept until it has its result, and then used again. Or it is
// a large answer.
type piece struct {
	message []byte    // encoded
	seq     int       // 0 for an abort
	size    int       // of the content
	since   time.Time // when it was brought
	content []byte    // within message, if it is needed to encode the message in another form
	last    bool
	sent    bool // it was written, or is about to be
	once    bool // nothing waits for its result
	kept    bool // its message may be being written still: it is not used again
}

var freePieces = sync.Pool{New: func() any { return new(piece) }}

// reset returns p, empty.
func (p *piece) reset() *piece {
	*p = piece{message: p.message[:0]}
	return p
}

// free lets others use p, unless somebody writes it.
func (p *piece) free() {
	if !p.kept {
		freePieces.Put(p.reset())
	}
}

// next returns the next message, or nothing if none waits. A large one is sent without a copy.
func (o *outgoing) next() []byte {
	var b []byte
	switch {
	case len(o.full) > 0:
		b, o.full = o.full[0], o.full[1:]
		return b
	case len(o.small) > 0:
		b, o.small, o.spare = o.small, o.spare[:0], nil
	case len(o.bulk) > 0:
		b = o.spare[:0]
	}
	for len(o.bulk) > 0 {
		p := o.bulk[0]
		large := len(p.message) > largeMessage
		if size := len(b) + len(p.message); len(b) > 0 && (large || size > bulkMost) {
			break
		}
		o.bulk[0], o.bulk = nil, o.bulk[1:]
		p.sent = true
		if large {
			o.current = p
			return p.message
		}
		if b = append(b, p.message...); p.once {
			p.free()
		}
	}
	return b
}

// rest takes back the room of a message that was sent.
func (o *outgoing) rest(b []byte) {
	p := o.current
	o.current = nil
	switch {
	case p == nil && cap(b) > 0 && cap(b) <= roomKept:
		o.spare = b[:0]
	case p != nil && p.once:
		p.free()
	}
}

// roomKept is how much room for small messages a link keeps, in bytes.
const roomKept = 64 << 10

// flush sends what waits, unless somebody does. The caller holds l.mu, and does not after it.
func (l *link) flush() {
	if l.outgoing.writing {
		l.mu.Unlock()
		return
	}
	l.outgoing.writing = true
	l.mu.Unlock()
	l.write()
}

// wake starts a goroutine that sends what waits, unless one is sending. It is for callers that must
// not wait. The caller holds l.mu.
func (l *link) wake() {
	if l.outgoing.writing {
		return
	}
	l.outgoing.writing = true
	l.session.links.Go(l.write)
}

// write sends until nothing waits. One goroutine at a time does.
func (l *link) write() {
	runtime.Gosched() // what others are about to bring goes in the same message
	var sent []byte
	for {
		l.mu.Lock()
		l.outgoing.rest(sent)
		b := l.outgoing.next()
		if len(b) == 0 {
			l.outgoing.writing = false
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		if err := l.conn.Write(context.Background(), websocket.MessageBinary, b); err != nil {
			l.close() // the reader notices
			return
		}
		sent = b
	}
}

// say sends a message with a cursor.
func (l *link) say(kind, cursor string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		return
	}
	b := append(l.outgoing.room(64+len(cursor)), `{"type":"`...)
	b = append(b, kind...)
	b = append(b, '"')
	if cursor != "" {
		b = envelope.AppendString(append(b, `,"cursor":`...), cursor)
	}
	l.outgoing.small = append(b, '}', '\n')
	l.wake()
}
