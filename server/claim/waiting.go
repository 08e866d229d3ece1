package claim

import (
	"context"
	"time"
)

// Waiting is an open poll that may be waited for in turns, on one goroutine after the other. Whoever opened it waits until it is over.
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

// Open opens a poll, for a batch or a stream. It acknowledges the messages up to cursor, or where it is nil all that were given. A wait
// beyond the longest is shortened. It fails with [ErrBadCursor], [ErrSessionFenced], [ErrNoSession], [ErrClaimDeleted],
// [ErrLeaseEnded] and [ErrDraining].
func (s *Session) Open(cursor *string, wait time.Duration, flow Flow) (*Waiting, error) {
	p, err := openPoll(s, cursor, flow)
	if err != nil {
		return nil, err
	}
	r := s.claim.registry
	w := &Waiting{poll: p, most: flow.most(r.limits), end: time.Now().Add(min(wait, r.times.Wait))}
	if flow.Stream {
		w.end = time.Now().Add(min(wait, r.times.Stream))
	}
	return w, nil
}

// Next waits for a batch until a time, which is that of the poll where it is zero, by a napper where that is not nil: for what the session has not acknowledged, at once where
// there is any, else for what comes. It reports whether the poll is over, with a batch or without, and closes it then; otherwise
// the time came first. A nil batch means that the poll's own time is over, or that a newer poll took its place. The end of ctx is its
// error; nothing is delivered then. It fails as [Session.Open] does.
func (w *Waiting) Next(ctx context.Context, until time.Time, by Napper) (b *Batch, over bool, err error) {
	w.poll.waitBy(by)
	if until.IsZero() {
		until = w.end
	}
	b, over, err = w.poll.next(ctx, earliest(w.end, until), w.take)
	if over = over || b != nil || !time.Now().Before(w.end); over {
		w.poll.close()
	}
	return b, over, err
}

// Listen calls give with what comes for the session when it comes, and with nil at first and after every [Times.Heartbeat] without a
// message, until a time. It waits as Next does.
//
// It reports whether the poll is over, and closes it then: its own time is over; a newer poll took its place; or its program is to
// poll anew so that it acknowledges: a message was not for [Times.Unacknowledged], or as many were not as one stream carries. It fails
// as [Session.Open] does, before give was called or later.
func (w *Waiting) Listen(ctx context.Context, until time.Time, by Napper, give func(*Batch)) (over bool, err error) {
	over = true
	defer func() {
		if over {
			w.poll.close()
		}
	}()
	w.poll.waitBy(by)
	heartbeat := w.poll.session.claim.registry.times.Heartbeat
	if w.beat.IsZero() {
		w.beat = time.Now().Add(heartbeat)
		give(nil)
	}
	for {
		b, last, err := w.poll.next(ctx, earliest(w.end, w.beat, w.poll.askAnew(), until), w.take)
		switch now := time.Now(); {
		case b != nil:
			give(b)
			w.beat = time.Now().Add(heartbeat)
		case last, !now.Before(w.end), !now.Before(w.poll.askAnew()):
			return true, err
		case !now.Before(w.beat):
			give(nil)
			w.beat = now.Add(heartbeat)
		case !now.Before(until):
			over = false
			return false, nil
		}
	}
}

// take is what the poll gives next. The caller holds claim.mu.
func (w *Waiting) take() (*Batch, bool) { return w.poll.take(w.most) }
