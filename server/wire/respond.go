package wire

import (
	"io"
	"net/http"
	"strings"
	"time"
)

// BoundWrite sets a write deadline of [WriteTime] for the next n bytes of content. The deadline
// also applies while net/http flushes, so every request sets it at its start, and every write after
// a wait sets it again.
func BoundWrite(w http.ResponseWriter, n int) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(WriteTime(n)))
}

// WriteTime returns how long a peer may take to receive n bytes: 30 s, which is plenty for a head,
// and another second for each 1,024 bytes.
func WriteTime(n int) time.Duration {
	return writeGrace + time.Duration(n)*time.Second/writeRate
}

// Bounds on how slowly a peer may read.
const (
	writeGrace = 30 * time.Second
	writeRate  = 1_024 // bytes a second
)

// past is a deadline that has passed.
var past = time.Unix(1, 0)

// Leaving prepares w for an answer to r if the content of r was not read to its end, or not asked
// for. The caller must call left after the answer, which ends the connection. An HTTP/2 stream ends
// after its answer without harm to the answer (RFC 9113, 8.1).
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

// Moves reports whether the claim that a request is for is kept by another node by now, which the node
// that carried the request here then asks in place of this one. The handler must write nothing then.
func Moves(w http.ResponseWriter) bool {
	carried, is := w.(interface{ Moves() bool })
	return is && carried.Moves()
}

// Judged notes, before [Moves], which exchanges of a request with answers have theirs, so that the node
// that is asked in place of this one does not wait for them.
func Judged(w http.ResponseWriter, exchanges []string) {
	if carried, is := w.(interface{ Judged([]string) }); is && len(exchanges) > 0 {
		carried.Judged(exchanges)
	}
}

// HangUp makes net/http end an HTTP/1 connection after the answer, although the request may have
// more content. The peer can send up to 8 MiB of it for two seconds, so that it sees the answer
// (RFC 9112, 9.6).
func HangUp(w http.ResponseWriter) {
	if away, is := w.(interface{ HangUp() }); is { // the connection is at another node
		away.HangUp()
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(past) // conn.CloseWrite reads the rest
	_, _ = http.MaxBytesReader(w, io.NopCloser(strings.NewReader("x")), 0).Read(make([]byte, 1))
}
