package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"unicode/utf8"
)

// Bounds of what is printed of a request on a terminal.
const (
	printedText   = 64 << 10
	printedBinary = 16
)

// inbox prints every request and answers all in the same way.
type inbox struct {
	Status int    `default:"200" help:"Status of the answers."`
	Body   string `help:"Content of the answers."`
	Type   string `default:"text/plain; charset=utf-8" help:"Content-Type of the answers, if they have content."`
}

func (b *inbox) open(v view, _ *slog.Logger) (service, error) {
	if b.Status < 200 || b.Status > 599 {
		return service{}, fmt.Errorf("--status=%d: give one from 200 to 599", b.Status)
	}
	if b.Body != "" && (b.Status == 204 || b.Status == 205 || b.Status == 304) {
		return service{}, fmt.Errorf("--body: an answer with status %d has no content", b.Status)
	}
	if strings.ContainsAny(b.Type, "\r\n\x00") {
		return service{}, errors.New("--type: give one line")
	}
	return service{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v.received(readRequest(r))
		if b.Body != "" {
			w.Header().Set("Content-Type", b.Type)
		}
		w.WriteHeader(b.Status)
		_, _ = io.WriteString(w, b.Body)
	}), fmt.Sprint("answers ", b.Status), nil, readers}, nil
}

// print writes a request without control characters that a terminal would obey. It indents every
// line of fields and content, so that content cannot look like another request.
func (q *request) print(b *strings.Builder) {
	fmt.Fprintf(b, "%s %s HTTP/%s from %s\n", printable(q.Method), printable(bytesOf(q.Target)), printable(q.HTTPVersion), printable(q.RemoteAddr))
	for _, f := range q.Headers {
		fmt.Fprintf(b, "    %s: %s\n", printable(f[0]), printable(bytesOf(f[1])))
	}
	if len(q.content) > 0 {
		b.WriteByte('\n')
		q.printContent(b)
	}
	for _, f := range q.Trailers {
		fmt.Fprintf(b, "    %s: %s (trailer)\n", printable(f[0]), printable(bytesOf(f[1])))
	}
	if q.Fault != "" {
		fmt.Fprintf(b, "    (%s)\n", q.Fault)
	}
	b.WriteByte('\n')
}

func (q *request) printContent(b *strings.Builder) {
	shown := q.content[:min(len(q.content), printedText)]
	for len(shown) < len(q.content) && len(shown) > 0 && !utf8.RuneStart(q.content[len(shown)]) {
		shown = shown[:len(shown)-1]
	}
	if !text(shown) {
		first := hex.EncodeToString(q.content[:min(len(q.content), printedBinary)])
		fmt.Fprintf(b, "    (%d bytes that are not text, beginning with %s)\n", q.Bytes, first)
		return
	}
	// Tabs are kept, and CR LF counts as one line break.
	lines := strings.Split(strings.TrimSuffix(strings.ReplaceAll(string(shown), "\r\n", "\n"), "\n"), "\n")
	for _, line := range lines {
		b.WriteString("    " + escape(line, printableOrTab) + "\n")
	}
	if more := q.Bytes - int64(len(shown)); more > 0 {
		fmt.Fprintf(b, "    (and %d more bytes)\n", more)
	}
}

// text reports whether content is readable: UTF-8 without NUL.
func text(content []byte) bool {
	return utf8.Valid(content) && !strings.Contains(string(content), "\x00")
}
