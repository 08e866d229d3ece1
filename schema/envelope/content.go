package envelope

import (
	"bytes"
	"encoding/base64"
	"unicode/utf8"
)

// AppendContent appends a comma and the member that carries content to b: body if content is valid
// UTF-8, otherwise bodyBase64. It appends nothing if content is empty.
func AppendContent(b, content []byte) []byte {
	if len(content) == 0 {
		return b
	}
	return appendContent(b, content, utf8.Valid(content))
}

func appendContent(b, content []byte, text bool) []byte {
	switch {
	case len(content) == 0:
		return b
	case text:
		return appendQuoted(append(b, `,"body":`...), content)
	}
	b = append(b, `,"bodyBase64":"`...)
	b = base64.StdEncoding.AppendEncode(b, content)
	return append(b, '"')
}

// measure reports whether content is sent as text, and how many bytes appendContent appends. Content is sent
// in base64 if it has so many control characters, each six bytes in JSON, that base64 is shorter.
func measure(content []byte) (text bool, size int) {
	if len(content) == 0 {
		return true, 0
	}
	if utf8.Valid(content) {
		added := 0
		for _, c := range content {
			added += int(escaped[c])
		}
		if added <= len(content)/3 || !swells(content) {
			return true, len(`,"body":""`) + len(content) + added
		}
	}
	return false, len(`,"bodyBase64":""`) + base64.StdEncoding.EncodedLen(len(content))
}

// swells reports whether content has so many control characters, most of which take six bytes, that
// base64 is shorter. It ignores line breaks and tabs.
func swells(content []byte) bool {
	more := 0
	for _, c := range content {
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' {
			more += int(escaped[c])
		}
	}
	return more > len(content)/3
}

// body collects the content of a message while it is read.
type body struct {
	text, coded []byte
	hasText     bool
	hasCoded    bool
	bad         bool // coded is not base64
	beside      Beside
	misplaced   bool // a contentLength occurred outside the framed form
	elsewhere   bool // a bodyUrl occurred
}

// content returns the content, the member that has it, and an error if it is invalid.
func (b *body) content() (content []byte, member string, err error) {
	switch {
	case b.misplaced:
		return nil, "contentLength", ErrNotFramed
	case b.beside.Follows && (b.hasText || b.hasCoded || b.elsewhere):
		return nil, "contentLength", ErrBeside
	case b.beside.Follows:
		return nil, "contentLength", nil
	case b.hasText && b.hasCoded:
		return b.text, "bodyBase64", ErrContentTwice
	case b.hasText:
		return b.text, "body", nil
	case b.bad:
		return nil, "bodyBase64", ErrBase64
	case b.hasCoded:
		return b.coded, "bodyBase64", nil
	}
	return nil, "", nil
}

// readText reads the member body.
func (b *body) readText(r *reader) error {
	raw, escaped, ok, err := r.string()
	b.hasText, b.text = ok, nil
	if ok {
		b.text = appendText(make([]byte, 0, len(raw)), raw, escaped, r.strict)
	}
	return err
}

// readCoded reads the member bodyBase64.
func (b *body) readCoded(r *reader) error {
	raw, escaped, ok, err := r.string()
	if err != nil {
		return err
	}
	b.hasCoded, b.coded, b.bad = ok, nil, false
	if !ok {
		return nil
	}
	if escaped {
		raw = appendText(nil, raw, true, r.strict)
	}
	coding := base64.StdEncoding
	if r.strict {
		coding = coding.Strict()
		b.bad = escaped && bytes.ContainsAny(raw, "\r\n")
	}
	b.coded = make([]byte, coding.DecodedLen(len(raw)))
	n, err := coding.Decode(b.coded, raw)
	b.coded, b.bad = b.coded[:n], b.bad || err != nil
	return nil
}
