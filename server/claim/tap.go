package claim

import (
	"bytes"
	"slices"
	"sync"
	"time"
)

// Tap sees what happens to the exchanges of a claim, from the visitor's request to the end.
//
// See is called with the events of an exchange one at a time, in order, and concurrently with
// events of different exchanges. No lock is held. It runs on a goroutine that moves the exchange,
// which waits for it; events that others note meanwhile are kept until See returns. So See must not
// block or change the claim, and must copy what it keeps of an event's content.
type Tap interface{ See(Event) }

// EventKind is what happened to an exchange.
type EventKind string

// The kinds of an [Event].
const (
	// EventAsked: the visitor's request has come. An exchange that ends before it is not seen.
	EventAsked EventKind = "asked"
	// EventSent: content of the request passed, all of it at once if it is whole, otherwise as it
	// is read.
	EventSent EventKind = "sent"
	// EventDelivered: a session was given the request.
	EventDelivered EventKind = "delivered"
	// EventInformed: an interim response came.
	EventInformed EventKind = "informed"
	// EventAnswered: the answer began.
	EventAnswered EventKind = "answered"
	// EventReceived: content of the answer came from the program.
	EventReceived EventKind = "received"
	// EventEnded: the exchange ended. No event follows.
	EventEnded EventKind = "ended"
)

// Event is something that happened to an exchange.
type Event struct {
	Exchange *Exchange
	// Number counts the events of the exchange, from 1.
	Number int
	Kind   EventKind
	At     time.Time
	// Begun is when the exchange began, with EventAsked.
	Begun time.Time
	// Session is the id of the session of EventDelivered. Attempt counts the deliveries, as in
	// [Message].
	Session string
	Attempt int
	// Content is the content of EventSent or EventReceived. It is valid until See returns.
	Content []byte
	// Status is the status of EventInformed or EventAnswered.
	Status int
	// Fields are those of EventInformed or EventAnswered, and the trailers with EventEnded.
	Fields []Field
	// Complete says, in EventEnded, that all content of the request came.
	Complete bool
	// Outcome is the end in EventEnded; Failure is set unless it is Done.
	Outcome Outcome
	Failure *Failure
}

// retap sets the tap for exchanges that begin from now on. Earlier exchanges keep the tap that they
// had. The caller holds c.mu, or is the only one to know c.
func (c *Claim) retap() {
	if who := c.registry.options.Tap; who != nil {
		c.tap = who(c, c.terms)
	}
}

// untap calls [Options.Untap] at the end of the claim. The caller does not hold c.mu.
func (c *Claim) untap() {
	if over := c.registry.options.Untap; over != nil {
		over(c)
	}
}

// guard is a claim's mutex. Events that its holder noted for taps are shown once it is unlocked.
type guard struct {
	sync.Mutex
	noted []*watch // watches with events that nobody shows yet; guarded by the mutex
}

// Unlock unlocks the mutex and shows the noted events.
func (g *guard) Unlock() {
	noted := g.noted
	g.noted = nil
	g.Mutex.Unlock()
	for _, w := range noted {
		w.show()
	}
}

// watch shows the events of an exchange to its tap. claim.mu guards it, and events are numbered and
// noted under it. The goroutine that noted the first event shows it after unlocking, with those
// that others note meanwhile, so nobody else waits for a busy tap. A nil watch has no tap.
type watch struct {
	tap    Tap
	x      *Exchange
	number int     // of the last event
	events []Event // to be shown
	busy   bool    // somebody shows them, or will
}

// newWatch begins to show an exchange that is asked to the tap of its claim. The caller holds
// claim.mu.
func newWatch(x *Exchange) *watch {
	if x.claim.tap == nil || x.state == ended {
		return nil
	}
	w := &watch{tap: x.claim.tap, x: x}
	w.note(Event{Kind: EventAsked, Begun: x.begun})
	switch content := x.request.Content; {
	case content.Streams():
		content.watch = w
	case content.Length() > 0:
		w.note(Event{Kind: EventSent, Content: content.Bytes()})
	}
	return w
}

// note notes an event. The caller holds claim.mu.
func (w *watch) note(e Event) {
	g := &w.x.claim.mu
	switch {
	case !w.busy:
		w.busy = true
		g.noted = append(g.noted, w)
	case e.Kind == EventSent && !slices.Contains(g.noted, w): // another goroutine shows it, later
		e.Content = bytes.Clone(e.Content)
	}
	w.number++
	e.Exchange, e.Number, e.At = w.x, w.number, time.Now()
	w.events = append(w.events, e)
}

// show shows what is noted until there is no more.
func (w *watch) show() {
	mu := &w.x.claim.mu.Mutex
	for {
		mu.Lock()
		events := w.events
		w.events, w.busy = nil, len(events) > 0
		mu.Unlock()
		if len(events) == 0 {
			return
		}
		for _, e := range events {
			w.tap.See(e)
		}
	}
}

// sent notes what was read of content that streams. The caller holds no lock.
func (w *watch) sent(content []byte) {
	if w == nil || len(content) == 0 {
		return
	}
	w.x.claim.mu.Lock()
	defer w.x.claim.mu.Unlock()
	if w.x.state != ended {
		w.note(Event{Kind: EventSent, Content: content})
	}
}

// delivered notes that a session is given the request. The caller holds claim.mu.
func (w *watch) delivered(s *Session) {
	if w != nil {
		w.note(Event{Kind: EventDelivered, Session: s.id, Attempt: w.x.attempt})
	}
}

// informed notes an interim response. The caller holds claim.mu.
func (w *watch) informed(a *Answer) {
	if w != nil {
		w.note(Event{Kind: EventInformed, Status: a.Status, Fields: a.Fields})
	}
}

// answered notes an answer, whole or its beginning. The caller holds claim.mu, and the visitor's
// door does not have the answer yet.
func (w *watch) answered(a *Answer) {
	if w != nil && a != nil {
		w.note(Event{Kind: EventAnswered, Status: a.Status, Fields: a.Fields})
		w.received(a.Content)
	}
}

// received notes content of the answer. The caller holds claim.mu.
func (w *watch) received(content []byte) {
	if w != nil && len(content) > 0 {
		w.note(Event{Kind: EventReceived, Content: content})
	}
}

// ended notes the end of the exchange, with a the answer, if any. The caller holds claim.mu.
func (w *watch) ended(a *Answer) {
	if w == nil {
		return
	}
	content := w.x.request.Content
	e := Event{Kind: EventEnded, Complete: !content.Streams() || content.ended.Load(), Outcome: w.x.outcome, Failure: w.x.failure}
	if a != nil && e.Outcome == Done {
		e.Fields = a.Trailers
	}
	w.note(e)
}
