package envelope

import (
	"errors"
	"strconv"
	"strings"
)

// Faults of messages. Except for [ErrTooMany] they occur as the Err of a [Fault].
var (
	// ErrMalformed is malformed JSON, or JSON that is not UTF-8 if that is required.
	ErrMalformed = errors.New("the JSON is malformed")
	// ErrTwice is a duplicate member. The pointer of its fault ends with its name.
	ErrTwice = errors.New("the member is there twice")
	// ErrType is a value of the wrong type, or a number out of range.
	ErrType = errors.New("the value has the wrong type")
	// ErrMessage is a message that is not an object.
	ErrMessage = errors.New("a message is a JSON object")
	// ErrField is a field that is not a pair of strings.
	ErrField = errors.New("a field is a pair of strings")
	// ErrTooManyFields is a list of more fields than the reader accepts.
	ErrTooManyFields = errors.New("an answer has no more fields than a request may have")
	// ErrContentTwice is content both as body and as bodyBase64.
	ErrContentTwice = errors.New("content is given once: as body or as bodyBase64")
	// ErrBeside is a contentLength in a message that also has content or a bodyUrl.
	ErrBeside = errors.New("contentLength stands in place of body, bodyBase64 and bodyUrl")
	// ErrNotFramed is a contentLength in a message that is not in the framed form.
	ErrNotFramed = errors.New("contentLength belongs to the framed form: content is body or bodyBase64 here")
	// ErrBase64 is a bodyBase64 that is not base64.
	ErrBase64 = errors.New("content is base64 with padding and without line breaks (RFC 4648, 4)")
	// ErrTooMany is a list of more messages than the reader accepts.
	ErrTooMany = errors.New("too many messages")
)

// Fault is a fault in a message, or in the JSON around it, and its place.
type Fault struct {
	// Pointer is the faulty place as a JSON Pointer (RFC 6901), relative to the message, or to the
	// whole content if the fault concerns all of it. Empty means the whole. The pointer may be as
	// long as the names in the JSON.
	Pointer string
	// Err is one of the errors of this package.
	Err error
}

// Error returns the pointer and the text of Err.
func (f *Fault) Error() string {
	if f.Pointer == "" {
		return f.Err.Error()
	}
	return f.Pointer + ": " + f.Err.Error()
}

// Unwrap returns Err.
func (f *Fault) Unwrap() error { return f.Err }

// Bounds of JSON that programs send to a gateway. Since decoded JSON can be many times its size,
// JSON beyond them is refused before it is decoded. No legitimate message comes near them.
const (
	// MostDepth is how deep objects and lists may be nested.
	MostDepth = 16
	// MostMembers is how many members one object may have.
	MostMembers = 512
)

// Errors for JSON beyond these bounds.
var (
	// ErrDepth is JSON beyond [MostDepth].
	ErrDepth = errors.New("objects and lists are in each other more than " + strconv.Itoa(MostDepth) + " deep")
	// ErrMembers is JSON beyond [MostMembers].
	ErrMembers = errors.New("an object has more than " + strconv.Itoa(MostMembers) + " members")
)

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// pointer returns the place as a JSON Pointer, starting at a depth.
func (p *place) pointer(from int) string {
	var b strings.Builder
	for _, s := range p.path[from:] {
		switch {
		case !s.inside:
		case s.list:
			b.WriteString("/" + strconv.Itoa(s.index))
		default:
			b.WriteString("/" + pointerEscapes.Replace(strings.ToValidUTF8(string(s.name), "\ufffd")))
		}
	}
	return b.String()
}
