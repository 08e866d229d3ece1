package envelope

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// appendText appends the text of a string, with escapes decoded and invalid UTF-8 replaced by
// U+FFFD.
func appendText(b, raw []byte, escaped, strict bool) []byte {
	if !strict && !utf8.Valid(raw) {
		raw = validText(raw)
	}
	if !escaped {
		return append(b, raw...)
	}
	for {
		i := bytes.IndexByte(raw, '\\')
		if i < 0 {
			return append(b, raw...)
		}
		b = append(b, raw[:i]...)
		raw = raw[i:]
		n := 2
		switch c := raw[1]; c {
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'u':
			n = 6
			u := hex4(raw)
			if utf16.IsSurrogate(u) {
				low := rune(-1)
				if len(raw) >= 8 && raw[6] == '\\' && raw[7] == 'u' {
					low = hex4(raw[6:])
				}
				if u = utf16.DecodeRune(u, low); u != utf8.RuneError {
					n = 12
				}
			}
			b = utf8.AppendRune(b, u)
		default:
			b = append(b, c)
		}
		raw = raw[n:]
	}
}

// validText returns raw with each byte of invalid UTF-8 replaced by U+FFFD, like encoding/json.
func validText(raw []byte) []byte {
	b := make([]byte, 0, len(raw)+16)
	for len(raw) > 0 {
		c, n := utf8.DecodeRune(raw)
		b = utf8.AppendRune(b, c)
		raw = raw[n:]
	}
	return b
}

// string reads a string and returns what is between its quotes. ok is false for null, and for any
// other value, which it blames.
func (r *reader) string() (raw []byte, escaped, ok bool, err error) {
	switch r.peek() {
	case '"':
		raw, escaped, err = r.text()
		return raw, escaped, err == nil, err
	case 'n':
		return nil, false, false, r.word("null")
	}
	return nil, false, false, r.mistyped()
}

// The bytes allocated at a time for short strings.
const shortChunk = 512

// shortStrings are strings that share allocations.
type shortStrings struct{ strings.Builder }

// keep returns a copy of b as a string. Short strings share an allocation; more is how many bytes
// may still come.
func (s *shortStrings) keep(b []byte, more int) string {
	switch {
	case len(b) == 0:
		return ""
	case len(b) > shortChunk/4:
		return string(b)
	case s.Cap()-s.Len() < len(b):
		s.Reset() // earlier strings stay valid
		s.Grow(min(max(more, len(b)), shortChunk))
	}
	from := s.Len()
	s.Write(b)
	return s.String()[from:]
}

// setString reads a string into dst. null leaves dst unchanged.
func (r *reader) setString(dst *string) error {
	raw, escaped, ok, err := r.string()
	if !ok {
		return err
	}
	if escaped || !r.strict && !utf8.Valid(raw) {
		r.plain = appendText(r.plain[:0], raw, escaped, r.strict)
		raw = r.plain
	}
	*dst = r.short.keep(raw, len(r.in)-r.at)
	return nil
}

// setBytes reads a string of characters into dst as bytes (see [Bytes]). null leaves dst unchanged.
func (r *reader) setBytes(dst *string) error {
	if err := r.setString(dst); err != nil {
		return err
	}
	*dst = Bytes(*dst)
	return nil
}

// setInt reads an integer into dst. null leaves dst unchanged.
func (r *reader) setInt(dst *int) error {
	c := r.peek()
	switch {
	case c == 'n':
		return r.word("null")
	case c != '-' && (c < '0' || c > '9'):
		return r.mistyped()
	}
	digits, err := r.number()
	if err != nil {
		return err
	}
	if n, err := strconv.Atoi(string(digits)); err == nil {
		*dst = n
	} else {
		r.place.blame(ErrType, len(r.place.path))
	}
	return nil
}

// setBool reads true or false into dst. null leaves dst unchanged.
func (r *reader) setBool(dst *bool) (err error) {
	switch r.peek() {
	case 't':
		*dst, err = true, r.word("true")
	case 'f':
		*dst, err = false, r.word("false")
	case 'n':
		err = r.word("null")
	default:
		err = r.mistyped()
	}
	return err
}

// fields reads a list of at most most fields. It calls begin once, and take for each field. null counts as no
// list.
func (r *reader) fields(most int, begin func(), take func(name, value string)) error {
	switch r.peek() {
	case '[':
	case 'n':
		return r.word("null")
	default:
		return r.mistyped()
	}
	begin()
	list := len(r.place.path)
	return r.elements(func(i int) error {
		if i >= most {
			r.place.blame(ErrTooManyFields, list)
			return r.skip()
		}
		name, value, err := r.field()
		if err == nil {
			take(name, value)
		}
		return err
	})
}

// field reads a pair of strings. null stands for an empty string, and for a pair of them.
func (r *reader) field() (name, value string, err error) {
	depth := len(r.place.path)
	switch r.peek() {
	case '[':
	case 'n':
		return "", "", r.word("null")
	default:
		r.place.blame(ErrField, depth)
		return "", "", r.skip()
	}
	n := 0
	err = r.elements(func(i int) error {
		n++
		if c := r.peek(); i > 1 || c != '"' && c != 'n' {
			if i <= 1 {
				r.place.blame(ErrField, depth)
			}
			return r.skip()
		}
		if i == 0 {
			return r.setString(&name)
		}
		return r.setString(&value)
	})
	if err == nil && r.strict && n != 2 {
		r.place.blame(ErrField, depth)
	}
	return name, value, err
}
