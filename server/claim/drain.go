package claim

import (
	"sync"
	"sync/atomic"
	"time"
)

// drain is the progress of a gateway that stops. Its owner stops it in two steps:
//
//	Drain   upgraded connections end, and everything else goes on as usual; then nothing new is accepted, and polls end
//	GiveUp  exchanges without an answer fail
type drain struct {
	parts  atomic.Bool   // set by the first step
	begins chan struct{} // closed by the second
	once   sync.Once
	spread time.Duration // over which polls end; set before begins is closed
	eras   eras
}

// begin ends polls, spread over a time.
func (d *drain) begin(spread time.Duration) {
	d.once.Do(func() {
		d.spread = max(spread, 1)
		close(d.begins)
	})
}

// begun reports whether polls end.
func (d *drain) begun() bool {
	select {
	case <-d.begins:
		return true
	default:
		return false
	}
}

// tellEach is the time between the ends of two polls, so that few end at once.
const tellEach = time.Millisecond

// part sends [CancelDraining] to the program of an upgraded connection. The caller holds claim.mu.
func (x *Exchange) part() {
	if x.state == answering && x.answer.upgraded() {
		x.session.out.cancel(x, CancelDraining)
		time.AfterFunc(x.claim.registry.times.Parting, x.cut)
	}
}

// cut ends an upgraded connection.
func (x *Exchange) cut() {
	x.claim.mu.Lock()
	defer x.claim.mu.Unlock()
	if x.state == answering {
		x.rejected = true // no answer reaches anybody
		x.fail(ErrDraining)
	}
}

// Drain tells the programs of upgraded connections that the gateway stops. Connections that they
// have not ended within [Times.Parting] fail with [ErrDraining]. From then on a request to upgrade
// fails with it too, and an answer that upgrades nevertheless is cancelled at once.
//
// Once served has returned, nothing new is accepted: queued exchanges fail with [ErrDraining], polls end with
// it, spread over at most [Times.Spread], and delivered exchanges may still be answered. A nil served returns
// at once.
func (r *Registry) Drain(served func()) {
	if r.drain.parts.CompareAndSwap(false, true) {
		r.eachHeld((*Exchange).part)
	}
	if served != nil {
		served()
	}
	r.letNothingIn()
}

// letNothingIn ends polls and queued exchanges.
func (r *Registry) letNothingIn() {
	r.drain.begin(min(r.times.Spread, time.Duration(r.polls.Load())*tellEach))
	r.claims.Range(func(_, v any) bool {
		c := v.(*Claim)
		c.mu.Lock()
		c.queue.fail(ErrDraining)
		for _, s := range c.sessions {
			s.wake() // some polls wait for nothing else
		}
		c.mu.Unlock()
		return true
	})
}

// GiveUp fails, with [ErrDraining], delivered exchanges whose answer has not begun, those of ended
// sessions and claims included, and exchanges whose request is still being sent.
func (r *Registry) GiveUp() {
	r.budget.GiveUp(ErrDraining)
	r.eachHeld(func(x *Exchange) {
		if x.state != answering {
			x.fail(ErrDraining)
		}
	})
}

// eachHeld calls each, under claim.mu, with the exchanges that sessions hold, oldest first in each
// session.
func (r *Registry) eachHeld(each func(*Exchange)) {
	r.sessions.Range(func(_, v any) bool {
		s := v.(*Session)
		s.claim.mu.Lock()
		defer s.claim.mu.Unlock()
		for _, x := range s.held.oldestFirst() {
			each(x)
		}
		return true
	})
}

// eras tell exchanges that have been open for long from others. There are two eras. New exchanges
// belong to the current one. Once no exchange of the other is open and a second has passed, they
// swap.
type eras struct {
	open  [2]atomic.Int64 // open exchanges of each era
	now   atomic.Uint32   // the current era
	mu    sync.Mutex      // guards below, and is held while now changes
	since time.Time       // when it began
}

// lasting is how long an exchange may be open before it counts as open for long.
const lasting = time.Second

// begin counts a new exchange and returns its era.
func (e *eras) begin() (era uint32) {
	era = e.now.Load()
	e.open[era].Add(1)
	return era
}

// end counts the end of an exchange.
func (e *eras) end(era uint32) { e.open[era].Add(-1) }

// last reports whether an exchange may have been open for long. It must be called often to notice
// that none is.
func (e *eras) last() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	before := 1 - e.now.Load()
	if e.open[before].Load() == 0 && time.Since(e.since) >= lasting {
		e.now.Store(before)
		before, e.since = 1-before, time.Now()
	}
	return e.open[before].Load() > 0 || time.Since(e.since) >= lasting
}
