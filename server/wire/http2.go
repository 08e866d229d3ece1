package wire

import (
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Bounds of an HTTP/2 connection. Its window covers the windows of all its streams, so that content
// which one handler leaves unread does not block other streams. net/http keeps a buffer as large as
// the largest frame so far, so frames are as small as RFC 9113, 6.5.2, allows.
const (
	streamsAtOnce = 128
	streamWindow  = 128 << 10 // bytes
	frameSize     = 16 << 10  // bytes
)

// http2Config returns the HTTP/2 settings for net/http.
func http2Config() *http.HTTP2Config {
	return &http.HTTP2Config{
		MaxConcurrentStreams:          streamsAtOnce,
		MaxReceiveBufferPerStream:     streamWindow,
		MaxReceiveBufferPerConnection: streamsAtOnce * streamWindow,
		MaxReadFrameSize:              frameSize,
		WriteByteTimeout:              writeGrace,
	}
}

// serveHTTP2 serves a request of HTTP/2.
func (p *Port) serveHTTP2(w http.ResponseWriter, r *http.Request) {
	s := newHTTP2Stream(w, r)
	if contradictsAuthority(r) == "" {
		delete(r.Header, "Host") // RFC 9113, 8.3.1: it repeats :authority
	}
	p.handler.ServeHTTP(s, r)
	if s.left > 0 && r.Method != http.MethodHead {
		panic(http.ErrAbortHandler) // less content than announced: no clean end
	}
	// For the data that net/http still flushes.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeGrace))
}

// contradictsAuthority returns a problem text if the Host of an HTTP/2 request differs from its
// :authority, and "" otherwise.
func contradictsAuthority(r *http.Request) (detail string) {
	if r.ProtoMajor == 2 && slices.ContainsFunc(r.Header["Host"], func(host string) bool { return host != r.Host }) {
		return "The request has a Host that is not its :authority; send one of them."
	}
	return ""
}

// contradictsLength returns a problem text if the content of an HTTP/2 request cannot have the
// length in its Content-Length (RFC 9113, 8.1.1), and "" otherwise. net/http compares them only if
// content comes, and only the first of several fields.
func contradictsLength(r *http.Request) (detail string) {
	stated := r.Header["Content-Length"]
	if r.ProtoMajor != 2 || len(stated) == 0 {
		return ""
	}
	if n, err := strconv.ParseUint(stated[0], 10, 63); len(stated) > 1 || err != nil || int64(n) != r.ContentLength {
		return "The request has a Content-Length that is not the length of its content, or several; send the length once."
	}
	return ""
}

// http2Stream is an HTTP/2 response whose deadlines work as in HTTP/1: they bound reads and writes.
// Those of net/http end the stream when they pass, even if nothing is being read or written.
type http2Stream struct {
	http.ResponseWriter
	reads, writes deadline
	// begun is whether the head was written; left is how much content must follow it, or -1 if
	// unknown.
	begun bool
	left  int64
}

// newHTTP2Stream returns the response to r, and bounds reads of the content of r from then on.
func newHTTP2Stream(w http.ResponseWriter, r *http.Request) *http2Stream {
	s := &http2Stream{ResponseWriter: w, left: -1}
	rc := http.NewResponseController(w)
	s.reads.end = func() { _ = rc.SetReadDeadline(past) }
	s.writes.end = func() { _ = rc.SetWriteDeadline(past) }
	r.Body = &http2Content{r.Body, &s.reads}
	return s
}

// Unwrap returns the response of net/http, for [http.ResponseController].
func (s *http2Stream) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// SetReadDeadline bounds reads of the content of the request.
func (s *http2Stream) SetReadDeadline(t time.Time) error { return s.reads.set(t) }

// SetWriteDeadline bounds writes and flushes.
func (s *http2Stream) SetWriteDeadline(t time.Time) error { return s.writes.set(t) }

// WriteHeader writes the head, and notes the Content-Length.
func (s *http2Stream) WriteHeader(status int) {
	if status >= 200 && !s.begun {
		s.begun = true
		if n, err := strconv.ParseInt(s.Header().Get("Content-Length"), 10, 64); err == nil {
			s.left = n
		}
	}
	s.ResponseWriter.WriteHeader(status)
}

// Write writes content. It returns [http.ErrContentLength] for more than the Content-Length.
func (s *http2Stream) Write(p []byte) (n int, err error) {
	if !s.begun {
		s.WriteHeader(http.StatusOK)
	}
	if s.left >= 0 && int64(len(p)) > s.left {
		return 0, http.ErrContentLength
	}
	err = s.writes.bound(func() error {
		n, err = s.ResponseWriter.Write(p)
		return err
	})
	if s.left >= 0 {
		s.left -= int64(n)
	}
	return n, err
}

// FlushError sends buffered data.
func (s *http2Stream) FlushError() error {
	return s.writes.bound(http.NewResponseController(s.ResponseWriter).Flush)
}

// http2Content is the content of a request, read within a deadline.
type http2Content struct {
	io.ReadCloser
	reads *deadline
}

// Read reads content within the deadline.
func (c *http2Content) Read(p []byte) (n int, err error) {
	err = c.reads.bound(func() error {
		n, err = c.ReadCloser.Read(p)
		return err
	})
	return n, err
}

// deadline bounds operations, one at a time. If it passes between operations it has no effect until
// the next one begins.
type deadline struct {
	mu    sync.Mutex // guards below
	at    time.Time
	timer *time.Timer
	busy  bool
	// end ends the current operation, and makes all later ones fail.
	end func()
}

// bound runs an operation unless the deadline has passed.
func (d *deadline) bound(operation func() error) error {
	d.mu.Lock()
	if d.passed() {
		d.mu.Unlock()
		return os.ErrDeadlineExceeded
	}
	d.busy = true
	d.arm()
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.busy = false
		if d.timer != nil {
			d.timer.Stop()
		}
	}()
	return operation()
}

// set changes the deadline, also for the current operation.
func (d *deadline) set(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at = t
	if d.busy {
		d.arm()
	}
	return nil
}

// arm starts the timer. The caller holds d.mu.
func (d *deadline) arm() {
	switch {
	case !d.at.IsZero() && d.timer == nil:
		d.timer = time.AfterFunc(time.Until(d.at), d.look)
	case !d.at.IsZero():
		d.timer.Reset(time.Until(d.at))
	case d.timer != nil:
		d.timer.Stop()
	}
}

// look ends the current operation if the deadline has passed.
func (d *deadline) look() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.busy && d.passed() {
		d.end()
	}
}

// passed reports whether the deadline has passed. The caller holds d.mu.
func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }
