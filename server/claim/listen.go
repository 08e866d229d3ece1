package claim

import (
	"context"
	"time"
)

// streamBatches is how many batches of messages one stream carries until they are
// acknowledged.
const streamBatches = 4

// Flow is how much content a stream carries. The zero value is as much as a batch.
type Flow struct {
	// Inline is how much content of one request its program takes with it, in bytes. Zero means as much as any program.
	Inline int
	// Unacknowledged is how much content may not be acknowledged, in bytes. Zero means 1 MiB.
	Unacknowledged int
}

// Listen is a poll that goes on. It acknowledges as [Session.Poll] does, and then
// calls give with what comes for the session when it comes, and with nil at first
// and after every [Times.Heartbeat] without a message.
//
// It returns nil when wait is over, which is shortened to the longest; when a newer
// poll took its place; and when its program is to poll anew so that it
// acknowledges: a message was not for [Times.Unacknowledged], or as many were not
// as one stream carries. It fails as Poll does, before give was called or later.
func (s *Session) Listen(ctx context.Context, cursor *string, wait time.Duration, flow Flow, give func(*Batch)) error {
	w, err := s.OpenStream(cursor, wait, flow)
	if err != nil {
		return err
	}
	defer w.Close()
	_, err = w.Listen(ctx, w.end, give)
	return err
}

// inline returns how much content of one request a session of the claim takes with it, in bytes: the most that any of their last
// polls says; 0 where none says anything. The caller holds c.mu.
func (c *Claim) inline() (most int) {
	for _, s := range c.sessions {
		most = max(most, s.inline)
	}
	return most
}

// askAnew is when the session's program is to poll again, so that it says whether
// it has what was given to it.
func (p *poll) askAnew() time.Time {
	s := p.session
	s.claim.mu.Lock()
	defer s.claim.mu.Unlock()
	if m := s.out.oldestSent(); m != nil {
		return m.at.Add(s.claim.registry.times.Unacknowledged)
	}
	return time.Now().Add(ages)
}

func earliest(t time.Time, others ...time.Time) time.Time {
	for _, o := range others {
		if o.Before(t) {
			t = o
		}
	}
	return t
}
