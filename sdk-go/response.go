package reversehttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// errTooLarge is returned by Write if the gateway would refuse the header.
var errTooLarge = errors.New("reversehttp: the header is larger than the gateway takes")

// The number of bytes that http.DetectContentType looks at.
const sniffed = 512

// response is the http.ResponseWriter of one exchange. It keeps the rules of a net/http server, for it stands in for one:
//
//	the header counts as it is at WriteHeader; a later change of it is for nothing, but for trailers
//	Content-Type is guessed from what is written before the first Flush, if nobody set it; not where there is a Date,
//	for that is the answer of another server, which a proxy relays
//	HEAD has its content dropped but counted; 204 and 304 refuse it, and 205 too (RFC 9110, 15.3.6)
//	informational answers go ahead with the header as it is then, which stays; but for 100, which the gateway sends
//
// What a handler writes is held until it returns, and is sent as one answer. When it flushes, or
// writes more than is held, the answer becomes a stream. A failure before that can still be
// reported to the visitor by a 500.
type response struct {
	session *Session
	x       *exchange
	ctx     context.Context
	method  string
	log     *slog.Logger

	upgrade       bool   // 101 may be the answer
	taken         bool   // by Hijack
	host, visitor string // set for a request to upgrade

	header    http.Header
	committed bool // WriteHeader was called, or implied
	status    int
	trailers  []string // the names that it declared
	guess     bool     // Content-Type is still to be guessed
	declared  int64    // the Content-Length that the handler set; -1 without one
	accepted  int64    // bytes of content that were accepted
	offered   int64    // bytes of content that were written
	content   []byte   // held content; for HEAD, as much as is needed to guess
	failed    error    // why the response cannot be sent
	parts     *parts   // once the answer is a stream
	deadline  time.Time
	source    io.Reader // the content of the request
}

var (
	_ http.Flusher    = (*response)(nil)
	_ io.StringWriter = (*response)(nil)
	_ io.ReaderFrom   = (*response)(nil)
)

// Header returns the header that WriteHeader will send.
func (w *response) Header() http.Header {
	if w.header == nil {
		w.header = http.Header{}
	}
	return w.header
}

// WriteHeader sets the status and freezes the header, or sends an informational response.
func (w *response) WriteHeader(status int) {
	if w.committed || w.taken {
		_, file, line, _ := runtime.Caller(1)
		w.log.Warn("superfluous WriteHeader", "status", status, "file", file, "line", line)
		return
	}
	if status < 100 || status > 999 {
		panic(fmt.Sprintf("invalid WriteHeader code %v", status))
	}
	switch {
	case status == http.StatusContinue:
		// The gateway sends it when the content is asked for.
	case status < 200 && status != http.StatusSwitchingProtocols:
		if w.ctx.Err() == nil {
			w.session.poster.inform(w.x, status, w.header)
		}
	default:
		w.commit(status)
	}
}

func (w *response) commit(status int) {
	w.committed, w.status, w.declared = true, status, -1
	if upgrades := w.upgrade && status == http.StatusSwitchingProtocols; status < 200 && !upgrades || status > 599 {
		w.failed = fmt.Errorf("status %d cannot be sent", status)
	}
	if v := w.header["Content-Length"]; len(v) > 0 && v[0] != "" {
		if n, err := strconv.ParseInt(v[0], 10, 64); err == nil && n >= 0 {
			w.declared = n
		} else {
			w.log.Warn("invalid Content-Length", "value", v[0])
		}
	}
	if n := min(w.declared, heldMost); n > 0 && w.method != http.MethodHead {
		w.content = slices.Grow(w.content, int(n))
	}
	_, typed := w.header["Content-Type"]
	coded := w.header.Get("Content-Encoding") != "" || w.header.Get("Transfer-Encoding") != ""
	_, dated := w.header["Date"]
	w.guess = bodyAllowed(w.status) && !typed && !coded && !dated
	if w.trailers = nil; w.declared < 0 && bodyAllowed(w.status) {
		w.trailers = declaredTrailers(w.header)
	}
	w.x.fields = appendHeader(nil, w.header, w.leftOut)
	if w.declared >= 0 && !w.leftOut("Content-Length") {
		w.x.fields = w.x.fields.Append("Content-Length", strconv.FormatInt(w.declared, 10))
	}
}

// leftOut reports whether a net/http server would omit a field or write it by itself.
func (w *response) leftOut(name string) bool {
	switch name {
	case "Transfer-Encoding", "Trailer":
		return true
	case "Content-Length":
		// With 304 they describe the response that GET would have, and the gateway relays both (RFC
		// 9110, 15.4.5).
		return !bodyAllowed(w.status) && w.status != http.StatusNotModified
	}
	return strings.HasPrefix(name, http.TrailerPrefix)
}

// bodyAllowed reports whether a response with a status may have content.
func bodyAllowed(status int) bool {
	switch status {
	case http.StatusNoContent, http.StatusResetContent, http.StatusNotModified:
		return false
	}
	return status >= 200
}

// Write appends to the content.
func (w *response) Write(p []byte) (int, error) { return write(w, p) }

// WriteString appends to the content.
func (w *response) WriteString(s string) (int, error) { return write(w, s) }

func write[S string | []byte](w *response, p S) (int, error) {
	if w.taken {
		return 0, http.ErrHijacked
	}
	if !w.committed {
		w.commit(http.StatusOK)
	}
	if len(p) == 0 {
		return 0, nil
	}
	if !bodyAllowed(w.status) {
		return 0, http.ErrBodyNotAllowed
	}
	w.offered += int64(len(p))
	if w.declared >= 0 && w.offered > w.declared {
		return 0, http.ErrContentLength
	}
	// A server would notice by its connection that a visitor left.
	if w.ctx.Err() != nil {
		return 0, context.Cause(w.ctx)
	}
	if w.method == http.MethodHead {
		w.accepted += int64(len(p))
		w.content = append(w.content, p[:max(0, min(len(p), sniffed-len(w.content)))]...)
		return len(p), nil
	}
	held := 0
	if w.parts == nil {
		held = min(len(p), heldMost-len(w.content))
		w.content = append(w.content, p[:held]...)
		w.accepted += int64(held)
		if held == len(p) {
			return held, nil
		}
		if err := w.begin(); err != nil {
			return held, err
		}
	}
	n, err := writeParts(w.parts, p[held:], w.deadline)
	w.accepted += int64(n)
	return held + n, err
}

var copyBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// ReadFrom appends all of r to the content.
func (w *response) ReadFrom(r io.Reader) (int64, error) {
	b := copyBuffers.Get().(*[32 << 10]byte)
	defer copyBuffers.Put(b)
	return io.CopyBuffer(struct{ io.Writer }{w}, r, b[:])
}

// Flush sends what was written.
func (w *response) Flush() { _ = w.FlushError() }

// FlushError is Flush for http.ResponseController.
func (w *response) FlushError() error {
	if w.taken {
		return http.ErrHijacked
	}
	if !w.committed {
		w.commit(http.StatusOK)
	}
	switch {
	case w.status == http.StatusSwitchingProtocols && w.failed == nil:
		return nil // Hijack sends it
	case w.parts != nil:
		return w.parts.flush(w.deadline)
	case w.x.posted:
		return nil
	case w.ctx.Err() != nil:
		return context.Cause(w.ctx)
	case w.method == http.MethodHead, !bodyAllowed(w.status), w.declared >= 0 && w.accepted == w.declared:
		return w.early()
	}
	return w.begin()
}

// early sends an answer that is complete before the handler returns.
func (w *response) early() error {
	if w.method == http.MethodHead && w.declared < 0 {
		w.accepted = 0 // more may come, so the length is unknown
	}
	if err := w.whole(); err != nil {
		w.failed = err
		return err
	}
	w.x.posted = true
	w.session.running.Go(func() { w.session.poster.give(w.x) })
	return nil
}

// begin makes the answer a stream.
func (w *response) begin() error {
	w.guessType()
	if w.failed != nil {
		return w.failed
	}
	head, rest, err := w.x.begin(w.session.current(), w.status, w.content)
	if err != nil {
		w.failed = err
		return err
	}
	w.parts = newParts(w.session, w.x, head, rest)
	if w.declared >= 0 {
		w.parts.left = w.declared - int64(len(w.content)) + int64(len(rest))
	}
	w.content = nil
	w.session.running.Go(w.parts.pump)
	return nil
}

// SetReadDeadline implements the method of http.ResponseController.
func (w *response) SetReadDeadline(at time.Time) error {
	if c, ok := w.source.(*remote); ok {
		c.setDeadline(at)
	}
	return nil
}

// SetWriteDeadline implements the method of http.ResponseController. It bounds writes that wait for
// the visitor.
func (w *response) SetWriteDeadline(at time.Time) error {
	w.deadline = at
	return nil
}

// EnableFullDuplex implements the method of http.ResponseController. Reading and writing are always
// independent.
func (w *response) EnableFullDuplex() error { return nil }

func (w *response) guessType() {
	if w.guess && len(w.content) > 0 {
		w.x.fields = w.x.fields.Append("Content-Type", http.DetectContentType(w.content))
	}
	w.guess = false
}

// whole makes the held response the answer of the exchange.
func (w *response) whole() error {
	w.guessType()
	head := w.method == http.MethodHead
	switch {
	case w.failed != nil:
		return w.failed
	case w.status < 200:
		return errors.New("101 and no Hijack")
	case w.short():
		return fmt.Errorf("Content-Length is %d, and %d bytes were written", w.declared, w.accepted)
	case head && w.declared < 0 && w.accepted > 0:
		w.x.fields = w.x.fields.Append("Content-Length", strconv.FormatInt(w.accepted, 10))
	}
	if head {
		w.content = nil
	}
	return w.x.whole(w.session.current(), w.status, w.content, w.lastFields())
}

// short reports whether the handler wrote less than it declared.
func (w *response) short() bool {
	return w.declared >= 0 && bodyAllowed(w.status) && w.method != http.MethodHead && w.declared != w.accepted
}

// lastFields returns the trailers. As under net/http there are none if a length is declared.
func (w *response) lastFields() http.Header {
	if w.declared >= 0 || !bodyAllowed(w.status) || w.method == http.MethodHead {
		return nil
	}
	return trailersOf(w.header, w.trailers)
}

// end ends the answer after the handler has returned. Its error says why the answer cannot be sent
// or is cut short.
func (w *response) end() error {
	if !w.committed {
		w.commit(http.StatusOK)
	}
	if w.parts == nil {
		if w.x.posted {
			return nil
		}
		if err := w.whole(); err != errTooLarge || w.begin() != nil {
			return err
		}
	}
	var err error
	if w.short() {
		err = fmt.Errorf("Content-Length is %d, and %d bytes were written", w.declared, w.accepted)
	}
	w.parts.end(err, w.lastFields())
	return err
}
