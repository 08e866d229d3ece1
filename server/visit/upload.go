package visit

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"reversehttp/schema"
	"reversehttp/server/budget"
	"reversehttp/server/claim"
	"reversehttp/server/field"
	"reversehttp/server/intake"
	"reversehttp/server/problem"
	"reversehttp/server/quota"
	"reversehttp/server/wire"
)

// upload is the content of a visitor's request that a session fetches while it arrives. The
// goroutine that serves the visitor owns it and stops it before returning, since net/http forbids
// reads after that.
type upload struct {
	v *Visits
	w http.ResponseWriter
	r *http.Request
	x *claim.Exchange
	// hold waits for its peer while somebody reads.
	hold  *budget.Hold
	meter *quota.Meter
	most  int64 // the most content, in bytes

	mu      sync.Mutex    // guards below
	since   time.Time     // when the current read began
	waited  time.Duration // for the visitor, in earlier reads
	live    bool          // the answer has begun
	reading bool
	begun   bool // somebody has read
	stopped bool
	whole   bool      // it was read to its end
	size    int       // bytes read
	idle    sync.Cond // nobody reads
}

// streams reports whether the content of a request has to be fetched: it is long, its length is
// unknown, or the visitor says that it comes bit by bit.
func (v *Visits) streams(r *http.Request, x *claim.Exchange) bool {
	return r.ContentLength < 0 || r.ContentLength > int64(v.InlineBytes) && r.ContentLength > int64(x.Inline) || r.ContentLength > 0 && field.IsIncremental(r.Header)
}

func newUpload(s *visit) *upload {
	u := &upload{v: s.Visits, w: s.w, r: s.r, x: s.x, hold: s.hold, meter: s.meter, most: s.most}
	u.idle.L = &u.mu
	// The answer may begin before the content has ended.
	_ = http.NewResponseController(s.w).EnableFullDuplex()
	return u
}

// errStopped ends a reader whose exchange has ended.
var errStopped = errors.New("visit: the exchange has ended")

// end stops the upload after the answer was written. The connection ends too, so that the rest of
// the content is not taken for the next request.
func (u *upload) end() {
	if !u.stop() && u.r.ProtoMajor == 1 && (u.begun || !wire.Expects(u.r)) {
		wire.HangUp(u.w)
	}
}

// until returns when the visitor must have sent more; see [intake.Pace]. Once the answer has begun
// the content is live, and only its pauses are bounded. The caller holds u.mu.
func (u *upload) until() time.Time {
	p := u.v.pace(u.x.Timeout)
	if u.live {
		return u.since.Add(p.Pause)
	}
	return p.Until(u.since, u.waited, u.size)
}

// goLive notes that the answer has begun.
func (u *upload) goLive() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.live = true
	u.since = time.Now()
	if u.reading && !u.stopped {
		_ = http.NewResponseController(u.w).SetReadDeadline(u.until())
	}
}

// Read reads what the visitor sends next, at the pace that they must keep.
func (u *upload) Read(into []byte) (int, error) {
	u.mu.Lock()
	if u.stopped {
		u.mu.Unlock()
		return 0, errStopped
	}
	u.since = time.Now()
	u.reading, u.begun = true, true
	_ = http.NewResponseController(u.w).SetReadDeadline(u.until())
	u.mu.Unlock()
	u.hold.Wait()
	n, err := u.r.Body.Read(into)
	u.hold.Move(n)
	u.mu.Lock()
	u.waited += time.Since(u.since)
	u.size += n
	u.whole = err == io.EOF
	stopped, size := u.stopped, u.size
	if u.whole { // from here on net/http notices when the visitor leaves
		_ = http.NewResponseController(u.w).SetReadDeadline(time.Time{})
	}
	u.mu.Unlock()
	defer u.rest() // after the exchange got the error; see context
	if over := u.meter.In(n); over != nil {
		u.x.Reject(over)
		return 0, over
	}
	var p *problem.Problem
	switch {
	case int64(size) > u.most:
		p = &problem.Problem{Code: schema.CodeContentTooLarge}
	case err == nil || err == io.EOF:
		return n, err
	case stopped:
		return n, errStopped
	case errors.Is(err, os.ErrDeadlineExceeded):
		u.x.Reject(claim.ErrTooSlow)
		return 0, claim.ErrTooSlow
	default:
		p = &problem.Problem{Code: schema.CodeBadRequest, Detail: "The content ended before it was whole, or its framing is malformed."}
	}
	u.x.Reject(p)
	return 0, p
}

// uninvited reports whether the visitor still waits for 100 (Continue). net/http sends it on the
// first read, and nobody may write at the same time.
func (u *upload) uninvited() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.r.ProtoMajor == 1 && wire.Expects(u.r) && u.size == 0 && !u.whole
}

// rest notes that no read is in progress.
func (u *upload) rest() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.reading = false
	u.idle.Broadcast()
}

// context returns a context that ends when the visitor leaves, and a function that frees it.
// net/http's own context also ends when a read fails, before the reader could say why; this one
// lets the reader say it first.
func (u *upload) context() (ctx context.Context, free func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(u.r.Context()))
	detach := context.AfterFunc(u.r.Context(), func() {
		u.mu.Lock()
		for u.reading {
			u.idle.Wait()
		}
		u.mu.Unlock()
		cancel()
	})
	return ctx, func() {
		detach()
		cancel()
	}
}

// stop stops further reads, waits for one in progress, and reports whether all content was read.
func (u *upload) stop() (whole bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stopped = true
	if u.reading {
		_ = http.NewResponseController(u.w).SetReadDeadline(intake.Past)
	}
	for u.reading {
		u.idle.Wait()
	}
	return u.whole
}

// Length returns the length that the visitor stated, or -1.
func (u *upload) Length() int64 { return u.r.ContentLength }

// Trailers returns the fields after the content.
func (u *upload) Trailers() []claim.Field {
	u.mu.Lock()
	defer u.mu.Unlock()
	return trailersOf(u.r, u.whole)
}

// trailersOf returns the trailers of a request; without values unless its content was read whole.
func trailersOf(r *http.Request, whole bool) (fields []claim.Field) {
	for _, name := range slices.Sorted(maps.Keys(r.Trailer)) {
		values := r.Trailer[name]
		if !whole {
			values = []string{""}
		}
		for _, v := range values {
			fields = append(fields, claim.Field{Name: name, Value: v})
		}
	}
	return fields
}

// Close does nothing: the exchange ends the rest of the content.
func (u *upload) Close() error { return nil }
