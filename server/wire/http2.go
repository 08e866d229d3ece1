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

// Bounds of a connection of HTTP/2. It takes what all its streams may have on
// their way, so that content which a handler leaves unread holds up no other.
// net/http keeps a buffer of the largest frame that came, so a frame is small:
// it is at least this by RFC 9113, 6.5.2.
const (
	streamsAtOnce = 128
	streamWindow  = 128 << 10 // bytes
	frameSize     = 16 << 10  // bytes
)

// http2Config gives the bounds of HTTP/2 that net/http leaves to its user.
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
		delete(r.Header, "Host") // RFC 9113, 8.3.1: it says the same again
	}
	p.handler.ServeHTTP(s, r)
	if s.left > 0 && r.Method != http.MethodHead {
		panic(http.ErrAbortHandler) // less content than it said: no clean end
	}
	// For what net/http still flushes.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeGrace))
}

// contradictsAuthority says that a request of HTTP/2 has a Host that is not its :authority,
// or returns "".
func contradictsAuthority(r *http.Request) (detail string) {
	if r.ProtoMajor == 2 && slices.ContainsFunc(r.Header["Host"], func(host string) bool { return host != r.Host }) {
		return "The request has a Host that is not its :authority; send one of them."
	}
	return ""
}

// contradictsLength says that the content of a request of HTTP/2 has another length than its Content-Length tells
// (RFC 9113, 8.1.1), or returns "". net/http compares them only where content comes, and with the first of several.
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

// http2Stream is a response of HTTP/2 that behaves as one of HTTP/1 does: its
// deadlines bound what is read and written. net/http's own end the stream when
// they pass, though nobody reads or writes but waits, for a handler say.
type http2Stream struct {
	http.ResponseWriter
	reads, writes deadline
	// begun says that the head was written; left, how much content is to come
	// after it, or -1.
	begun bool
	left  int64
}

// newHTTP2Stream makes the response to r, whose content is bounded from then on.
func newHTTP2Stream(w http.ResponseWriter, r *http.Request) *http2Stream {
	s := &http2Stream{ResponseWriter: w, left: -1}
	rc := http.NewResponseController(w)
	s.reads.end = func() { _ = rc.SetReadDeadline(past) }
	s.writes.end = func() { _ = rc.SetWriteDeadline(past) }
	r.Body = &http2Content{r.Body, &s.reads}
	return s
}

// Unwrap gives net/http's own, for [http.ResponseController].
func (s *http2Stream) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// SetReadDeadline bounds reads of the content of the request.
func (s *http2Stream) SetReadDeadline(t time.Time) error { return s.reads.set(t) }

// SetWriteDeadline bounds writes and flushes.
func (s *http2Stream) SetWriteDeadline(t time.Time) error { return s.writes.set(t) }

// WriteHeader writes the head, and notes how much content it tells of.
func (s *http2Stream) WriteHeader(status int) {
	if status >= 200 && !s.begun {
		s.begun = true
		if n, err := strconv.ParseInt(s.Header().Get("Content-Length"), 10, 64); err == nil {
			s.left = n
		}
	}
	s.ResponseWriter.WriteHeader(status)
}

// Write writes content. More than the head tells of is [http.ErrContentLength].
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

// FlushError sends what is written.
func (s *http2Stream) FlushError() error {
	return s.writes.bound(http.NewResponseController(s.ResponseWriter).Flush)
}

// http2Content is the content of a request, read within a deadline.
type http2Content struct {
	io.ReadCloser
	reads *deadline
}

// Read reads what comes next.
func (c *http2Content) Read(p []byte) (n int, err error) {
	err = c.reads.bound(func() error {
		n, err = c.ReadCloser.Read(p)
		return err
	})
	return n, err
}

// deadline bounds operations, one at a time. It passes while one goes on, or
// before one begins, and in between it does nothing.
type deadline struct {
	mu    sync.Mutex // guards below
	at    time.Time
	timer *time.Timer
	busy  bool
	// end ends the operation that goes on, and all after it.
	end func()
}

// bound does an operation unless the deadline has passed.
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

// set changes the deadline, also that of the operation that goes on.
func (d *deadline) set(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at = t
	if d.busy {
		d.arm()
	}
	return nil
}

// arm lets the timer run until the deadline. The caller holds d.mu.
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

// look ends the operation that goes on if its time is over.
func (d *deadline) look() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.busy && d.passed() {
		d.end()
	}
}

// passed tells whether the deadline has. The caller holds d.mu.
func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }
