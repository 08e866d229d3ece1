package peer

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"sync"
	"time"
)

// errLeft is the error of content whose sender left.
var errLeft = errors.New("peer: the sender of the request has left")

// errBroken is the error of content that ended before it was whole.
var errBroken = errors.New("peer: the content ended before it was whole")

// errMuch is the error of an entry that sends more content than it may.
var errMuch = errors.New("peer: more content than was asked for")

// inflow is the content of a request at its home, or what arrives on an upgraded connection.
// It is the body of the request: a reader that asks the entry for more.
type inflow struct {
	ask     func(n int) error // asks the entry for n more bytes
	trailer http.Header       // of the request; Read fills it at the end, as that of net/http does

	mu       sync.Mutex // guards below
	moved    sync.Cond
	came     bytes.Buffer
	credit   int // how much may still come
	err      error
	fields   http.Header // that came after the content
	deadline time.Time
	timer    *time.Timer
}

// newInflow returns the content of a request. The entry may send credit bytes before it is asked.
func newInflow(credit int, ask func(n int) error) *inflow {
	f := &inflow{ask: ask, credit: credit}
	f.moved.L = &f.mu
	return f
}

// Read reads content. It fails with [os.ErrDeadlineExceeded] once the deadline has passed, and may
// be called again with another deadline.
func (f *inflow) Read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.read(p)
	for n == 0 && err == nil && len(p) > 0 {
		if more := f.due(); more == 0 {
			f.moved.Wait()
		} else if err := f.more(more); err != nil {
			return 0, err
		}
		n, err = f.read(p)
	}
	if more := f.due(); err == nil && more > 0 {
		err = f.more(more)
	}
	return n, err
}

// read reads what is there. The caller holds f.mu.
func (f *inflow) read(p []byte) (int, error) {
	switch {
	case !f.deadline.IsZero() && !time.Now().Before(f.deadline):
		return 0, os.ErrDeadlineExceeded
	case f.came.Len() > 0:
		return f.came.Read(p)
	case f.err != nil:
		maps.Copy(f.trailer, f.fields)
		f.fields = nil
	}
	return 0, f.err
}

// due returns how much more to ask for: a window at first, and what was read of it once that is
// half. The caller holds f.mu.
func (f *inflow) due() int {
	if coming := f.credit + f.came.Len(); f.err == nil && coming <= window/2 {
		return window - coming
	}
	return 0
}

// more asks for n more bytes. The caller holds f.mu, which more gives up meanwhile: the entry may be
// slow to take anything.
func (f *inflow) more(n int) error {
	f.credit += n
	f.mu.Unlock()
	defer f.mu.Lock()
	return f.ask(n)
}

// take reads n bytes that came from the entry.
func (f *inflow) take(in io.Reader, n int) error {
	buf := pieces.get(n)
	defer pieces.put(buf)
	if _, err := io.ReadFull(in, (*buf)[:n]); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if n > f.credit {
		return errMuch
	}
	f.credit -= n
	f.came.Write((*buf)[:n])
	f.moved.Broadcast()
	return nil
}

// reopen lets the bytes of an upgraded connection come in place of the content.
func (f *inflow) reopen() {
	f.mu.Lock()
	f.err = nil
	f.mu.Unlock()
	f.until(time.Time{})
}

// end ends the content with [io.EOF] or another error, once.
func (f *inflow) end(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
	f.moved.Broadcast()
}

// whole ends the content with the fields that came after it.
func (f *inflow) whole(trailer http.Header) {
	f.mu.Lock()
	if f.err == nil {
		f.fields = trailer
	}
	f.mu.Unlock()
	f.end(io.EOF)
}

// until sets the deadline of reads.
func (f *inflow) until(t time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.deadline = t
	if f.timer != nil {
		f.timer.Stop()
	}
	if t.IsZero() {
		return
	}
	f.timer = time.AfterFunc(max(time.Until(t), 0), func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.moved.Broadcast()
	})
}

// stop frees the timer.
func (f *inflow) stop() {
	f.until(time.Time{})
}

// Close does nothing: the request ends with its handler.
func (f *inflow) Close() error { return nil }
