package claim

import (
	"net/netip"
	"time"
)

// lease is how long a claim lives while nobody polls. claim.mu guards it.
type lease struct {
	claim    *Claim
	end      lazyTimer
	polls    int       // open ones
	polled   bool      // some poll was opened
	lastPoll time.Time // when a poll was open last; when the claim was made, before one was
}

// start begins it. The caller holds claim.mu.
func (l *lease) start() {
	l.lastPoll = time.Now()
	l.end.arm(l.left())
}

// pollBegins notes that a poll is open. The caller holds claim.mu.
func (l *lease) pollBegins() {
	l.polls++
	l.claim.registry.polls.Add(1)
}

// pollEnds notes that a poll has ended. The caller holds claim.mu.
func (l *lease) pollEnds() {
	l.polls--
	l.claim.registry.polls.Add(-1)
	l.lastPoll = time.Now()
	if l.claim.gone == nil {
		l.end.arm(l.claim.terms.Lease)
	}
}

// left returns how long the claim will live if nobody polls. The caller holds claim.mu.
func (l *lease) left() time.Duration {
	most := l.claim.terms.Lease
	if l.polls > 0 {
		return most
	}
	if !l.polled { // a label that was never served is not kept for long
		most = min(most, l.claim.registry.times.Unpolled)
	}
	return time.Until(l.lastPoll.Add(most))
}

// over reports whether the claim is to end. The caller holds claim.mu.
func (l *lease) over() bool {
	return l.polls == 0 && l.left() <= 0 && !l.claim.registry.drain.begun()
}

// look ends the claim if the lease is over. Otherwise it arms the timer again.
func (l *lease) look() {
	c := l.claim
	c.mu.Lock()
	left, over := l.left(), false
	switch {
	case c.gone != nil:
	case l.polls > 0: // the end of the last poll arms it
		l.end.disarm()
	case left > 0:
		l.end.after(left)
	case !l.over(): // draining: the claim is to come back
		l.end.after(c.terms.Lease)
	default:
		over = true
		l.end.disarm()
	}
	c.mu.Unlock()
	if !over {
		return
	}
	_ = c.keeper.end(ErrLeaseEnded, l.over, netip.Addr{}) // an error is logged, and it is tried again
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone == nil && l.polls == 0 && !c.registry.closed.Load() {
		l.end.arm(max(l.left(), c.keeper.pause()))
	}
}
