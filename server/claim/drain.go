package claim

import (
	"sync"
	"sync/atomic"
	"time"
)

// drain is how far the gateway is with stopping. It stops in steps, which its owner takes:
//
//	Drain   upgraded connections end, and everything else goes on as ever; then nothing new is let in, and polls end
//	GiveUp  what has no answer fails
type drain struct {
	parts  atomic.Bool   // set by the first step
	begins chan struct{} // closed by the second
	once   sync.Once
	spread time.Duration // over which polls end; set before begins is closed
	eras   eras
}

// begin says that polls end, spread over a time.
func (d *drain) begin(spread time.Duration) {
	d.once.Do(func() {
		d.spread = max(spread, 1)
		close(d.begins)
	})
}

// begun reports whether they do.
func (d *drain) begun() bool {
	select {
	case <-d.begins:
		return true
	default:
		return false
	}
}

// tellEach is how much of the time over which polls end there is for each, so that few end at once.
const tellEach = time.Millisecond

// part tells the program of an upgraded connection that the gateway stops, by [CancelDraining]. The caller holds claim.mu.
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

// Drain tells the programs of upgraded connections that the gateway stops. They have [Times.Parting] to end them; then they fail with
// [ErrDraining]. A request to upgrade fails with that from then on, and an answer that upgrades all the same is told so at once.
//
// When served has returned, nothing new is let in: what is queued fails with [ErrDraining], polls end with it, spread over
// [Times.Spread] at most, and what was delivered may be answered. A nil served takes no time.
func (r *Registry) Drain(served func()) {
	if r.drain.parts.CompareAndSwap(false, true) {
		r.eachHeld((*Exchange).part)
	}
	if served != nil {
		served()
	}
	r.letNothingIn()
}

// letNothingIn ends polls, and what is queued.
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

// GiveUp fails with [ErrDraining] what was delivered and whose answer has not begun, also of
// sessions and claims that have ended, and what its visitor still sends.
func (r *Registry) GiveUp() {
	r.budget.GiveUp(ErrDraining)
	r.eachHeld(func(x *Exchange) {
		if x.state != answering {
			x.fail(ErrDraining)
		}
	})
}

// eachHeld calls each with what sessions hold, oldest first in each, under claim.mu.
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

// eras tell exchanges that have been open for long from others. There are two: those that begin are of the one, and once none of the
// other is open, and a second is over, they change places.
type eras struct {
	open  [2]atomic.Int64 // exchanges of each
	now   atomic.Uint32   // the one of those that begin
	mu    sync.Mutex      // guards below, and is held while now changes
	since time.Time       // when it began
}

// lasting is how long an exchange is not open for long.
const lasting = time.Second

// begin counts an exchange, and returns its era.
func (e *eras) begin() (era uint32) {
	era = e.now.Load()
	e.open[era].Add(1)
	return era
}

// end counts the end of one.
func (e *eras) end(era uint32) { e.open[era].Add(-1) }

// last reports whether an exchange may have been open for long. It has to be asked often, to see that none is.
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
