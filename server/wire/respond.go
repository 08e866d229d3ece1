package wire

import (
	"io"
	"net/http"
	"strings"
	"time"
)

// BoundWrite bounds by [WriteTime] how long the peer may take the n bytes of content that are
// written next. The bound stays in force while net/http flushes, so everything that is written
// after a wait, and every request at its start, sets it anew.
func BoundWrite(w http.ResponseWriter, n int) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(WriteTime(n)))
}

// WriteTime returns how long a peer may take n bytes: 30 s, which is plenty for a head, and a
// second more for each 1,024 bytes.
func WriteTime(n int) time.Duration {
	return writeGrace + time.Duration(n)*time.Second/writeRate
}

// How slowly a peer may take what is written to it.
const (
	writeGrace = 30 * time.Second
	writeRate  = 1_024 // bytes a second
)

// past is a deadline that is over.
var past = time.Unix(1, 0)

// Leaving prepares w for an answer to r, whose content was not read to its end, or
// not asked for, and returns what is to be called after it. The connection ends then.
// A stream of HTTP/2 ends after its answer without harm to it (RFC 9113, 8.1).
func Leaving(w http.ResponseWriter, r *http.Request) (left func()) {
	if r.ProtoMajor == 2 || r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return func() {}
	}
	_ = http.NewResponseController(w).EnableFullDuplex() // otherwise net/http reads before it answers
	w.Header().Set("Connection", "close")
	if Expects(r) {
		return func() {}
	}
	return func() { HangUp(w) }
}

// HangUp has net/http end a connection of HTTP/1 after the answer, although the request may
// have more content. The peer may send that for two seconds, or 8 MiB of it, so that it sees
// the answer (RFC 9112, 9.6).
func HangUp(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(past) // conn.CloseWrite reads what else comes
	_, _ = http.MaxBytesReader(w, io.NopCloser(strings.NewReader("x")), 0).Read(make([]byte, 1))
}
