package main

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// printable returns a stranger's text in a form that is safe for terminals: it escapes unprintable
// characters, including line breaks and characters that change the writing direction.
func printable(s string) string { return escape(s, strconv.IsPrint) }

// printableOrTab reports whether r may be printed in a line of content.
func printableOrTab(r rune) bool { return r == '\t' || strconv.IsPrint(r) }

// plain is like printable, but also escapes all characters that are not ASCII, so that each byte
// takes one column of a table.
func plain(s string) string {
	return escape(s, func(r rune) bool { return ' ' <= r && r <= '~' })
}

func escape(s string, safe func(rune) bool) string {
	clean := true
	for _, r := range s {
		clean = clean && r != utf8.RuneError && safe(r)
	}
	if clean {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n <= 1:
			b.WriteString(`\x` + hexDigits(s[0]))
		case safe(r):
			b.WriteRune(r)
		default:
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
		}
		s = s[n:]
	}
	return b.String()
}

func hexDigits(c byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[c>>4], digits[c&15]})
}

// cut returns at most n characters of s, with a mark if s was longer.
func cut(s string, n int) string {
	switch {
	case len(s) <= n:
		return s
	case n < 3:
		return s[:max(n, 0)]
	}
	return s[:n-2] + ".."
}
