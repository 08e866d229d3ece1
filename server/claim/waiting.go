package claim

import (
	"context"
	"time"
)

// Waiting is an open poll that several goroutines may wait for, one after another. The caller that
// opened it must wait until it is over.
type Waiting struct {
	poll *poll
	most int
	// end is when the poll's time is over; beat is when a stream's next heartbeat is due.
	end, beat time.Time
}

// Napper waits for a poll in another way than on a channel, such as in a read of its connection.
type Napper interface {
	// Until sets when a nap ends at the latest.
	Until(time.Time)
	// Nap returns at that time, or once Rouse has been called after Until, and sometimes earlier.
	// It reports whether it can nap again.
	Nap() bool
	// Rouse ends the current nap, or the next one if none has begun. It does not block.
	Rouse()
}

// Open opens a poll for a batch or a stream. It acknowledges the messages up to cursor; all that
// were given if cursor is nil. It shortens a wait longer than [Times.Wait]. It fails with
// [ErrBadCursor], [ErrSessionFenced], [ErrNoSession], [ErrClaimDeleted], [ErrLeaseEnded] or
// [ErrDraining].
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

// Next waits for a batch until a time, or until the end of the poll if that is zero. It waits by a
// napper if that is not nil. Unacknowledged messages are returned at once. Next reports whether the
// poll is over, with a batch or without, and closes it then; otherwise the time came first. A nil
// batch means that the poll's own time is over or that a newer poll replaced it. If ctx ends, Next
// returns its error and delivers nothing. It fails as [Session.Open] does.
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

// Listen calls give with messages for the session as they come, and with nil at first and after
// every [Times.Heartbeat] without a message, until a time. It waits as Next does.
//
// It reports whether the poll is over, and closes it then: its own time is over, a newer poll
// replaced it, or the program has to poll again to acknowledge, because a message has been
// unacknowledged for [Times.Unacknowledged] or as many are as one stream carries. It fails as
// [Session.Open] does, before or after a call of give.
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

// take returns the next batch of the poll. The caller holds claim.mu.
func (w *Waiting) take() (*Batch, bool) { return w.poll.take(w.most) }
