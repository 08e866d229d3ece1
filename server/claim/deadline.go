package claim

import "time"

// Timeout returns how long the visitor waits for the answer, see [Settings].
func (x *Exchange) Timeout() time.Duration { return x.timeout }

// remaining is how long x may stay as it is. The caller holds claim.mu.
func (x *Exchange) remaining(now time.Time) time.Duration {
	switch x.state {
	case queued:
		// The time without a poller counts from the last one that was there,
		// but no visitor waits longer than for an answer.
		since := x.queued
		if x.claim.lastPoll.After(since) {
			since = x.claim.lastPoll
		}
		if x.claim.polls > 0 { // who polls is busy, on a connection that takes one at a time
			since = now
		}
		until := since.Add(x.claim.registry.times.NoPoller)
		if last := x.entered.Add(x.timeout); until.After(last) {
			until = last
		}
		return until.Sub(now)
	case delivered, running:
		return x.timeFrom(now).Add(x.timeout).Sub(now)
	}
	return 0
}

// timeFrom is since when the time for the answer counts: the first delivery, or when the
// visitor last sent of the content that the session fetches. While the gateway waits for
// that the time is the visitor's, and stands still. The caller holds claim.mu.
func (x *Exchange) timeFrom(now time.Time) time.Time {
	if !x.fetched {
		return x.given
	}
	if x.hold.waiting.Load() != 0 {
		return now
	}
	if moved := x.hold.movedAt(); moved.After(x.given) {
		return moved
	}
	return x.given
}

// overdue ends x if its time is over, else gives how long it still has. [Exchange.Next]
// keeps the time of one that is answering. The caller holds claim.mu.
func (x *Exchange) overdue() time.Duration {
	if left := x.remaining(time.Now()); left > 0 || x.state == ended || x.state == answering {
		return left
	}
	if x.state == queued {
		x.fail(ErrNoHandler)
		return 0
	}
	s := x.session
	x.finish(TimedOut, nil, &Failure{Err: ErrHandlerTimeout, Handed: x.handed()})
	s.out.cancel(x, CancelTimedOut)
	return 0
}

// recheck ends x if it was queued again and nobody polled for it since; its
// visitor's own timer may be far from over.
func (x *Exchange) recheck() {
	x.claim.mu.Lock()
	defer x.claim.mu.Unlock()
	if x.state != queued {
		return
	}
	if left := x.overdue(); x.state == queued {
		time.AfterFunc(left, x.recheck)
	}
}
