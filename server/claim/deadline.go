package claim

import "time"

// deadline keeps how long an exchange may stay in its state. claim.mu guards it.
type deadline struct {
	x       *Exchange
	entered time.Time // when the exchange was queued first
	queued  time.Time // when it was queued last
	given   time.Time // when it was delivered first
}

// enter notes that the exchange is queued. The caller holds claim.mu.
func (d *deadline) enter() {
	d.queued = time.Now()
	if d.entered.IsZero() {
		d.entered = d.queued
	}
}

// left returns how long the exchange may stay in its state. The caller holds claim.mu.
func (d *deadline) left(now time.Time) time.Duration {
	c := d.x.claim
	switch d.x.state {
	case queued:
		// The time without a poller counts from the end of the last poll, but no visitor waits
		// longer than for an answer.
		since := d.queued
		if c.lease.lastPoll.After(since) {
			since = c.lease.lastPoll
		}
		if c.lease.polls > 0 { // the poller is busy, on a connection that takes one request at a time
			since = now
		}
		until := since.Add(c.registry.times.NoPoller)
		if last := d.entered.Add(d.x.Timeout); until.After(last) {
			until = last
		}
		return until.Sub(now)
	case delivered, running:
		return d.from(now).Add(d.x.Timeout).Sub(now)
	}
	return 0
}

// from returns when the time for the answer began: at the first delivery, or when the visitor last
// sent content that the session fetches. While the gateway waits for such content, the clock of the
// answer stands still. The caller holds claim.mu.
func (d *deadline) from(now time.Time) time.Time {
	if !d.x.fetched {
		return d.given
	}
	if moved := d.x.hold.Moved(now); moved.After(d.given) {
		return moved
	}
	return d.given
}

// look ends the exchange if its time is over; otherwise it returns how long the exchange still has.
// [Exchange.Next] keeps the time of an exchange that is answering. The caller holds claim.mu.
func (d *deadline) look() time.Duration {
	x := d.x
	if left := d.left(time.Now()); left > 0 || x.state == ended || x.state == answering {
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

// lookLater ends the exchange later if it was queued again and nobody polls for it meanwhile; the
// visitor's own timer may still be far from due.
func (d *deadline) lookLater() { time.AfterFunc(d.x.claim.registry.times.NoPoller, d.lookAgain) }

func (d *deadline) lookAgain() {
	d.x.claim.mu.Lock()
	defer d.x.claim.mu.Unlock()
	if d.x.state != queued {
		return
	}
	if left := d.look(); d.x.state == queued {
		time.AfterFunc(left, d.lookAgain)
	}
}
