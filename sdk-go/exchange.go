package reversehttp

import (
	"context"
	"errors"
	"sync"
	"time"

	"reversehttp/schema"
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
	errVisitorGone = errors.New("reversehttp: the visitor left")
	errTimedOut    = errors.New("reversehttp: the time for the answer is over")
	errSessionLost = errors.New("reversehttp: the session that had the request is over")
	errNotTaken    = errors.New("reversehttp: the gateway takes the answer no more")
)

// exchange is one request and its response.
type exchange struct {
	id      string
	session *claimed // that delivered it
	ctx     context.Context
	cancelC context.CancelCauseFunc
	timer   *time.Timer

	answer   []byte // the message to post; set once before answering, and once more if it is refused
	replaced bool   // the answer is a 500 in place of one that was refused
	posted   bool   // while the handler ran
	hijacked bool   // the conn ends it
	interims interims

	// Guarded by exchanges.mu.
	phase       phase
	again       bool // delivered again while answering
	deadline    time.Time
	bodyURL     string
	responseURL string
	head        chan<- taken // told what became of the beginning of a stream; nil for a whole answer
	parts       func()       // called, instead of ending ctx, when the visitor leaves; may be nil
}

// taken says which session of the gateway took the beginning of a stream, and where the rest goes; or why none did.
type taken struct {
	at  *claimed
	url string
	err error
}

// exchanges are those of a session that may still be delivered or cancelled. The zero value is ready.
type exchanges struct {
	mu   sync.Mutex           // guards what follows
	byID map[string]*exchange // nil stands for ended
	old  []string             // the ended ones, a ring
	next int                  // where the next one goes in old
}

// begin returns a new exchange, or nil for an id that is known. A kept one that is delivered again is returned as known.
func (e *exchanges) begin(life context.Context, at *claimed, r *schema.Request) (fresh, known *exchange) {
	timeout := time.Duration(r.TimeoutMs) * time.Millisecond
	deadline := time.Now().Add(timeout)
	e.mu.Lock()
	defer e.mu.Unlock()
	x, seen := e.byID[r.ID]
	switch {
	case seen && (x == nil || x.phase == streaming):
		return nil, nil
	case seen:
		x.session, x.deadline, x.bodyURL, x.responseURL = at, deadline, r.BodyURL, r.ResponseURL
		x.again = x.phase == answering
		if x.phase != kept {
			return nil, nil
		}
		x.phase = answering
		return nil, x
	}
	x = &exchange{id: r.ID, session: at, deadline: deadline, bodyURL: r.BodyURL, responseURL: r.ResponseURL}
	x.ctx, x.cancelC = context.WithCancelCause(life)
	x.timer = time.AfterFunc(timeout, func() { x.cancelC(errTimedOut) })
	if e.byID == nil {
		e.byID = map[string]*exchange{}
	}
	e.byID[r.ID] = x
	return x, nil
}

// cancel ends the context of an exchange.
func (e *exchanges) cancel(id string, reason schema.CancelReason) {
	e.mu.Lock()
	x := e.byID[id]
	if x != nil && x.phase == kept {
		e.endLocked(x)
	}
	var parts func()
	if x != nil {
		parts = x.parts
	}
	e.mu.Unlock()
	if x == nil {
		return
	}
	if parts != nil && reason == schema.CancelVisitorGone {
		parts()
		return
	}
	cause := errVisitorGone
	if reason == schema.CancelTimedOut {
		cause = errTimedOut
	}
	x.cancelC(cause)
}

// linger has parts called, instead of ending the context of x, when the visitor leaves.
func (e *exchanges) linger(x *exchange, parts func()) {
	e.mu.Lock()
	x.parts = parts
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
	x.head <- taken{at: at, url: x.responseURL}
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

// late reports whether an answer to x is of no use any more.
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

// latest returns when the last of some exchanges is of no use any more.
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
