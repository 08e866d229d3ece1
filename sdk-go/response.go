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

// errTooLarge is what Write returns when the gateway would not take a response so large.
var errTooLarge = errors.New("reversehttp: the response is larger than the gateway takes")

// As many bytes as http.DetectContentType looks at.
const sniffed = 512

// response is the http.ResponseWriter of one exchange. It keeps the rules of a net/http server, for it stands in for one:
//
//	the header counts as it is at WriteHeader; a later change of it is for nothing
//	Content-Type is guessed from what is written before the first Flush, if nobody set it
//	HEAD has its content dropped but counted; 204 and 304 refuse it, and 205 too (RFC 9110, 15.3.6)
//	informational answers go nowhere: the gateway takes final ones only
//
// The answer is whole, so a declared Content-Length that is not kept shows in message, not as a torn connection.
type response struct {
	ctx    context.Context
	method string
	log    *slog.Logger
	limit  int // of the content

	header    http.Header
	committed bool // WriteHeader was called, or should have been
	status    int
	fields    []byte // the header in JSON, as it was then
	guess     bool   // Content-Type is still to be guessed
	declared  int64  // the Content-Length that the handler set; -1 without one
	accepted  int64  // bytes of content that were written and not refused
	offered   int64  // bytes of content that were written
	content   []byte // what is to be sent; of HEAD, what is needed to guess
	failed    error  // the response cannot be sent
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

// WriteHeader fixes status and header.
func (w *response) WriteHeader(status int) {
	if w.committed {
		_, file, line, _ := runtime.Caller(1)
		w.log.Warn("superfluous WriteHeader", "status", status, "file", file, "line", line)
		return
	}
	if status < 100 || status > 999 {
		panic(fmt.Sprintf("invalid WriteHeader code %v", status))
	}
	if status < 200 && status != http.StatusSwitchingProtocols {
		return
	}
	w.commit(status)
}

func (w *response) commit(status int) {
	w.committed, w.status, w.declared = true, status, -1
	if status < 200 || status > 599 {
		w.failed = fmt.Errorf("status %d cannot be sent", status)
	}
	if v := w.header["Content-Length"]; len(v) > 0 && v[0] != "" {
		if n, err := strconv.ParseInt(v[0], 10, 64); err == nil && n >= 0 {
			w.declared = n
		} else {
			w.log.Warn("invalid Content-Length", "value", v[0])
		}
	}
	if n := min(w.declared, int64(w.limit)); n > 0 && w.method != http.MethodHead {
		w.content = slices.Grow(w.content, int(n))
	}
	_, typed := w.header["Content-Type"]
	coded := w.header.Get("Content-Encoding") != "" || w.header.Get("Transfer-Encoding") != ""
	w.guess = w.bodyAllowed() && !typed && !coded
	w.fields = appendHeader(nil, w.header, w.leftOut)
	if w.declared >= 0 && !w.leftOut("Content-Length") {
		w.fields = appendField(w.fields, "Content-Length", strconv.FormatInt(w.declared, 10))
	}
}

// leftOut reports whether a net/http server would leave a field out, or write it by itself.
func (w *response) leftOut(name string) bool {
	switch name {
	case "Transfer-Encoding", "Trailer":
		return true
	case "Content-Type":
		return w.status == http.StatusNotModified
	case "Content-Length":
		// With 304 it tells the length of what GET would give, and the gateway keeps it there.
		return !w.bodyAllowed() && w.status != http.StatusNotModified
	}
	return strings.HasPrefix(name, http.TrailerPrefix)
}

func (w *response) bodyAllowed() bool {
	switch w.status {
	case http.StatusNoContent, http.StatusResetContent, http.StatusNotModified:
		return false
	}
	return w.status >= 200
}

// Write adds to the content.
func (w *response) Write(p []byte) (int, error) { return write(w, p) }

// WriteString adds to the content.
func (w *response) WriteString(s string) (int, error) { return write(w, s) }

func write[S string | []byte](w *response, p S) (int, error) {
	if !w.committed {
		w.commit(http.StatusOK)
	}
	if len(p) == 0 {
		return 0, nil
	}
	if !w.bodyAllowed() {
		return 0, http.ErrBodyNotAllowed
	}
	w.offered += int64(len(p))
	if w.declared >= 0 && w.offered > w.declared {
		return 0, http.ErrContentLength
	}
	// A server would notice a visitor that left by its connection.
	if w.ctx.Err() != nil {
		return 0, context.Cause(w.ctx)
	}
	room := w.limit - len(w.content)
	if w.method == http.MethodHead {
		w.accepted += int64(len(p))
		w.content = append(w.content, p[:max(0, min(len(p), sniffed-len(w.content)))]...)
		return len(p), nil
	}
	if len(p) > room {
		w.failed = errTooLarge
		return 0, errTooLarge
	}
	w.accepted += int64(len(p))
	w.content = append(w.content, p...)
	return len(p), nil
}

var copyBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// ReadFrom adds all of r to the content.
func (w *response) ReadFrom(r io.Reader) (int64, error) {
	b := copyBuffers.Get().(*[32 << 10]byte)
	defer copyBuffers.Put(b)
	return io.CopyBuffer(struct{ io.Writer }{w}, r, b[:])
}

// Flush does what the first Flush of a server does: it settles status, header and Content-Type.
func (w *response) Flush() { _ = w.FlushError() }

// FlushError is Flush for http.ResponseController.
func (w *response) FlushError() error {
	if !w.committed {
		w.commit(http.StatusOK)
	}
	w.guessType()
	return nil
}

// SetReadDeadline is for http.ResponseController. The content of the request is here already.
func (w *response) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline is for http.ResponseController. Writing waits for nobody.
func (w *response) SetWriteDeadline(time.Time) error { return nil }

// EnableFullDuplex is for http.ResponseController. Reading and writing are independent here.
func (w *response) EnableFullDuplex() error { return nil }

func (w *response) guessType() {
	if w.guess && len(w.content) > 0 {
		w.fields = appendField(w.fields, "Content-Type", http.DetectContentType(w.content))
	}
	w.guess = false
}

// message returns the answer to the exchange id, when the handler has returned.
func (w *response) message(id string) ([]byte, error) {
	_ = w.FlushError()
	head := w.method == http.MethodHead
	switch {
	case w.failed != nil:
		return nil, w.failed
	case w.declared >= 0 && w.bodyAllowed() && !head && w.declared != w.accepted:
		return nil, fmt.Errorf("Content-Length is %d, and %d bytes were written", w.declared, w.accepted)
	case head && w.declared < 0 && w.accepted > 0:
		w.fields = appendField(w.fields, "Content-Length", strconv.FormatInt(w.accepted, 10))
	}
	if head {
		w.content = nil
	}
	message := responseMessage(id, w.status, w.fields, w.content)
	if len(message)+answersOverhead > w.limit {
		return nil, errTooLarge
	}
	return message, nil
}
