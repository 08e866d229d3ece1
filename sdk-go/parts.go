package reversehttp

import (
	"context"
	"errors"
	"math"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"reversehttp/schema/envelope"
)

// An answer in parts, a stream, is one whose beginning is sent before its end is known: its handler flushed, or wrote more
// than is held. The handler fills a buffer, and waits while it is full. The beginning is sent, and then the pump, a goroutine of
// the session, sends what the buffer has whenever it was flushed or is full, in one of three ways:
//
//	link   parts that wait for no result (stream.go), where there is a link that has room.
//	parts  one post after the other (post.go). What comes meanwhile goes with the next. They need no connection of their
//	       own, and tell in silence that the handler is at work.
//	long   one part that lasts (long.go): for much whose length the handler declared. The gateway relays it as it comes, so it
//	       is faster, and it is cut where it breaks off.
//
// The exchange is the pump's to end. If sending fails, the context of the handler ends, and so do its writes. Nothing is
// sent to another session of the gateway, because the visitor has the beginning of this answer.
//
// A stream that the handler gives up ends without a clean end, by an abort or a part that breaks
// off.

const (
	// How much of an answer is held before it becomes a stream.
	heldMost = 128 << 10
	// How much of a stream is held for the pump, which has as much on its way.
	streamBuffer = 64 << 10
	// After what silence it is given back.
	restAfter = time.Second
	// How long a handler may be silent until a part without content says that it is at work; a third of what the
	// gateway allows.
	quietMost = 20 * time.Second
	// How long it may take to tell the gateway that an answer ends early.
	abortMost = 30 * time.Second
)

var (
	errGivenUp = errors.New("reversehttp: the handler gave up")
	errInvalid = errors.New("reversehttp: the gateway calls the answer invalid")
	errBroken  = errors.New("reversehttp: the stream to the gateway broke")
)

// parts is an answer that goes in parts.
type parts struct {
	session  *Session
	x        *exchange
	upgraded bool         // nothing bounds the time between parts
	left     int64        // content after the beginning, if the handler declared a length; otherwise 0
	accepted func()       // called when the gateway took the beginning; may be nil
	head     <-chan taken // the result for the beginning
	at       *claimed     // that took it

	ctx     context.Context // ends when the stream has, with the reason
	cancelC context.CancelCauseFunc
	detach  func() bool // parts it from the handler's context

	wake chan struct{} // something changed for the pump; one place
	room chan struct{} // something was taken; one place

	mu       sync.Mutex // guards what follows
	most     int        // for pending
	quick    int        // posts before that were full, and quickly taken
	pending  []byte     // written and not taken
	flushing bool       // pending is to go at once
	ended    bool       // the handler writes no more
	cause    error      // why it gave up, if it did
	trailers http.Header

	passage passage

	taken []byte      // the pump's, until it takes again
	quiet *time.Timer // the pump's, while it waits; nil before the first time
}

// newParts begins to stream the answer of x, with its head. The buffer may have content, and more than is held from then on.
func newParts(s *Session, x *exchange, head *reply, buffer []byte) *parts {
	t := &parts{
		session: s, x: x, wake: make(chan struct{}, 1), room: make(chan struct{}, 1),
		pending: buffer, flushing: len(buffer) > 0, most: streamBuffer,
	}
	if n := s.current().Limits.PartBytes; n > 0 {
		t.most = min(t.most, n)
	}
	t.passage = passage{of: t, credit: make(chan struct{}, 1)}
	t.ctx, t.cancelC = context.WithCancelCause(s.life)
	t.detach = context.AfterFunc(x.ctx, func() { t.cancelC(context.Cause(x.ctx)) })
	x.posted = true
	t.begin(head)
	return t
}

// begin sends the beginning.
func (t *parts) begin(r *reply) {
	x, s := t.x, t.session
	head := make(chan taken, 1)
	t.head, x.answer = head, r
	s.exchanges.answering(x, head)
	if l := s.link.Load(); l != nil && !x.interims.posting() && l.give(x, true) {
		t.passage.given = l
		return
	}
	s.running.Go(func() { s.poster.post(x) })
}

// writeParts adds to a stream, and waits while the visitor is slow.
func writeParts[S string | []byte](t *parts, p S, deadline time.Time) (n int, err error) {
	for {
		if err := t.broken(deadline); err != nil {
			return n, err
		}
		t.mu.Lock()
		some := max(0, min(len(p), t.most-len(t.pending)))
		t.pending = append(t.grown(some), p[:some]...)
		full := len(t.pending) >= t.most
		t.mu.Unlock()
		if full {
			poke(t.wake)
		}
		n += some
		if p = p[some:]; len(p) == 0 {
			return n, nil
		}
		if err := t.awaitRoom(deadline); err != nil {
			return n, err
		}
	}
}

// grown returns pending with room for more, and for no more than is held: there may be a thousand. The caller holds t.mu.
func (t *parts) grown(more int) []byte {
	need := len(t.pending) + more
	if need <= cap(t.pending) {
		return t.pending
	}
	return append(make([]byte, 0, max(need, min(2*need, t.most))), t.pending...)
}

func (t *parts) awaitRoom(deadline time.Time) error {
	var expired <-chan time.Time
	if !deadline.IsZero() {
		timer := time.NewTimer(left(deadline))
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case <-t.room:
		return nil
	case <-t.ctx.Done():
		return context.Cause(t.ctx)
	case <-expired:
		return t.broken(deadline)
	}
}

// flush has the pump take what is there.
func (t *parts) flush(deadline time.Time) error {
	if err := t.broken(deadline); err != nil {
		return err
	}
	t.mu.Lock()
	t.flushing = true
	t.mu.Unlock()
	poke(t.wake)
	return nil
}

// broken returns why nothing more can be written. A deadline that has passed breaks the stream for
// good, as it breaks a connection.
func (t *parts) broken(deadline time.Time) error {
	if t.ctx.Err() != nil {
		return context.Cause(t.ctx)
	}
	t.mu.Lock()
	cause := t.cause
	t.mu.Unlock()
	if cause == nil && !deadline.IsZero() && !time.Now().Before(deadline) {
		cause = os.ErrDeadlineExceeded
		t.end(cause, nil)
		t.x.cancelC(cause)
	}
	return cause
}

// end says that the handler writes no more; and why it gave up, if it did. Only the first call counts.
func (t *parts) end(cause error, trailers http.Header) {
	if t.x.ctx.Err() != nil {
		t.cancelC(context.Cause(t.x.ctx))
	}
	t.detach()
	t.mu.Lock()
	if !t.ended {
		t.ended, t.cause, t.trailers = true, cause, trailers
	}
	t.mu.Unlock()
	poke(t.wake)
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// take waits for content that is to go, and for the end of the answer; where a link has what went before, until that has room
// for it. It returns nothing after a long silence. The content is the caller's until it takes again.
func (t *parts) take() (content []byte, last bool, err error) {
	bound := quietMost
	if t.upgraded {
		bound = math.MaxInt64
	}
	if t.quiet == nil {
		t.quiet = time.NewTimer(restAfter)
	} else {
		t.quiet.Reset(restAfter)
	}
	defer t.quiet.Stop()
	rests := false
	for {
		t.mu.Lock()
		due := len(t.pending) > 0 && (t.flushing || len(t.pending) >= t.most)
		ready := (due || t.ended) && t.passage.ready(min(len(t.pending), streamBuffer))
		switch {
		case t.ctx.Err() != nil:
			err = context.Cause(t.ctx)
		case t.ended && t.cause != nil && !(due && t.flushing): // what was flushed goes before
			err = errGivenUp
		case ready:
			some := min(len(t.pending), t.most)
			content, last = t.pending[:some], t.ended && t.cause == nil && some == len(t.pending)
			t.flushing = some < len(t.pending)
			if cap(t.taken) > t.most {
				t.taken = nil // what was held before it became a stream is more than one keeps
			}
			t.pending, t.taken = append(t.taken[:0], t.pending[some:]...), t.pending
		case !due:
			t.flushing = false // of nothing
		}
		t.mu.Unlock()
		if due && ready || last || err != nil {
			poke(t.room)
			return content, last, err
		}
		select {
		case <-t.wake:
		case <-t.passage.credit:
		case <-t.passage.lost():
			return nil, false, errLinkBroke
		case <-t.quiet.C:
			if rests {
				return nil, false, nil
			}
			rests = true
			t.rest()
			t.quiet.Reset(bound - restAfter)
		case <-t.ctx.Done():
			return nil, false, context.Cause(t.ctx)
		}
	}
}

// rest gives back the room that nothing is in. The pump has sent what it took.
func (t *parts) rest() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.taken, t.pending = nil, slices.Clone(t.pending)
}

// pump sends the stream to its end, and ends the exchange.
func (t *parts) pump() {
	err := t.run()
	t.x.cancelC(err)
	t.cancelC(err)
	t.session.exchanges.end(t.x)
}

// run sends the stream to its end.
func (t *parts) run() error {
	err := t.relay()
	if err != nil && !toldByGateway(err) {
		t.abort(err)
	}
	if err != nil && err != errGivenUp {
		t.session.log.Debug("stream broken", t.x.logged(), "error", err)
	}
	return err
}

// toldByGateway reports whether the gateway said that the stream is over. Where it did not, the visitor would wait for
// more until the gateway's time is over.
func toldByGateway(err error) bool {
	switch err {
	case errVisitorGone, errTimedOut, errSessionLost, errNotTaken:
		return true
	}
	return false
}

func (t *parts) relay() error {
	if err := t.passage.open(); err != nil {
		return err
	}
	t.x.timer.Stop()
	if t.accepted != nil {
		t.accepted()
	}
	return t.sendParts()
}

// abort tells the gateway that the answer is cut short.
func (t *parts) abort(reason error) {
	ctx, cancel := context.WithTimeout(t.session.life, abortMost)
	defer cancel()
	if t.at != nil {
		if reason != errGivenUp && reason != errInvalid {
			reason = errBroken // what it says in full is for the log
		}
		if t.passage.abort(ctx, reason) {
			return
		}
		_ = t.post(ctx, 1, func(form envelope.Answers) pieces { return pieces{form.Abort(t.x.id, reason.Error())} })
	}
}
