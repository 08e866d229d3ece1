package envelope

import (
	"bytes"
	"strconv"
	"strings"

	"reversehttp/schema"
)

// Answer is a message of a program as a gateway reads it: a response, a part, an interim response or an abort. It is not
// checked but for its types; members that it does not need may be there. The zero value is an empty object.
type Answer struct {
	// Type is as the program has it; it may be none of the schema.
	Type string
	// ID names the exchange; empty where the message names none.
	ID string
	// Status is the status code; 0 where there is none.
	Status int
	// Headers are the fields in their order. A value is a string of characters: it is the field's if none is above U+00FF.
	Headers []schema.Field
	// Content is the content, decoded. It is the reader's own copy.
	Content []byte
	// Beside is the content beside the message, in the framed form; also of one with a Fault.
	Beside
	// Member is the member that the content, or what is wrong with it, is in: body, bodyBase64, contentLength, or empty for none.
	Member string
	// ContentErr is ErrContentTwice, ErrBase64, ErrBeside or ErrNotFramed where the content is invalid, nil otherwise.
	ContentErr error
	// More says that content follows.
	More bool
	// Trailers are the fields after the content, as Headers are.
	Trailers []schema.Field
	// Seq counts the parts of an answer, from 1; 0 where there is none.
	Seq int
	// Reason is that of an abort.
	Reason string
	// Fault is why the message could not be read; only ID is set beside it. nil where it could.
	Fault *Fault
}

// DecodeAnswers reads the content of a POST to the responses URL: the messages of its member messages, of which there may be
// most, or one that is the content itself. Each may have so many fields, and as many trailers. A message that cannot be read
// has a Fault, and the others are as they are without it; there may be none at all.
//
// The error is [ErrDepth], [ErrMembers], [ErrTooMany], or a [*Fault] for content that is not such JSON: [ErrMalformed],
// [ErrTwice] or [ErrType]. What is beyond a bound is not decoded.
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

// answers are messages of programs as they are read, which have so many fields at most.
type answers struct {
	reader *reader
	fields int
	framed bool // contentLength is a member of the message
	// headers and trailers are empty lists to read fields into; nil where there are none.
	headers, trailers []schema.Field
}

// wrong returns the fault of a value of the wrong type, which ends the reader, or of what is not the beginning of one.
func (d answers) wrong() error {
	r := d.reader
	if c := r.peek(); c != '{' && c != '[' {
		if err := r.skip(); err != nil {
			return err
		}
	}
	return r.malformed(ErrType)
}

// list reads a list of messages, of which there may be most.
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

// answer reads a message, whose member messages is read by messages.
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

// pairs reads a list of fields into dst, with room for some.
func (d answers) pairs(dst *[]schema.Field, room []schema.Field) error {
	begin := func() {
		if *dst = room; room == nil {
			*dst = make([]schema.Field, 0, max(min(d.fields, 4), 0))
		}
	}
	return d.reader.fields(d.fields, begin, func(name, value string) { *dst = append(*dst, schema.Field{name, value}) })
}

// Pairs are fields as they stand in a message: JSON pairs with commas between them. nil is none.
type Pairs []byte

// Append returns p with a field at its end. The value is any bytes.
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

// Tail is what a response or a part says after its content. The zero value says that nothing follows.
type Tail struct {
	// More says that content follows.
	More bool
	// Trailers are the fields after the content; only of the last part, or of a whole answer.
	Trailers Pairs
}

// How long the names and numbers of a message are, at most.
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

// WithBeside returns a message of [FramedAnswers] that has no content as one beside which so much stands: the content, which is not
// empty, and LF are to follow.
func WithBeside(message []byte, length int64) []byte {
	b := append(message[:len(message)-len("}\n")], `,"contentLength":`...)
	return append(strconv.AppendInt(b, length, 10), '}', '\n')
}

// appendBeside ends a message whose content stands beside it, and appends that.
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

// AnswersOverhead is how many bytes JSON adds to several messages, apart from one more for each, at most.
const AnswersOverhead = len(`{"messages":[]}`)
