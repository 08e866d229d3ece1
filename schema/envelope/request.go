package envelope

import (
	"math"
	"strconv"

	"reversehttp/schema"
)

// Request is a request of a visitor as its message has it, but for its fields and content; or, with nothing but an ID, what a
// cancellation names. Target and URL are bytes. An empty member is absent where the schema allows that.
type Request struct {
	// Cursor names the message; empty in a batch, which has a cursor of its own.
	Cursor string
	// ID names the exchange.
	ID string
	// Attempt counts the deliveries, from 1.
	Attempt int
	// TimeoutMs is how long the gateway waits for the answer, in milliseconds.
	TimeoutMs int
	// Method is the request method.
	Method string
	// Target is the request target, in bytes, as the visitor sent it.
	Target string
	// URL is the target URI, in bytes.
	URL string
	// Base is the public URL of the claim, with a final slash.
	Base string
	// HTTPVersion is "1.0", "1.1" or "2.0".
	HTTPVersion string
	// RemoteAddr is address and port of the visitor.
	RemoteAddr string
	// Upgrade is what the visitor asks to upgrade to; empty is nothing.
	Upgrade string
	// ReplayOf is the exchange whose recorded request this repeats; empty is a visitor's own.
	ReplayOf string
	// ResponseURL is where the content of the response may go as it is.
	ResponseURL string
	// Exchanges is the URL of the session's exchanges, with a final slash. Whoever appends a request makes its ResponseURL of that
	// where it has none. It is empty in what was read.
	Exchanges string
	// BodyURL is where the content is, if it is not in the message.
	BodyURL string
	// Beside is content that stands beside the message: only in the framed form. Whoever reads the message reads it.
	Beside
}

// Field is a field, both halves in bytes.
type Field struct{ Name, Value string }

// AppendRequest appends r as JSON to b, with fields and with content. Content is left out where there is a BodyURL, and where it
// stands beside the message.
func AppendRequest[F ~struct{ Name, Value string }](b []byte, r *Request, fields []F, content []byte) []byte {
	b = appendRequest(b, r)
	b = append(b, `,"headers":[`...)
	for i := range fields {
		f := Field(fields[i])
		if i > 0 {
			b = append(b, ',')
		}
		b = AppendString(append(b, '['), f.Name)
		b = AppendCharacters(append(b, ','), f.Value)
		b = append(b, ']')
	}
	b = append(b, ']')
	switch {
	case r.BodyURL != "":
		b = append(b, `,"bodyUrl":`...)
		b = AppendString(b, r.BodyURL)
	case r.Follows:
		b = append(b, `,"contentLength":`...)
		b = strconv.AppendInt(b, r.ContentLength, 10)
	default:
		b = AppendContent(b, content)
	}
	return append(b, '}')
}

// appendRequest appends the members of r but for the end of the object.
func appendRequest(b []byte, r *Request) []byte {
	b = append(appendDelivery(b, r), `"type":"request","id":`...)
	b = AppendString(b, r.ID)
	b = append(b, `,"attempt":`...)
	b = strconv.AppendInt(b, int64(r.Attempt), 10)
	b = append(b, `,"timeoutMs":`...)
	b = strconv.AppendInt(b, int64(r.TimeoutMs), 10)
	b = append(b, `,"method":`...)
	b = AppendString(b, r.Method)
	b = append(b, `,"target":`...)
	b = AppendCharacters(b, r.Target)
	b = append(b, `,"url":`...)
	b = AppendCharacters(b, r.URL)
	b = append(b, `,"base":`...)
	b = AppendString(b, r.Base)
	b = append(b, `,"httpVersion":`...)
	b = AppendString(b, r.HTTPVersion)
	b = append(b, `,"remoteAddr":`...)
	b = AppendString(b, r.RemoteAddr)
	if r.Upgrade != "" {
		b = append(b, `,"upgrade":`...)
		b = AppendString(b, r.Upgrade)
	}
	if r.ReplayOf != "" {
		b = append(b, `,"replayOf":`...)
		b = AppendString(b, r.ReplayOf)
	}
	b = append(b, `,"responseUrl":`...)
	if r.ResponseURL != "" || r.Exchanges == "" {
		return AppendString(b, r.ResponseURL)
	}
	b = appendEscaped(append(b, '"'), r.Exchanges)
	b = appendEscaped(b, r.ID)
	return append(b, `/response"`...)
}

// AppendCancel appends the cancellation of the exchange that r names as JSON to b.
func AppendCancel(b []byte, r *Request, reason schema.CancelReason) []byte {
	b = append(appendDelivery(b, r), `"type":"cancel","id":`...)
	b = AppendString(b, r.ID)
	b = append(b, `,"reason":`...)
	b = AppendString(b, reason)
	return append(b, '}')
}

// appendDelivery begins a message.
func appendDelivery(b []byte, r *Request) []byte {
	b = append(b, '{')
	if r.Cursor != "" {
		b = AppendString(append(b, `"cursor":`...), r.Cursor)
		b = append(b, ',')
	}
	return b
}

// Message is a message of a gateway as a program reads it: a request or a cancellation. It is not checked but for its types.
// The zero value is an empty object.
type Message struct {
	// Type is as the gateway has it; it may be one of a schema to come.
	Type string
	Request
	// Fields are the fields in their order; nil where the message has no headers.
	Fields []Field
	// Content is the content, decoded; empty for none. It is the reader's own copy.
	Content []byte
	// Reason is that of a cancellation.
	Reason schema.CancelReason
	// Fault is the first value in the message that could not be read, nil for none. What could is set beside it.
	Fault *Fault
}

// Batch is the answer to a poll. The zero value is one without messages.
type Batch struct {
	// Cursor names the last message.
	Cursor string
	// Messages are oldest first.
	Messages []Message
}

// DecodeBatch reads the answer to a poll. No content is an empty batch. A message that cannot be read has a Fault, and the
// others are as they are without it. The error is a [*Fault] for content that is no batch.
func DecodeBatch(content []byte) (b Batch, err error) {
	if len(content) == 0 {
		return b, nil
	}
	r := newReader(content, false)
	defer r.done()
	switch r.peek() {
	case '{':
		err = r.members(func(name []byte) error { return b.member(r, string(name)) })
	case 'n':
		err = r.word("null")
	default:
		err = r.mistyped()
	}
	if err == nil {
		err = r.end()
	}
	if err == nil && r.place.fault != nil {
		err = r.place.fault
	}
	if err != nil {
		return Batch{}, err
	}
	return b, nil
}

// member reads a member of a batch.
func (b *Batch) member(r *reader, name string) error {
	switch name {
	case "cursor":
		return r.setString(&b.Cursor)
	case "messages":
		b.Messages = nil
		switch r.peek() {
		case '[':
		case 'n':
			return r.word("null")
		default:
			return r.mistyped()
		}
		before := r.place.fault
		err := r.elements(func(i int) error {
			b.Messages = append(b.Messages, Message{})
			return b.Messages[i].read(r)
		})
		r.place.fault, r.place.base = before, 0
		return err
	}
	return r.skip()
}

// DecodeMessage reads one message. One that cannot be read has a Fault; the error is a [*Fault] for content that is not JSON.
func DecodeMessage(content []byte) (m Message, err error) {
	r := newReader(content, false)
	defer r.done()
	if err = m.read(r); err == nil {
		err = r.end()
	}
	if err != nil {
		return Message{}, err
	}
	return m, nil
}

// read reads a message. null is an empty object.
func (m *Message) read(r *reader) error {
	r.place.fault, r.place.base = nil, len(r.place.path)
	var content body
	var err error
	switch r.peek() {
	case '{':
		err = r.members(func(name []byte) error { return m.member(r, &content, string(name)) })
	case 'n':
		err = r.word("null")
	default:
		r.place.blame(ErrMessage, len(r.place.path))
		err = r.skip()
	}
	if content.hasText {
		m.Content = content.text
	} else if m.Content = content.coded; content.bad && r.place.fault == nil {
		r.place.fault = &Fault{"/bodyBase64", ErrBase64}
	}
	m.Fault = r.place.fault
	return err
}

// member reads a member of a message.
func (m *Message) member(r *reader, content *body, name string) error {
	switch name {
	case "type":
		return r.setString(&m.Type)
	case "cursor":
		return r.setString(&m.Cursor)
	case "id":
		return r.setString(&m.ID)
	case "attempt":
		return r.setInt(&m.Attempt)
	case "timeoutMs":
		return r.setInt(&m.TimeoutMs)
	case "method":
		return r.setString(&m.Method)
	case "target":
		return r.setBytes(&m.Target)
	case "url":
		return r.setBytes(&m.URL)
	case "base":
		return r.setString(&m.Base)
	case "httpVersion":
		return r.setString(&m.HTTPVersion)
	case "remoteAddr":
		return r.setString(&m.RemoteAddr)
	case "upgrade":
		return r.setString(&m.Upgrade)
	case "replayOf":
		return r.setString(&m.ReplayOf)
	case "responseUrl":
		return r.setString(&m.ResponseURL)
	case "bodyUrl":
		return r.setString(&m.BodyURL)
	case "contentLength":
		return m.Beside.read(r)
	case "reason":
		return r.setString((*string)(&m.Reason))
	case "headers":
		m.Fields = nil
		begin := func() { m.Fields = make([]Field, 0, 8) }
		return r.fields(math.MaxInt, begin, func(name, value string) { m.Fields = append(m.Fields, Field{name, Bytes(value)}) })
	case "body":
		return content.readText(r)
	case "bodyBase64":
		return content.readCoded(r)
	}
	return r.skip()
}
