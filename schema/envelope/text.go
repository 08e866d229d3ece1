package envelope

import (
	"math/bits"
	"strings"
	"unicode/utf8"
)

// Characters returns s, which may be any bytes, with each byte as the character of the same number
// (U+0000 to U+00FF). It returns s itself if s is ASCII.
func Characters(s string) string {
	if isASCII(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + len(s)/2)
	for i := range len(s) {
		b.WriteRune(rune(s[i]))
	}
	return b.String()
}

// Bytes is the inverse of [Characters]: it returns s with each character up to U+00FF as the byte
// of the same number. It returns s itself if s is ASCII. Of a character above U+00FF it keeps the
// lowest eight bits.
func Bytes(s string) string {
	if isASCII(s) {
		return s
	}
	b := make([]byte, 0, len(s))
	for _, c := range s {
		b = append(b, byte(c))
	}
	return string(b)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// AppendString appends s to b as a JSON string. It escapes only what must be escaped, and replaces
// invalid UTF-8 by U+FFFD.
func AppendString[S ~string](b []byte, s S) []byte {
	if !utf8.ValidString(string(s)) {
		s = S(strings.ToValidUTF8(string(s), "\ufffd"))
	}
	return appendQuoted(b, s)
}

// appendQuoted is AppendString for valid UTF-8.
func appendQuoted[S ~string | ~[]byte](b []byte, s S) []byte {
	return append(appendEscaped(append(b, '"'), s), '"')
}

// appendEscaped is appendQuoted without the quotes.
func appendEscaped[S ~string | ~[]byte](b []byte, s S) []byte {
	for i := 0; ; {
		end := special(s, i, 0)
		b = append(b, s[i:end]...)
		if end == len(s) {
			return b
		}
		b = appendEscape(b, s[end])
		i = end + 1
	}
}

// AppendCharacters appends s, which may be any bytes, to b as a JSON string of its [Characters],
// without a copy.
func AppendCharacters(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; ; {
		end := special(s, i, highBits)
		b = append(b, s[i:end]...)
		if end == len(s) {
			return append(b, '"')
		}
		if c := s[end]; c >= utf8.RuneSelf {
			b = utf8.AppendRune(b, rune(c))
		} else {
			b = appendEscape(b, c)
		}
		i = end + 1
	}
}

func appendEscape(b []byte, c byte) []byte {
	const hex = "0123456789abcdef"
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\b':
		return append(b, '\\', 'b')
	case '\f':
		return append(b, '\\', 'f')
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	}
	return append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}

const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// escaped is how many bytes an escape adds for each byte. It is 0 for bytes that are not escaped.
var escaped = func() (table [256]uint8) {
	for c := range table[:' '] {
		table[c] = uint8(len(appendEscape(nil, byte(c)))) - 1
	}
	table['"'], table['\\'] = 1, 1
	return table
}()

// special returns the index, from i on, of the first byte of s that is a control character, a quote
// or a backslash, or, with highBits as high, is not ASCII. It returns the length of s if there is
// none. After a few bytes it tests eight at a time: in each test the lowest set bit is exact, and
// so is the lowest of all tests.
func special[S ~string | ~[]byte](s S, i int, high uint64) int {
	for few := min(i+16, len(s)); i < few; i++ {
		if c := s[i]; escaped[c] != 0 || uint64(c)&high != 0 {
			return i
		}
	}
	for ; i+8 <= len(s); i += 8 {
		x := uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 |
			uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56
		quote, backslash := x^'"'*lowBits, x^'\\'*lowBits
		found := (x-' '*lowBits)&^x | (quote-lowBits)&^quote | (backslash-lowBits)&^backslash
		if found = found&highBits | x&high; found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for ; i < len(s); i++ {
		if c := s[i]; escaped[c] != 0 || uint64(c)&high != 0 {
			break
		}
	}
	return i
}
