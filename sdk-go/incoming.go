package reversehttp

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"slices"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
)

const (
	// Most lines fit, and are decoded in place.
	lineBuffer = 32 << 10
	// The initial capacity for content, in bytes.
	contentRoom = 64 << 10
)

// incoming reads the messages of a stream: one a line, and in the framed form content beside it.
type incoming struct {
	r      *bufio.Reader
	framed bool
	most   int64    // content of one message
	long   []byte   // the beginning of a line that does not fit into the buffer
	held   *message // whose content has not arrived
}

func newIncoming(r io.Reader, framed bool, l schema.Limits) *incoming {
	return &incoming{r: bufio.NewReaderSize(r, lineBuffer), framed: framed, most: int64(max(l.FramedInlineBytes, l.InlineBytes))}
}

// next waits for a message, and returns it with those that have arrived whole behind it. There may be some where it
// fails, too. Its failure is io.EOF at the end of a message only.
func (i *incoming) next() (b batch, err error) {
	for {
		m := i.held
		if m == nil {
			if m, err = i.message(len(b.messages) > 0); m == nil || err != nil {
				return b, err
			}
		}
		i.held = nil
		if i.framed && m.Follows {
			if len(b.messages) > 0 && int64(i.r.Buffered()) <= m.ContentLength {
				i.held = m
				return b, nil
			}
			if err := i.content(m); err != nil {
				return b, err
			}
		}
		b.messages = append(b.messages, m)
		if m.Cursor != "" {
			b.cursor = m.Cursor
		}
	}
}

// message reads the line of the next message. It may return nil if it would have to wait.
func (i *incoming) message(here bool) (*message, error) {
	for {
		if here {
			arrived, _ := i.r.Peek(i.r.Buffered())
			if bytes.IndexByte(arrived, '\n') < 0 {
				return nil, nil
			}
		}
		line, err := i.line()
		if err != nil {
			return nil, err
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		m := new(message)
		if m.Message, err = envelope.DecodeMessage(line); err != nil {
			return nil, &Error{Code: codeUnexpected, Detail: err.Error()}
		}
		return m, nil
	}
}

// line returns the next line. It is good until the next call.
func (i *incoming) line() ([]byte, error) {
	most := answerMost
	if i.framed {
		most = envelope.MostLine
	}
	i.long = nil
	for {
		some, err := i.r.ReadSlice('\n')
		switch {
		case len(i.long)+len(some) > most:
			return nil, &Error{Code: codeUnexpected, Detail: fmt.Sprintf("a line is longer than %d bytes", most)}
		case err == bufio.ErrBufferFull:
			i.long = append(i.long, some...)
		case err == io.EOF && len(i.long)+len(some) > 0:
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		case i.long == nil:
			return some, nil
		default:
			i.long = append(i.long, some...)
			return i.long, nil
		}
	}
}

// content reads the content of m. Room for it is made as it comes: a gateway that says much and sends nothing takes no memory.
func (i *incoming) content(m *message) error {
	if m.ContentLength > i.most {
		return &Error{Code: codeUnexpected, Detail: fmt.Sprintf("a message has %d bytes of content, and limits.framedInlineBytes is %d", m.ContentLength, i.most)}
	}
	length := int(m.ContentLength)
	content := make([]byte, 0, min(length, contentRoom))
	for len(content) < length {
		content = slices.Grow(content, min(length-len(content), max(len(content), contentRoom)))
		n, err := io.ReadFull(i.r, content[len(content):min(cap(content), length)])
		if content = content[:len(content)+n]; err != nil {
			return cut(err)
		}
	}
	switch err := envelope.ReadEnd(i.r); err {
	case nil:
	case envelope.ErrFraming:
		return &Error{Code: codeUnexpected, Detail: err.Error()}
	default:
		return err
	}
	m.Content = content
	return nil
}

// cut returns the error of a stream that ends within a message.
func cut(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
