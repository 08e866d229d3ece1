package reversehttp

import (
	"bytes"
	"context"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/coder/websocket"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
)

const (
	// A message that comes so long after the last acknowledgement, or after so many bytes of content, has one sent.
	ackAfter = time.Second
	ackBytes = 64 << 10
	// How large a room for a message may be and still be used again, in bytes: most content that comes inline fits.
	roomMost = 192 << 10
)

// rooms are for messages while they are taken, or sent.
var rooms = sync.Pool{New: func() any {
	b := make([]byte, 0, socketIn)
	return &b
}}

// release lets others use a room, which was grown to b.
func release(room *[]byte, b []byte) {
	if cap(b) <= roomMost {
		*room = b
	}
	rooms.Put(room)
}

// incomer takes what comes on a link. It belongs to the goroutine that reads.
type incomer struct {
	link    *link
	batch   batch
	results []schema.Result
	acked   time.Time // the last acknowledgement
	shown   string    // its cursor
	unshown int       // bytes of content since
	refused error     // what the gateway says before it closes
}

// receive begins what comes, until the link ends. The error is why.
func (i *incomer) receive() error {
	for {
		kind, r, err := i.link.conn.Reader(context.Background())
		if err == nil {
			err = i.message(r, kind == websocket.MessageBinary)
		}
		if err != nil {
			return err
		}
	}
}

// message reads a message, and takes what is in it.
func (i *incomer) message(r io.Reader, framed bool) error {
	room := rooms.Get().(*[]byte)
	in, err := readMessage((*room)[:0], r)
	defer release(room, in)
	if err != nil {
		return err
	}
	return i.take(in, framed)
}

// readMessage appends what r has to b.
func readMessage(b []byte, r io.Reader) ([]byte, error) {
	for {
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case err == io.EOF:
			return b, nil
		case err != nil:
			return b, err
		case len(b) == cap(b):
			b = slices.Grow(b, len(b))
		}
	}
}

// take takes the messages in rest, which are framed, or one of JSON. Nothing of it is kept but what was copied.
func (i *incomer) take(rest []byte, framed bool) error {
	i.batch.cursor, i.batch.messages = "", i.batch.messages[:0]
	pinged := false
	for len(rest) > 0 {
		line := rest
		rest = nil
		if framed {
			end := bytes.IndexByte(line, '\n')
			if end < 0 {
				return &Error{Code: codeUnexpected, Detail: "a message of a link has no end"}
			}
			line, rest = line[:end], line[end+1:]
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if bytes.HasPrefix(line, resultsBegin) {
			if err := i.judged(line); err != nil {
				return err
			}
			continue
		}
		m := new(message)
		var err error
		if m.Message, err = envelope.DecodeMessage(line); err != nil {
			return &Error{Code: codeUnexpected, Detail: err.Error()}
		}
		if framed && m.Follows {
			n := m.ContentLength
			if n >= int64(len(rest)) || rest[n] != '\n' {
				return &Error{Code: codeUnexpected, Detail: "the content of a message of a link is cut"}
			}
			m.Content, rest = bytes.Clone(rest[:n]), rest[n+1:]
		}
		switch m.Type {
		case schema.TypeRequest, schema.TypeCancel:
			i.batch.messages = append(i.batch.messages, m)
			i.unshown += len(m.Content)
		case schema.TypeLinkResults:
			if err := i.judged(line); err != nil {
				return err
			}
		case typePing:
			pinged = true
		case schema.TypeLinkError:
			i.refused = problemOf(line)
		}
		if m.Cursor != "" {
			i.batch.cursor = m.Cursor
		}
	}
	err := i.begin()
	i.acknowledge(pinged)
	return err
}

// What messages of results begin with, as gateways write them.
var resultsBegin = []byte(`{"type":"results",`)

const typePing = "ping"

// begin begins what came. A session that drains leaves the link then.
func (i *incomer) begin() error {
	if i.batch.cursor == "" && len(i.batch.messages) == 0 {
		return nil
	}
	i.link.mu.Lock()
	i.link.useful = true
	i.link.mu.Unlock()
	if !i.start() {
		return i.leave()
	}
	clear(i.batch.messages) // or what is done would stay until as many come
	return nil
}

// start begins a message. It reports false if the session begins no more messages.
func (i *incomer) start() bool {
	s := i.link.session
	s.starting.Lock()
	defer s.starting.Unlock()
	if i.link.at.ctx.Err() != nil {
		return false
	}
	s.poller.begin(i.link.at, i.batch)
	return true
}

// leave passes on the cancellations for a draining session, and ends the link if there are requests: the
// gateway would otherwise send further ones here while the link lasts, and nobody would begin them.
func (i *incomer) leave() error {
	var err error
	for _, m := range i.batch.messages {
		switch m.Type {
		case schema.TypeCancel:
			i.link.session.exchanges.cancel(m.ID, m.Reason)
		case schema.TypeRequest:
			err = errLinkLeft
		}
	}
	if err != nil {
		_ = i.link.conn.Close(websocket.StatusNormalClosure, "")
	}
	return err
}

// acknowledge says what has begun: when it was asked for a sign of life, and now and then.
func (i *incomer) acknowledge(pinged bool) {
	cursor := i.link.at.cursor.get()
	if pinged {
		i.link.say(schema.TypePong, cursor)
	} else if cursor != i.shown && (i.unshown >= ackBytes || time.Since(i.acked) >= ackAfter) {
		i.link.say(schema.TypeAck, cursor)
	} else {
		return
	}
	i.acked, i.shown, i.unshown = time.Now(), cursor, 0
}

// judged takes note of the results in a message.
func (i *incomer) judged(line []byte) error {
	var err error
	if i.results, err = envelope.ReadResults(i.results, line); err != nil {
		return &Error{Code: codeUnexpected, Detail: err.Error()}
	}
	for n := range i.results {
		i.link.confirm(&i.results[n])
	}
	clear(i.results)
	return nil
}
