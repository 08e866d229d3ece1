package gateway

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"

	"reversehttp/schema"
	"reversehttp/server/claim"
	"reversehttp/server/field"
	"reversehttp/server/intake"
	"reversehttp/server/problem"
	"reversehttp/server/wire"
)

// upload is the content of a visitor's request that a session fetches while it
// comes. It belongs to the goroutine that serves the visitor, which stops it
// before it returns: net/http allows nobody to read after that.
type upload struct {
	g *Gateway
	w http.ResponseWriter
	r *http.Request
	x *claim.Exchange
	// hold is waited for while somebody reads.
	hold *claim.Hold

	mu      sync.Mutex    // guards below
	since   time.Time     // when the read that goes on began
	waited  time.Duration // for the visitor, in reads that are over
	live    bool          // the answer has begun
	reading bool
	begun   bool // somebody has read
	stopped bool
	whole   bool      // it was read to its end
	size    int       // bytes read
	idle    sync.Cond // nobody reads
}

// streams tells whether the content of a request is fetched: it is long, or
// nobody knows how long, or the visitor says that it comes bit by bit.
func (g *Gateway) streams(r *http.Request) bool {
	return r.ContentLength < 0 || r.ContentLength > int64(g.options.InlineBytes) || r.ContentLength > 0 && field.IsIncremental(r.Header)
}

func newUpload(w http.ResponseWriter, r *http.Request, x *claim.Exchange, g *Gateway, hold *claim.Hold) *upload {
	u := &upload{g: g, w: w, r: r, x: x, hold: hold}
	u.idle.L = &u.mu
	// The answer may begin before the content has ended.
	_ = http.NewResponseController(w).EnableFullDuplex()
	return u
}

// errStopped ends a reader whose exchange has ended.
var errStopped = errors.New("gateway: the exchange has ended")

// end stops the upload when the answer was written. What is left of the content
// must not be taken for the next request, so the connection ends then.
func (u *upload) end() {
	if !u.stop() && u.r.ProtoMajor == 1 && (u.begun || !wire.Expects(u.r)) {
		wire.HangUp(u.w)
	}
}

// until is when the visitor has to have sent something more: see [pace]. Once the answer has
// begun content is live, and only its pauses are bounded. The caller holds u.mu.
func (u *upload) until() time.Time {
	p := u.g.paceOf(u.x)
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

// Read reads what the visitor sends next, in the time that they have for it.
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
	if u.whole { // net/http watches for the visitor's leaving from here on
		_ = http.NewResponseController(u.w).SetReadDeadline(time.Time{})
	}
	u.mu.Unlock()
	defer u.rest() // after the exchange has learnt what is wrong; see context
	var p *problem.Problem
	switch {
	case size > u.g.options.ContentBytes:
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

// uninvited tells whether the visitor has yet to be sent 100 (Continue). net/http
// sends that for who reads, and nobody may write beside it.
func (u *upload) uninvited() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.r.ProtoMajor == 1 && wire.Expects(u.r) && u.size == 0 && !u.whole
}

// rest notes that nobody reads.
func (u *upload) rest() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.reading = false
	u.idle.Broadcast()
}

// context gives the context of the visitor's request, which ends when the
// visitor leaves, and what frees it. net/http ends its own also when a read
// fails, before that tells why: who reads says it first.
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

// stop lets nobody read any more, waits for who does, and tells whether all was
// read.
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
func (u *upload) Trailers() (fields []claim.Field) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(u.r.Trailer)) {
		values := u.r.Trailer[name]
		if !u.whole {
			values = []string{""} // announced
		}
		for _, v := range values {
			fields = append(fields, claim.Field{Name: name, Value: v})
		}
	}
	return fields
}

// Close does nothing: the exchange ends what is left of the content.
func (u *upload) Close() error { return nil }

// chunk is how much content is copied at a time, in bytes.
const chunk = 32 << 10

// fetch answers GET {bodyUrl}: the content of a request as the visitor sends it.
func (g *Gateway) fetch(w http.ResponseWriter, r *http.Request) {
	s := sessionOf(r)
	content, err := s.Fetch(chi.URLParam(r, "exchange"))
	if err != nil {
		problem.Of(err).Write(w, r)
		return
	}
	defer s.Work()()
	in := content.Open()
	defer context.AfterFunc(r.Context(), func() { _ = in.Close() })()
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	// It is a stranger's, on the control origin.
	h.Set("Content-Type", "application/octet-stream")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "sandbox")
	// A proxy that buffers would keep a WebSocket's messages back, and an upload.
	h.Set("X-Accel-Buffering", "no")
	h[field.Incremental] = []string{"?1"}
	if n := content.Length(); n >= 0 {
		h.Set("Content-Length", strconv.FormatInt(n, 10))
	}
	w.WriteHeader(http.StatusOK)
	rc := http.NewResponseController(w)
	_ = rc.Flush()
	buf := make([]byte, chunk)
	for {
		n, err := in.Read(buf)
		if n > 0 {
			wire.BoundWrite(w, n)
			if _, err := w.Write(buf[:n]); err != nil {
				return
			}
			_ = rc.Flush()
		}
		switch {
		case err == io.EOF:
			wire.BoundWrite(w, 0) // the end of the content may have come late
			for _, f := range content.Trailers() {
				h.Add(http.TrailerPrefix+f.Name, f.Value)
			}
			return
		case err != nil:
			panic(http.ErrAbortHandler) // no clean end
		}
	}
}

// relayMore relays what follows the beginning of a streamed answer.
func (g *Gateway) relayMore(w http.ResponseWriter, r *http.Request, x *claim.Exchange, a *claim.Answer, hold *claim.Hold) {
	rc := http.NewResponseController(w)
	silent := r.Method == http.MethodHead
	chunks := [][]byte{a.Content}
	a.Content = nil // it need not stay until the end
	ctx := r.Context()
	left, err := strconv.ParseInt(w.Header().Get("Content-Length"), 10, 64)
	if err != nil {
		left = -1 // nobody said how much comes
	}
	for {
		for _, content := range chunks {
			if silent || len(content) == 0 {
				continue
			}
			if err := writePieces(w, content, hold); errors.Is(err, http.ErrContentLength) {
				x.Fail(claim.ErrHandlerFailed)
				panic(http.ErrAbortHandler)
			} else if err != nil {
				x.Leave()
				panic(http.ErrAbortHandler)
			}
			if left -= int64(len(content)); left == 0 {
				ctx = context.WithoutCancel(ctx) // the visitor has all of it, and may go
			}
		}
		hold.Wait()
		err := rc.Flush()
		hold.Move(0)
		if err != nil {
			x.Leave()
			panic(http.ErrAbortHandler)
		}
		chunks, err = x.Next(ctx)
		if err == io.EOF {
			wire.BoundWrite(w, 0) // the end may have come long after the last content
			addTrailers(w.Header(), a.Trailers)
			return
		}
		if err != nil {
			panic(http.ErrAbortHandler) // no clean end
		}
	}
}

// addTrailers puts trailers after the content.
func addTrailers(h http.Header, trailers []claim.Field) {
	for _, f := range trailers {
		if strings.EqualFold(f.Name, "Proxy-Status") && field.Forges(f.Value) {
			continue
		}
		name := http.TrailerPrefix + http.CanonicalHeaderKey(f.Name)
		h[name] = append(h[name], f.Value)
	}
}
