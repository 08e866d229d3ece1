package claim

import (
	"cmp"
	"context"
	"math"
	"time"
)

// Waiting is an open poll that may be waited for in turns, on one goroutine after the other.
// Whoever opened it closes it, once.
type Waiting struct {
	poll *poll
	most int
	// end is when its time is over; beat, when a stream is due to be given nil.
	end, beat time.Time
}

// Napper is another way to wait for a poll than on a channel, such as in a read of its connection.
type Napper interface {
	// Until sets when a nap ends, at last.
	Until(time.Time)
	// Nap returns then, and when Rouse was called after Until, and at times before. It reports whether it can nap
	// again.
	Nap() bool
	// Rouse ends the nap, and one that has not begun. It does not block.
	Rouse()
}

// Nap has the poll wait by n from now on.
func (w *Waiting) Nap(n Napper) {
	w.poll.session.claim.mu.Lock()
	defer w.poll.session.claim.mu.Unlock()
	w.poll.nap = n
}

// OpenPoll opens what [Session.Poll] waits for. It acknowledges and fails as that does.
func (s *Session) OpenPoll(cursor *string, wait time.Duration, most int) (*Waiting, error) {
	p, err := openPoll(s, cursor, Flow{})
	if err != nil {
		return nil, err
	}
	r := s.claim.registry
	return &Waiting{poll: p, most: cmp.Or(most, r.limits.Batch), end: time.Now().Add(min(wait, r.times.Wait))}, nil
}

// OpenStream opens what [Session.Listen] waits for. It acknowledges and fails as that does.
func (s *Session) OpenStream(cursor *string, wait time.Duration, flow Flow) (*Waiting, error) {
	p, err := openPoll(s, cursor, flow)
	if err != nil {
		return nil, err
	}
	r := s.claim.registry
	most := min(r.limits.Batch, math.MaxInt/streamBatches) * streamBatches
	return &Waiting{poll: p, most: most, end: time.Now().Add(min(wait, r.times.Stream))}, nil
}

// Next waits for the batch until a time. It reports whether the poll is over, with a batch or
// without; otherwise the time came first.
func (w *Waiting) Next(ctx context.Context, until time.Time) (b *Batch, over bool, err error) {
	b, over, err = w.poll.next(ctx, earliest(w.end, until), w.take)
	return b, over || b != nil || !time.Now().Before(w.end), err
}

// Listen gives what comes until a time, as [Session.Listen] does. It reports whether the poll is
// over.
func (w *Waiting) Listen(ctx context.Context, until time.Time, give func(*Batch)) (over bool, err error) {
	heartbeat := w.poll.session.claim.registry.times.Heartbeat
	if w.beat.IsZero() {
		w.beat = time.Now().Add(heartbeat)
		give(nil)
	}
	for {
		b, over, err := w.poll.next(ctx, earliest(w.end, w.beat, w.poll.askAnew(), until), w.take)
		switch now := time.Now(); {
		case b != nil:
			give(b)
			w.beat = time.Now().Add(heartbeat)
		case over, !now.Before(w.end), !now.Before(w.poll.askAnew()):
			return true, err
		case !now.Before(w.beat):
			give(nil)
			w.beat = now.Add(heartbeat)
		case !now.Before(until):
			return false, nil
		}
	}
}

// Close ends the poll.
func (w *Waiting) Close() { w.poll.close() }

// take is what the poll gives next. The caller holds claim.mu.
func (w *Waiting) take() (*Batch, bool) { return w.poll.take(w.most) }
