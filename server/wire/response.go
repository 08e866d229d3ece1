package wire

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// response is an HTTP/1.1 response on a connection that left net/http, in the format that net/http
// writes (RFC 9112). Writes are not buffered.
type response struct {
	conn   net.Conn
	header http.Header
	status int
	// begun is whether the head was sent; chunked, whether content is sent in chunks.
	begun, chunked bool
	left           int64 // of the content, if it is not chunked
	closes         bool  // the connection ends with the response
	err            error // of the first write that failed
}

// Header returns the fields, which may be changed until they are sent.
func (w *response) Header() http.Header { return w.header }

// WriteHeader sets the status. The head is sent with the first content.
func (w *response) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

// Write sends content.
func (w *response) Write(p []byte) (int, error) {
	if err := w.send(p, false); err != nil {
		return 0, err
	}
	return len(p), nil
}

// FlushError sends the head if nothing was written yet.
func (w *response) FlushError() error { return w.send(nil, false) }

// SetWriteDeadline sets the deadline of writes.
func (w *response) SetWriteDeadline(t time.Time) error { return w.conn.SetWriteDeadline(t) }

// end sends what completes the response.
func (w *response) end() error { return w.send(nil, true) }

// send sends content, after the head if that is still due. last is whether the content ends.
func (w *response) send(content []byte, last bool) error {
	if w.err != nil {
		return w.err
	}
	out := buffers.Get().(*bytes.Buffer)
	defer func() {
		if out.Reset(); out.Cap() <= mostPooled {
			buffers.Put(out)
		}
	}()
	if !w.begun {
		w.head(out)
	}
	switch {
	case w.chunked && len(content) > 0:
		out.Write(strconv.AppendInt(out.AvailableBuffer(), int64(len(content)), 16))
		out.WriteString("\r\n")
		out.Write(content)
		out.WriteString("\r\n")
	case !w.chunked:
		if w.left -= int64(len(content)); w.left < 0 {
			w.err = http.ErrContentLength
			return w.err
		}
		out.Write(content)
	}
	if last && w.chunked {
		out.WriteString("0\r\n\r\n")
	}
	if out.Len() > 0 {
		_, w.err = w.conn.Write(out.Bytes())
	}
	if w.err == nil && last && w.left > 0 {
		w.err = io.ErrUnexpectedEOF
	}
	return w.err
}

// head writes the head, with fields in the same order as net/http.
func (w *response) head(out *bytes.Buffer) {
	w.WriteHeader(http.StatusOK)
	w.begun = true
	size, err := strconv.ParseInt(w.header.Get("Content-Length"), 10, 64)
	w.left, w.chunked = size, err != nil && w.status != http.StatusNoContent
	out.WriteString("HTTP/1.1 " + strconv.Itoa(w.status) + " " + http.StatusText(w.status) + "\r\n")
	w.closes = w.closes || w.header.Get("Connection") == "close"
	delete(w.header, "Connection")
	_ = w.header.Write(out)
	out.WriteString("Date: ")
	out.Write(time.Now().UTC().AppendFormat(out.AvailableBuffer(), http.TimeFormat))
	out.WriteString("\r\n")
	if w.closes {
		out.WriteString("Connection: close\r\n")
	}
	if w.chunked {
		out.WriteString("Transfer-Encoding: chunked\r\n")
	}
	out.WriteString("\r\n")
	w.header = nil
}

// buffers are reused to assemble data before it is sent.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// mostPooled is the largest buffer that is kept for reuse, in bytes.
const mostPooled = 64 << 10
