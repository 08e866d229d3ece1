package envelope

import (
	"bytes"
	"strconv"
	"strings"

	"reversehttp/schema"
)

// Answer is a message of a program as a gateway reads it: a response, a part, an interim response
// or an abort. Only the types of its members are checked, and it may have members that its type
// does not use. The zero value is an empty object.
type Answer struct {
	// Type is the type that the program sent, which may be unknown.
	Type string
	// ID names the exchange. It is empty if the message names none.
	ID string
	// Status is the status code, or 0 if there is none.
	Status int
	// Headers are the fields in order. Values are strings of characters, valid only if none is
	// above U+00FF.
	Headers []schema.Field
	// Content is the decoded content, in a copy of its own.
	Content []byte
	// Beside describes the content beside the message, in the framed form. It is also set if the
	// message has a Fault.
	Beside
	// Member is the member with the content or the fault in it: body, bodyBase64, contentLength, or
	// empty for none.
	Member string
	// ContentErr is ErrContentTwice, ErrBase64, ErrBeside or ErrNotFramed if the content is
	// invalid, and nil otherwise.
	ContentErr error
	// More reports whether content follows.
	More bool
	// Trailers are the fields after the content, in the form of Headers.
	Trailers []schema.Field
	// Seq counts the parts of an answer, from 1. It is 0 if there is none.
	Seq int
	// Reason is the reason of an abort.
	Reason string
	// Fault is why the message could not be read, or nil if it could. With a Fault only ID is set.
	Fault *Fault
}

// DecodeAnswers decodes the content of a POST to the responses URL: either a single message, or an
// object whose member messages has at most most messages, possibly none. Each may have up to fields
// fields, and as many trailers. A message that cannot be read has a Fault, which does not affect
// the others.
//
// The error is [ErrDepth], [ErrMembers], [ErrTooMany], or a [*Fault] for content that is not such
// JSON: [ErrMalformed], [ErrTwice] or [ErrType]. Content beyond a bound is not decoded.
func DecodeAnswers(content []byte, most, fields int) ([]Answer, error) {
	if err := CheckShape(content); err != nil {
		return nil, err
	}
	r := newReader(content, true)
	defer r.done()
	d := answers{reader: r, fields: fields}
	alone, several := make([]Answer, 1), []Answer(nil)
	switch r.peek() {
	case '{':
		listed := false
		err := d.answer(&alone[0], func() (err error) {
			switch r.peek() {
			case '[':
				listed = true
				several, err = d.list(most)
				return err
			case 'n':
				return r.word("null")
			}
			return d.wrong()
		})
		if err == nil {
			err = r.end()
		}
		if err != nil {
			return nil, err
		}
		if listed {
			return several, nil
		}
	case 'n':
		if err := r.word("null"); err != nil {
			return nil, err
		}
		alone[0].Fault = &Fault{Err: ErrMessage}
		if err := r.end(); err != nil {
			return nil, err
		}
	default:
		return nil, d.wrong()
	}
	return alone, nil
}

// answers reads messages of programs, each with a bounded number of fields.
type answers struct {
	reader *reader
	fields int
	framed bool // contentLength is a member of the message
	// headers and trailers are empty lists for fields, to be reused. Nil means new ones.
	headers, trailers []schema.Field
}

// wrong returns the fault for a value of the wrong type, which ends the reader, or for malformed
// JSON.
func (d answers) wrong() error {
	r := d.reader
	if c := r.peek(); c != '{' && c != '[' {
		if err := r.skip(); err != nil {
			return err
		}
	}
	return r.malformed(ErrType)
}

// list reads a list of at most most messages.
func (d answers) list(most int) (list []Answer, err error) {
	r := d.reader
	before, base := r.place.fault, r.place.base
	err = r.elements(func(i int) error {
		if i >= most {
			return ErrTooMany
		}
		list = append(list, Answer{})
		a := &list[i]
		r.place.fault, r.place.base = nil, len(r.place.path)
		if r.peek() != '{' {
			a.Fault = &Fault{Err: ErrMessage}
			return r.skip()
		}
		return d.answer(a, r.skip)
	})
	r.place.fault, r.place.base = before, base
	return list, err
}

// answer reads a message. It calls messages to read the member messages.
func (d answers) answer(a *Answer, messages func() error) error {
	r := d.reader
	var content body
	err := r.members(func(name []byte) error {
		switch string(name) {
		case "type":
			return r.setString(&a.Type)
		case "id":
			return r.setString(&a.ID)
		case "status":
			return r.setInt(&a.Status)
		case "headers":
			return d.pairs(&a.Headers, d.headers)
		case "body":
			return content.readText(r)
		case "bodyBase64":
			return content.readCoded(r)
		case "contentLength":
			if !d.framed {
				content.misplaced = r.peek() != 'n'
				return r.skip()
			}
			return content.beside.read(r)
		case "bodyUrl":
			content.elsewhere = r.peek() != 'n'
			return r.skip()
		case "more":
			return r.setBool(&a.More)
		case "trailers":
			return d.pairs(&a.Trailers, d.trailers)
		case "seq":
			return r.setInt(&a.Seq)
		case "reason":
			return r.setString(&a.Reason)
		case "messages":
			return messages()
		}
		return r.skip()
	})
	if r.place.fault != nil {
		*a = Answer{ID: a.ID, Fault: r.place.fault}
	} else {
		a.Content, a.Member, a.ContentErr = content.content()
	}
	a.Beside = content.beside
	return err
}

// pairs reads a list of fields into dst, using room if it is not nil.
func (d answers) pairs(dst *[]schema.Field, room []schema.Field) error {
	begin := func() {
		if *dst = room; room == nil {
			*dst = make([]schema.Field, 0, max(min(d.fields, 4), 0))
		}
	}
	return d.reader.fields(d.fields, begin, func(name, value string) { *dst = append(*dst, schema.Field{name, value}) })
}

// Pairs are encoded fields: JSON pairs with commas between them. Nil has none.
type Pairs []byte

// Append returns p with a field appended. The value may be any bytes.
func (p Pairs) Append(name, value string) Pairs {
	if p == nil {
		p = make(Pairs, 0, 128)
	}
	if len(p) > 0 {
		p = append(p, ',')
	}
	p = AppendString(append(p, '['), name)
	p = AppendCharacters(append(p, ','), value)
	return append(p, ']')
}

// Tail is what follows the content in a response or a part. The zero value means that nothing
// follows.
type Tail struct {
	// More reports whether content follows.
	More bool
	// Trailers are the fields after the content. Only the last part or a whole answer can have
	// them.
	Trailers Pairs
}

// The most bytes that the names and numbers of a message take.
const memberBytes = 128

type jsonAnswers struct{}

func (jsonAnswers) Media() string { return "application/json" }

func (jsonAnswers) Response(id string, status int, fields Pairs, content []byte, t Tail) []byte {
	text, size := measure(content)
	b := make([]byte, 0, memberBytes+len(id)+len(fields)+size+len(t.Trailers))
	b = appendFields(appendHead(b, schema.TypeResponse, id, "status", status), fields)
	return append(appendTail(appendContent(b, content, text), t), '}')
}

func (jsonAnswers) Part(id string, seq int, content []byte, t Tail) []byte {
	text, size := measure(content)
	b := make([]byte, 0, memberBytes+len(id)+size+len(t.Trailers))
	b = appendHead(b, schema.TypePart, id, "seq", seq)
	return append(appendTail(appendContent(b, content, text), t), '}')
}

func (jsonAnswers) Interim(id string, status int, fields Pairs) []byte {
	b := make([]byte, 0, memberBytes+len(id)+len(fields))
	return append(appendFields(appendHead(b, schema.TypeInterim, id, "status", status), fields), '}')
}

func (jsonAnswers) Abort(id, reason string) []byte {
	return append(appendAbort(make([]byte, 0, memberBytes+len(id)+len(reason)), id, reason), '}')
}

func (jsonAnswers) Join(messages [][]byte) []byte {
	if len(messages) == 1 {
		return messages[0]
	}
	n := AnswersOverhead
	for _, m := range messages {
		n += len(m) + 1
	}
	b := append(make([]byte, 0, n), `{"messages":[`...)
	for i, m := range messages {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, m...)
	}
	return append(b, `]}`...)
}

type framedAnswers struct{}

func (framedAnswers) Media() string { return MediaFramed }

func (framedAnswers) Response(id string, status int, fields Pairs, content []byte, t Tail) []byte {
	b := make([]byte, 0, memberBytes+len(id)+len(fields)+len(content)+len(t.Trailers))
	return AppendResponse(b, id, status, fields, content, t)
}

// AppendResponse appends a response in the form of [FramedAnswers] to b.
func AppendResponse(b []byte, id string, status int, fields Pairs, content []byte, t Tail) []byte {
	b = appendFields(appendHead(b, schema.TypeResponse, id, "status", status), fields)
	return appendBeside(appendTail(b, t), content)
}

func (framedAnswers) Part(id string, seq int, content []byte, t Tail) []byte {
	b := make([]byte, 0, memberBytes+len(id)+len(content)+len(t.Trailers))
	return AppendPart(b, id, seq, content, t)
}

// AppendPart appends a part in the form of [FramedAnswers] to b. seq counts from 1.
func AppendPart(b []byte, id string, seq int, content []byte, t Tail) []byte {
	return appendBeside(appendTail(appendHead(b, schema.TypePart, id, "seq", seq), t), content)
}

func (framedAnswers) Interim(id string, status int, fields Pairs) []byte {
	return append(jsonAnswers{}.Interim(id, status, fields), '\n')
}

func (framedAnswers) Abort(id, reason string) []byte {
	return append(jsonAnswers{}.Abort(id, reason), '\n')
}

func (framedAnswers) Join(messages [][]byte) []byte {
	if len(messages) == 1 {
		return messages[0]
	}
	return bytes.Join(messages, nil)
}

// WithBeside returns a message of [FramedAnswers] without content as one with length bytes of
// content beside it. The caller must write the content, which must not be empty, and LF after the
// message.
func WithBeside(message []byte, length int64) []byte {
	b := append(message[:len(message)-len("}\n")], `,"contentLength":`...)
	return append(strconv.AppendInt(b, length, 10), '}', '\n')
}

// appendBeside ends a message and appends its content beside it.
func appendBeside(b, content []byte) []byte {
	if len(content) == 0 {
		return append(b, '}', '\n')
	}
	b = WithBeside(append(b, '}', '\n'), int64(len(content)))
	return append(append(b, content...), '\n')
}

func appendFields(b []byte, fields Pairs) []byte {
	b = append(b, `,"headers":[`...)
	b = append(b, fields...)
	return append(b, ']')
}

func appendAbort(b []byte, id, reason string) []byte {
	b = append(b, `{"type":"abort","id":`...)
	b = AppendString(b, id)
	b = append(b, `,"reason":`...)
	return AppendString(b, strings.ToValidUTF8(reason, "?"))
}

func appendHead(b []byte, kind, id, name string, number int) []byte {
	b = append(b, `{"type":"`...)
	b = append(b, kind...)
	b = append(b, `","id":`...)
	b = AppendString(b, id)
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	return strconv.AppendInt(b, int64(number), 10)
}

func appendTail(b []byte, t Tail) []byte {
	if t.More {
		b = append(b, `,"more":true`...)
	}
	if len(t.Trailers) > 0 {
		b = append(b, `,"trailers":[`...)
		b = append(b, t.Trailers...)
		b = append(b, ']')
	}
	return b
}

// AnswersOverhead is the most bytes that JSON adds to several messages, apart from one for each
// message.
const AnswersOverhead = len(`{"messages":[]}`)
