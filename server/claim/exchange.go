package claim

import (
	"cmp"
	"container/list"
	"context"
	"net/netip"
	"time"

	"reversehttp/server/budget"
)

// Outcome is the end of an exchange.
type Outcome int

// The four ends.
const (
	Done Outcome = iota
	Failed
	TimedOut
	Abandoned
)

// String returns the word for metrics and logs.
func (o Outcome) String() string {
	return [...]string{"done", "failed", "timed_out", "abandoned"}[o]
}

type state int

const (
	receiving state = iota
	queued
	delivered
	running
	answering
	ended
)

// Exchange is one request and its answer. See the package documentation for
// its states.
type Exchange struct {
	// Inline is how many bytes of content a session of the claim takes along with the request: the
	// most that any session's last poll asked for ([Flow.Inline]), or 0 if none did.
	Inline int
	// Timeout is how long the visitor waits for the answer, see [Settings].
	Timeout time.Duration

	claim  *Claim
	id     string
	begun  time.Time
	hold   *budget.Hold
	from   netip.Prefix // the address whose share of the queue it uses; the zero value for none
	absent func() *Answer
	// request is set by Do, before any session can see the exchange.
	request *Request

	// All below is guarded by claim.mu.
	era     uint32 // see eras
	state   state
	element *list.Element // in claim.queue
	session *Session      // that it is assigned, or was delivered, to
	number  uint64        // of the message that gave it to session last
	attempt int           // deliveries so far
	moves   int           // deliveries again after a lost session
	seen    bool          // some session said that it has it
	lost    bool          // some session was lost with it
	due     deadline
	fetched bool // its content was asked for
	gathers bool // the gateway collects it, and no program has had the request
	// rejected says that the exchange failed because of its visitor after it was handed over.
	rejected bool
	parts    *parts // of a streamed answer
	failure  *Failure
	outcome  Outcome
	interims interims
	over     chan struct{} // closed at the end; nil while nobody asks
	watch    *watch        // nil where no tap sees it

	// news receives a value when there is an interim response, the answer or a failure, while a
	// call of Do runs. Its capacity is 1.
	news chan struct{}
	// answer is immutable, except for its trailers, once state is answering or an end.
	answer *Answer
}

// ID names the exchange, uniquely for this gateway and its restarts.
func (x *Exchange) ID() string { return x.id }

// Request returns the visitor's request.
func (x *Exchange) Request() *Request { return x.request }

// Hold returns the hold of the exchange and its request.
func (x *Exchange) Hold() *budget.Hold { return x.hold }

// Over is closed when the exchange has ended, for any reason.
func (x *Exchange) Over() <-chan struct{} {
	x.claim.mu.Lock()
	defer x.claim.mu.Unlock()
	if x.over == nil {
		x.over = make(chan struct{})
		if x.state == ended {
			close(x.over)
		}
	}
	return x.over
}

// Begin opens an exchange whose request the visitor is still sending. It fails at once with a
// [*Failure] if no session lives or a bound is reached. The caller must end the exchange with
// [Exchange.Do] or [Exchange.Fail].
//
// The exchange, its request, and the answer until the visitor has it count in h, which the caller
// closes afterwards. If places run out, an exchange that waits for its visitor makes room (see
// [Exchange.Reject]).
//
// If the exchange fails with [ErrNoHandler], absent is called once, on the caller's goroutine, and
// returns the answer that the visitor gets instead ([Failure.Answer]), or nil. A nil absent is
// never called.
func (c *Claim) Begin(h *budget.Hold, absent func() *Answer) (*Exchange, error) {
	c.Charge(h)
	x := &Exchange{claim: c, hold: h, absent: absent, begun: time.Now()}
	x.due.x, x.interims.x = x, x
	placed := h.Enter(budget.Exchanges)
	c.mu.Lock()
	x.id = c.exchanges.name()
	x.Timeout = c.terms.Timeout
	x.Inline = c.inline()
	room := c.exchanges.add(x)
	if !room && c.exchanges.open > c.registry.limits.Queue {
		room = c.exchanges.makeRoom(x)
	}
	var why error
	switch {
	case c.gone != nil:
		why = missing(c.gone)
	case c.registry.drain.begun():
		why = ErrDraining
	case !c.served() && time.Since(c.awaited) >= c.registry.times.NoPoller:
		why = ErrNoHandler
	case !room, !placed:
		why = ErrQueueFull
	}
	if why != nil {
		x.fail(why)
	}
	c.mu.Unlock()
	if why != nil {
		return nil, x.end()
	}
	return x, nil
}

// Fail ends an exchange because of err. No call of Do or Next may be running. [ErrVisitorGone]
// abandons the exchange.
func (x *Exchange) Fail(err error) {
	x.claim.mu.Lock()
	if err == ErrVisitorGone {
		x.abandon()
	} else {
		x.fail(err)
	}
	x.claim.mu.Unlock()
	_ = x.end()
}

// Do hands the request to a session and waits for the answer. It fails with a [*Failure]. The end
// of ctx means that the visitor left. The caller must not change req afterwards, continues with
// [Exchange.Next] if the answer has More, and owns the content of the answer.
func (x *Exchange) Do(ctx context.Context, req *Request) (*Answer, error) {
	c := x.claim
	x.request = req
	by := c.registry.waiters.get()
	defer c.registry.waiters.put(by)
	c.mu.Lock()
	x.news = by.news
	if x.state == ended {
		poke(x.news)
	}
	switch {
	case req.Upgrade == "":
	case c.registry.drain.parts.Load():
		x.fail(ErrDraining)
	case !c.exchanges.upgrades():
		x.fail(ErrUpgrades)
	}
	before := req.before()
	noted := before != nil && before.ID != ""
	if noted {
		x.id, x.attempt = before.ID, before.Attempt
	}
	x.lost = before != nil && before.Lost && x.mayRepeat()
	x.watch = newWatch(x)
	if noted {
		resume(x, before)
	} else {
		c.queue.put(x)
	}
	wait := x.due.left(x.due.queued)
	c.mu.Unlock()

	by.timer.Reset(wait)
	for {
		select {
		case <-by.news:
			if ready := x.interims.give(); !ready {
				continue
			}
			if a := x.answer; a != nil && a.More {
				return a, nil
			}
			if err := x.end(); err != nil {
				return nil, err
			}
			return x.answer, nil
		case <-ctx.Done():
			c.mu.Lock()
			x.abandon()
			c.mu.Unlock()
		case <-by.timer.C:
			c.mu.Lock()
			by.timer.Reset(x.due.look())
			c.mu.Unlock()
		}
	}
}

// end reports the end of the exchange to [Options.Ended] and returns its failure.
func (x *Exchange) end() error {
	f := x.failure
	if f != nil && f.Err == ErrNoHandler && x.absent != nil {
		f = &Failure{Err: f.Err, Handed: f.Handed, Answer: x.absent()} // a tap may read the other one
	}
	if report := x.claim.registry.options.Ended; report != nil && (f == nil || f.Err != ErrMoved) { // it ends elsewhere
		report(endedOf(x, f))
	}
	if f != nil {
		return f
	}
	return nil
}

// abandon ends x because the visitor left. The caller holds claim.mu.
func (x *Exchange) abandon() { x.drop(Abandoned, ErrVisitorGone) }

// Reject ends an exchange because of its visitor and tells the session that has it. With
// [ErrDraining] it ends only an exchange that no session can have. It reports whether it ended the
// exchange.
func (x *Exchange) Reject(why error) bool {
	x.claim.mu.Lock()
	defer x.claim.mu.Unlock()
	if x.state == ended || why == ErrDraining && x.state != receiving {
		return false
	}
	x.rejected = x.state != receiving
	x.drop(Failed, why)
	return true
}

// drop ends x because of its visitor, and tells the session that has it. The caller
// holds claim.mu.
func (x *Exchange) drop(o Outcome, err error) {
	held := x.state == delivered || x.state == running || x.state == answering
	s := x.session
	if x.finish(o, nil, &Failure{Err: err, Handed: x.handed()}) && held {
		s.out.cancel(x, CancelVisitorGone)
	}
}

// fail ends x with err. The caller holds claim.mu.
func (x *Exchange) fail(err error) {
	f := &Failure{Err: err, Handed: x.handed()}
	if err == ErrMoved {
		f.Before = lastNote(x)
	}
	x.finish(Failed, nil, f)
}

// finish ends x, unless it has ended, and reports whether it did. The caller holds claim.mu.
func (x *Exchange) finish(o Outcome, a *Answer, f *Failure) bool {
	if x.state == ended {
		return false
	}
	if x.state == queued {
		x.claim.queue.take(x)
	}
	c, streamed := x.claim, x.state == answering
	x.outcome = o
	if s := x.session; s != nil && s.held[x.id] == x {
		delete(s.held, x.id)
		if f == nil || f.Err != ErrMoved { // its answer is judged elsewhere
			s.tombs.remember(x, a)
		}
	}
	if streamed && x.answer.upgraded() {
		c.exchanges.upgraded--
	}
	x.state, x.failure = ended, f
	c.exchanges.remove(x, o)
	x.hold.Exit(budget.Exchanges)
	x.watch.answered(a)
	x.watch.ended(cmp.Or(a, x.answer))
	if streamed {
		x.parts.endConfirms()
		x.parts.come()
		x.parts.makeRoom()
	} else {
		x.answer = a
		poke(x.news)
	}
	if x.over != nil {
		close(x.over)
	}
	return true
}

// handed returns whether a handler had x. The caller holds claim.mu.
func (x *Exchange) handed() Handed {
	switch {
	case x.seen:
		return HandedYes
	case x.gathers && !x.lost:
		return HandedNo
	case x.lost, x.state == delivered, x.state == running:
		return HandedUnknown
	}
	return HandedNo
}
