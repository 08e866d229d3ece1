package reversehttp

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Answers are encoded by hand: they are most of the bytes that a session writes, and their content is seldom worth a
// second look.

// What answersMessage adds to the messages, apart from a comma each.
const answersOverhead = len(`{"messages":[]}`)

// answersMessage is the content of a post.
func answersMessage(batch []*exchange) []byte {
	if len(batch) == 1 {
		return batch[0].answer
	}
	n := answersOverhead
	for _, x := range batch {
		n += len(x.answer) + 1
	}
	b := append(make([]byte, 0, n), `{"messages":[`...)
	for i, x := range batch {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, x.answer...)
	}
	return append(b, `]}`...)
}

// tail is what a message says after its content.
type tail struct {
	more     bool
	trailers []byte // pairs, as appendField makes them
}

// responseMessage encodes a response. The fields are JSON pairs with commas between them, as appendField makes them.
func responseMessage(id string, status int, fields, content []byte, t tail) []byte {
	b := make([]byte, 0, 112+len(id)+len(fields)+len(content)+len(content)/3+len(t.trailers))
	b = append(b, `{"type":"response","id":`...)
	b = appendString(b, id)
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, `,"headers":[`...)
	b = append(b, fields...)
	b = append(b, ']')
	return appendContent(b, content, t)
}

// interimMessage encodes an informational response.
func interimMessage(id string, status int, fields []byte) []byte {
	b := append([]byte(nil), `{"type":"interim","id":`...)
	b = appendString(b, id)
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, `,"headers":[`...)
	b = append(b, fields...)
	return append(b, `]}`...)
}

// partMessage encodes a part.
func partMessage(id string, seq int, content []byte, t tail) []byte {
	b := make([]byte, 0, 96+len(id)+len(content)+len(content)/3+len(t.trailers))
	b = append(b, `{"type":"part","id":`...)
	b = appendString(b, id)
	b = append(b, `,"seq":`...)
	b = strconv.AppendInt(b, int64(seq), 10)
	return appendContent(b, content, t)
}

// appendContent ends a message.
func appendContent(b, content []byte, t tail) []byte {
	switch {
	case len(content) == 0:
	case utf8.Valid(content) && !swells(content):
		b = append(b, `,"body":`...)
		b = appendString(b, content)
	default:
		b = append(b, `,"bodyBase64":"`...)
		b = base64.StdEncoding.AppendEncode(b, content)
		b = append(b, '"')
	}
	if t.more {
		b = append(b, `,"more":true`...)
	}
	if len(t.trailers) > 0 {
		b = append(b, `,"trailers":[`...)
		b = append(b, t.trailers...)
		b = append(b, ']')
	}
	return append(b, '}')
}

// swells reports whether content has so many control characters, six bytes each in JSON, that base64 is shorter.
func swells(content []byte) bool {
	more := 0
	for _, c := range content {
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' {
			more += len(`\u0000`) - 1
		}
	}
	return more > len(content)/3
}

// failureMessage is the answer in place of one that cannot be sent.
func failureMessage(id string) []byte {
	fields := appendField(nil, "Content-Type", "text/plain; charset=utf-8")
	fields = appendField(fields, "X-Content-Type-Options", "nosniff")
	return responseMessage(id, http.StatusInternalServerError, fields, []byte("Internal Server Error\n"), tail{})
}

func abortMessage(id, reason string) []byte {
	b := append([]byte(nil), `{"type":"abort","id":`...)
	b = appendString(b, id)
	b = append(b, `,"reason":`...)
	b = appendString(b, strings.ToValidUTF8(reason, "?"))
	return append(b, '}')
}

// appendField appends a pair, after a comma if it is not the first. Each byte of the value becomes the character of the
// same number.
func appendField(b []byte, name, value string) []byte {
	if len(b) > 0 {
		b = append(b, ',')
	}
	b = append(b, '[')
	b = appendString(b, name)
	b = append(b, ',')
	b = appendString(b, toLatin1(value))
	return append(b, ']')
}

const hex = "0123456789abcdef"

// appendString appends s, which is valid UTF-8, as a JSON string.
func appendString[S string | []byte](b []byte, s S) []byte {
	b = append(b, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	b = append(b, s[from:]...)
	return append(b, '"')
}

// toLatin1 gives every byte of s the character of its number.
func toLatin1(s string) string {
	if ascii(s) {
		return s
	}
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}

// fromLatin1 gives every character of s the byte of its number.
func fromLatin1(s string) string {
	if ascii(s) {
		return s
	}
	bytes := make([]byte, 0, len(s))
	for _, r := range s {
		bytes = append(bytes, byte(r))
	}
	return string(bytes)
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
