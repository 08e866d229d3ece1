package envelope

import (
	"math"
	"strconv"

	"reversehttp/schema"
)

// Request holds the members of a visitor's request, except for fields and content; for a
// cancellation it has only an ID. Target and URL are bytes. Empty members are left out of the
// message if the schema allows that.
type Request struct {
	// Cursor names the message. It is empty in a batch, which has a cursor of its own.
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
	// RemoteAddr is the address and port of the visitor.
	RemoteAddr string
	// Traceparent and Tracestate are the trace context of the exchange (W3C Trace Context). Empty
	// means none.
	Traceparent, Tracestate string
	// Upgrade is the protocol that the visitor asks to upgrade to. Empty means none.
	Upgrade string
	// ReplayOf is the exchange whose recorded request this repeats. It is empty for a visitor's own
	// request.
	ReplayOf string
	// ResponseURL is the URL to which the content of the response can be sent unencoded.
	ResponseURL string
	// Exchanges is the URL of the session's exchanges, with a final slash. AppendRequest derives
	// the ResponseURL from it if that is empty. Decoders leave it empty.
	Exchanges string
	// BodyURL is the URL of the content if that is not in the message.
	BodyURL string
	// Beside describes content beside the message, in the framed form only. The reader of the
	// message must read it.
	Beside
}

// Field is a field with its name and value in bytes.
type Field struct{ Name, Value string }

// AppendRequest appends r as JSON to b, with fields and content. It leaves out content if there is
// a BodyURL, or if the content stands beside the message.
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

// appendRequest appends the members of r without the end of the object.
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
	if r.Traceparent != "" {
		b = append(b, `,"trace":{"traceparent":`...)
		b = AppendString(b, r.Traceparent)
		if r.Tracestate != "" {
			b = append(b, `,"tracestate":`...)
			b = AppendString(b, r.Tracestate)
		}
		b = append(b, '}')
	}
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

// AppendCancel appends the cancellation of the exchange in r as JSON to b.
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

// Message is a message of a gateway as a program reads it: a request or a cancellation. Only the
// types of its members are checked. The zero value is an empty object.
type Message struct {
	// Type is the type that the gateway sent, which may be unknown.
	Type string
	Request
	// Fields are the fields in order. Nil means that the message has no headers.
	Fields []Field
	// Content is the decoded content, in a copy of its own. It is empty if there is none.
	Content []byte
	// Reason is the reason of a cancellation.
	Reason schema.CancelReason
	// Fault is the first fault in the message, or nil. Members that could be read are set
	// nevertheless.
	Fault *Fault
}

// Batch is the answer to a poll. The zero value has no messages.
type Batch struct {
	// Cursor names the last message.
	Cursor string
	// Messages are oldest first.
	Messages []Message
}

// DecodeBatch decodes the answer to a poll. Empty content is an empty batch. A message that cannot
// be read has a Fault, which does not affect the others. The error is a [*Fault] if content is not
// a batch.
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

// DecodeMessage decodes one message. A message that cannot be read has a Fault. The error is a
// [*Fault] if content is not JSON.
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

// read reads a message. null counts as an empty object.
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
	case "trace":
		return m.readTrace(r)
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

// readTrace reads a trace context.
func (m *Message) readTrace(r *reader) error {
	switch r.peek() {
	case '{':
		return r.members(func(name []byte) error {
			switch string(name) {
			case "traceparent":
				return r.setString(&m.Traceparent)
			case "tracestate":
				return r.setString(&m.Tracestate)
			}
			return r.skip()
		})
	case 'n':
		return r.word("null")
	}
	return r.mistyped()
}
