package reversehttp

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
)

// The phases of an exchange in this program. A request may be delivered again at any of them; it is begun once.
//
//	running    the handler has it, or it waits for a slot
//	answering  the answer, or the beginning of one, waits to be posted or is on its way
//	streaming  the gateway has the beginning, and the stream sends the rest
//	kept       the gateway did not know the exchange: it moved on from the session that had it. If it comes back, the
//	           answer is posted again
//	ended      nothing is left to do; the id is remembered
const (
	running phase = iota
	answering
	streaming
	kept
	ended
)

type phase int

// How many ids of ended exchanges are remembered; as many as the gateway remembers of a session.
const idsMost = 16384

// What context.Cause says to a handler.
var (
	errVisitorGone = error(&ending{"reversehttp: the visitor left", context.Canceled})
	errTimedOut    = error(&ending{"reversehttp: the time for the answer is over", context.DeadlineExceeded})
	errSessionLost = errors.New("reversehttp: the session that had the request is over")
	errNotTaken    = errors.New("reversehttp: the gateway takes the answer no more")
)

// ending is why the context of an exchange ended, which callers know by the errors of package context.
type ending struct {
	text string
	kind error
}

func (e *ending) Error() string { return e.text }
func (e *ending) Unwrap() error { return e.kind }

// exchange is one request and its response.
type exchange struct {
	id          string
	traceparent string
	session     *claimed // that delivered it
	ctx         context.Context
	cancelC     context.CancelCauseFunc
	timer       *time.Timer

	answer   *reply // to post; set once before answering, and once more if it is refused
	replaced bool   // the answer is a 500 in place of one that was refused
	posted   bool   // while the handler ran
	hijacked bool   // the conn ends it
	interims interims
	fields   envelope.Pairs // of the answer to come
	reply    reply          // the answer, where it is whole
	response response       // what the handler writes; set when it begins

	unconfirmed unconfirmed // guarded by the mu of the link that it is on

	// Guarded by exchanges.mu.
	phase    phase
	again    bool // delivered again while answering
	deadline time.Time
	bodyURL  string
	head     chan<- taken // receives the result for the beginning of a stream; nil for a whole answer
	departs  func()       // called, instead of ending ctx, when the visitor leaves; may be nil
	leaves   func()       // called when the gateway stops, and the handler is to end its connection; may be nil
}

// taken says which session of the gateway took the beginning of a stream; or why none did.
type taken struct {
	at  *claimed
	err error
}

// exchanges are those of a session that may still be delivered or cancelled. The zero value is ready.
type exchanges struct {
	mu   sync.Mutex           // guards what follows
	byID map[string]*exchange // nil stands for ended
	old  []string             // the ended ones, a ring
	next int                  // where the next one goes in old

	cancels recent // the cancellations that came
}

// recent is a set of the newest ids that came. The zero value is ready.
type recent struct {
	ids  map[string]struct{}
	old  []string // a ring
	next int      // where the next one goes in old
}

// mostCancels is how many ids of cancellations are remembered; as many as a session of the gateway has unacknowledged.
const mostCancels = 1024

// add remembers an id, and forgets the oldest if there are too many. It reports whether the id is new.
func (r *recent) add(id string) bool {
	if _, known := r.ids[id]; known {
		return false
	}
	if r.ids == nil {
		r.ids = map[string]struct{}{}
	}
	r.ids[id] = struct{}{}
	if len(r.old) < mostCancels {
		r.old = append(r.old, id)
		return true
	}
	delete(r.ids, r.old[r.next])
	r.old[r.next] = id
	r.next = (r.next + 1) % mostCancels
	return true
}

// begin returns a new exchange, or nil for an id that is known. One whose answer is there and on no way is returned as
// known when it is delivered again.
func (e *exchanges) begin(life context.Context, at *claimed, r *envelope.Request) (fresh, known *exchange) {
	timeout := time.Duration(r.TimeoutMs) * time.Millisecond
	deadline := time.Now().Add(timeout)
	e.mu.Lock()
	defer e.mu.Unlock()
	x, seen := e.byID[r.ID]
	switch {
	case seen && (x == nil || x.phase == streaming):
		return nil, nil
	case seen:
		x.session, x.deadline, x.bodyURL = at, deadline, r.BodyURL
		x.again = x.phase == answering
		if x.phase != kept {
			return nil, nil
		}
		x.phase = answering
		return nil, x
	}
	x = &exchange{id: r.ID, traceparent: r.Traceparent, session: at, deadline: deadline, bodyURL: r.BodyURL}
	x.ctx, x.cancelC = context.WithCancelCause(life)
	x.timer = time.AfterFunc(timeout, func() { x.cancelC(errTimedOut) })
	if e.byID == nil {
		e.byID = map[string]*exchange{}
	}
	e.byID[r.ID] = x
	return x, nil
}

// cancel ends the context of an exchange. It reports whether the cancellation is new, even if the exchange has ended.
func (e *exchanges) cancel(id string, reason schema.CancelReason) (isNew bool) {
	e.mu.Lock()
	x := e.byID[id]
	isNew = e.cancels.add(id + " " + string(reason))
	if reason == schema.CancelDraining {
		var leaves func()
		if x != nil {
			leaves = x.leaves
		}
		e.mu.Unlock()
		if leaves != nil {
			leaves()
		}
		return isNew
	}
	if x != nil && x.phase == kept {
		e.endLocked(x)
	}
	var departs func()
	if x != nil {
		departs = x.departs
	}
	e.mu.Unlock()
	if x == nil {
		return isNew
	}
	if departs != nil && reason == schema.CancelVisitorGone {
		departs()
		return isNew
	}
	cause := errVisitorGone
	if reason == schema.CancelTimedOut {
		cause = errTimedOut
	}
	x.cancelC(cause)
	return isNew
}

// linger has departs called, instead of ending the context of x, when the visitor leaves, and leaves when the gateway stops.
func (e *exchanges) linger(x *exchange, departs, leaves func()) {
	e.mu.Lock()
	x.departs, x.leaves = departs, leaves
	e.mu.Unlock()
}

// answering notes that x has its answer, or the beginning of one if there is a head.
func (e *exchanges) answering(x *exchange, head chan<- taken) {
	e.mu.Lock()
	x.phase, x.head = answering, head
	e.mu.Unlock()
}

// streaming notes that the session at took the answer of x, if that is the beginning of one. It reports false for a
// whole answer.
func (e *exchanges) streaming(x *exchange, at *claimed) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if x.head == nil || x.phase != answering {
		return false
	}
	x.phase, x.session, x.answer = streaming, at, nil
	x.head <- taken{at: at}
	x.head = nil
	return true
}

// content returns where the content of x is asked for, and the token to show there.
func (e *exchanges) content(x *exchange) (url, token string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return x.bodyURL, x.session.Token
}

// claimed returns the session that delivered x last.
func (e *exchanges) claimed(x *exchange) *claimed {
	e.mu.Lock()
	defer e.mu.Unlock()
	return x.session
}

// lose ends the contexts of what streams in the session at, which is over: the visitors have a part of their answers,
// so nobody may answer them again.
func (e *exchanges) lose(at *claimed) {
	var lost []*exchange
	e.mu.Lock()
	for _, x := range e.byID {
		if x != nil && x.phase == streaming && x.session == at {
			lost = append(lost, x)
		}
	}
	e.mu.Unlock()
	for _, x := range lost {
		x.cancelC(errSessionLost)
	}
}

// loseStreams ends what streams in a session if the gateway knows that no more. One that drains, or whose claim ended,
// still takes answers.
func (e *exchanges) loseStreams(at *claimed, err error) {
	var refused *Error
	if errors.As(err, &refused) && (refused.Status == http.StatusNotFound || refused.Status == http.StatusConflict) {
		e.lose(at)
	}
}

// unknown notes that the gateway did not know x in the session at. It reports true if x is to be posted again.
func (e *exchanges) unknown(x *exchange, at *claimed) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case x.phase == ended:
		return false
	case x.again:
		x.again = false
		return true
	case x.session == at:
		e.endLocked(x)
		return false
	}
	x.phase = kept
	// The one place where an answer is held without anybody at work on it: it goes when its time is over.
	time.AfterFunc(time.Until(x.deadline), func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if x.phase == kept {
			e.endLocked(x)
		}
	})
	return false
}

// late reports whether nobody needs an answer to x.
func (e *exchanges) late(x *exchange) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return x.phase == ended || !time.Now().Before(x.deadline)
}

// end forgets all of x but its id.
func (e *exchanges) end(x *exchange) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.endLocked(x)
}

// endLocked is end for a caller that holds e.mu.
func (e *exchanges) endLocked(x *exchange) {
	if x.phase == ended {
		return
	}
	x.phase = ended
	if x.head != nil {
		x.head <- taken{err: errNotTaken}
		x.head = nil
	}
	e.byID[x.id] = nil
	if len(e.old) < idsMost {
		e.old = append(e.old, x.id)
		return
	}
	delete(e.byID, e.old[e.next])
	e.old[e.next] = x.id
	e.next = (e.next + 1) % idsMost
}

// latest returns when nobody will need the answer to the last of some exchanges.
func (e *exchanges) latest(batch []*exchange) time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	var t time.Time
	for _, x := range batch {
		if x.deadline.After(t) {
			t = x.deadline
		}
	}
	return t
}
