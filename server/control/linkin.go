package control

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/coder/websocket"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
	"reversehttp/server/answer"
	"reversehttp/server/claim"
	"reversehttp/server/intake"
	"reversehttp/server/problem"
)

// read reads messages until the connection ends, and returns why it ended; nil if the program
// closed it to continue in another way.
func (l *link) read() error {
	for {
		kind, in, err := l.conn.Reader(context.Background())
		if err == nil {
			err = l.message(kind, in)
		}
		if websocket.CloseStatus(err) == websocket.StatusNormalClosure {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// rooms is a pool of buffers for messages of the WebSocket while they are read and judged.
var rooms = sync.Pool{New: func() any {
	b := make([]byte, 0, roomBytes)
	return &b
}}

const roomBytes = 32 << 10

// message reads a message of the WebSocket and judges what is in it. It keeps nothing of the
// buffer.
func (l *link) message(kind websocket.MessageType, in io.Reader) error {
	room := rooms.Get().(*[]byte)
	now := int64(time.Since(l.epoch))
	l.heard.Store(now)
	l.came.Store(0)
	l.coming.Store(now)
	defer func() {
		l.hold.Shrink(cap(*room))
		if cap(*room) > mostMessage/2 {
			*room = make([]byte, 0, roomBytes) // few are that long
		}
		rooms.Put(room)
	}()
	l.hold.Add(cap(*room))
	content, err := l.readAll((*room)[:0], in)
	*room = content
	l.cutting.Lock()
	l.coming.Store(0)
	l.cutting.Unlock()
	if isTimeout(err) {
		return problem.New(schema.CodeTooSlow, "")
	}
	if err != nil {
		return err
	}
	if kind == websocket.MessageText {
		err = l.text(content)
	} else {
		err = l.binary(content)
	}
	l.send()
	if errors.Is(err, claim.ErrMoved) {
		l.fail(err)
		return err
	}
	if err != nil {
		return problem.Of(err)
	}
	return nil
}

// readAll reads a message to its end into b, which grows as it comes.
func (l *link) readAll(b []byte, in io.Reader) ([]byte, error) {
	for {
		if len(b) == cap(b) {
			before := cap(b)
			if !l.hold.Grow(before) { // it doubles
				return b, intake.Crowded()
			}
			b = append(b, 0)[:len(b)]
			l.hold.Add(cap(b) - 2*before)
		}
		n, err := in.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case err == io.EOF:
			return b, nil
		case err != nil:
			return b, err
		}
	}
}

// text judges a message in JSON.
func (l *link) text(content []byte) error {
	if !bytes.HasPrefix(bytes.TrimLeft(content, " \t\r\n"), []byte{'{'}) {
		return problem.New(schema.CodeBadJSON, "")
	}
	m := &l.incoming
	if err := m.DecodeLine(content, l.links.Answers.Bounds.Fields); err != nil {
		return err
	}
	if m.Follows {
		m.Refused = &answer.Fault{Pointer: "/contentLength", Detail: envelope.ErrNotFramed.Error()}
	}
	return l.judge(m, content)
}

// binary judges messages in the framed form.
func (l *link) binary(content []byte) error {
	for len(content) > 0 {
		line, rest, ended := bytes.Cut(content, lf)
		if !ended {
			return unframed(io.ErrUnexpectedEOF)
		}
		content = rest
		if line = bytes.TrimRight(line, " \t\r"); len(line) == 0 {
			continue
		}
		m := &l.incoming
		if err := m.DecodeLine(line, l.links.Answers.Bounds.Fields); err != nil {
			return err
		}
		if m.Follows {
			if int64(len(content)) <= m.ContentLength {
				return unframed(io.ErrUnexpectedEOF)
			}
			if content[m.ContentLength] != '\n' {
				return unframed(envelope.ErrFraming)
			}
			m.Content = bytes.Clone(content[:m.ContentLength])
			content = content[m.ContentLength+1:]
		}
		if err := l.judge(m, line); err != nil {
			return err
		}
	}
	return nil
}

var lf = []byte{'\n'}

// judge judges a message. It fails if the message ends the link.
func (l *link) judge(m *answer.Message, line []byte) error {
	switch m.Type {
	case schema.TypeAck, schema.TypePong:
		if m.Type == schema.TypePong {
			l.answered()
		}
		return l.acknowledge(line)
	case schema.TypeWatch:
		return l.watching.begin(l, line)
	case schema.TypeHello:
		return nil // the token was shown
	}
	streams := m.Type == schema.TypePart || m.Type == schema.TypeResponse && m.More
	lost := l.links.Answers.lostCookie(l.session.Claim(), m)
	l.lost = lost
	if streams {
		l.Expected(m.ID)
	}
	result, later, err := l.one(m)
	switch {
	case err != nil || later:
		return err
	}
	return l.tell(without(lost, result), streams)
}

// acknowledge handles the cursor of an ack or a pong.
func (l *link) acknowledge(line []byte) error {
	ack, err := envelope.DecodeSaid(line)
	if err != nil {
		return problem.BadJSON(err)
	}
	if ack.Cursor == nil {
		return nil
	}
	return l.feed.Acknowledge(*ack.Cursor)
}

// one judges an answer or a part of one. If later is true, its result will be confirmed later.
func (l *link) one(m *answer.Message) (result schema.Result, later bool, err error) {
	a := l.links.Answers
	response, part := m.Type == schema.TypeResponse, m.Type == schema.TypePart
	if m.ID == "" || !response && !part {
		result, err = a.one(context.Background(), l.session, m)
		return result, false, err
	}
	f := a.refused(m)
	var answered *claim.Answer
	var p claim.Part
	switch {
	case f != nil:
	case response:
		answered, f = m.Response()
	default:
		p, f = m.Part(mostMessage)
	}
	if f != nil {
		return numbered(invalid(m.ID, f), m), false, nil
	}
	var r claim.Result
	unconfirmed := 0 // the content of a whole answer is confirmed at once
	if part || m.More {
		unconfirmed = len(m.Content)
	}
	counted := l.count(unconfirmed)
	switch {
	case !counted:
		if r, err = l.session.Delivery(m.ID).Abort(); r == claim.Accepted {
			r = claim.Conflict
		}
	case response:
		r, later, err = l.feed.Answer(m.ID, answered, m.Fits, l.windows)
	default:
		r, later, err = l.feed.Part(m.ID, p, l.windows)
	}
	if counted && !later {
		l.count(-unconfirmed)
	}
	if f := faultOf(err); f != nil {
		return numbered(invalid(m.ID, f), m), false, nil
	}
	return numbered(schema.Result{ID: m.ID, Status: schema.ResultStatus(r)}, m), later, err
}

// numbered adds the number of a part to its result.
func numbered(r schema.Result, m *answer.Message) schema.Result {
	if m.Type == schema.TypePart {
		r.Seq = m.Seq
	}
	return r
}
