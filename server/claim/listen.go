package claim

import (
	"cmp"
	"math"
	"time"
)

// streamBatches is how many batches of messages one stream carries until they are
// acknowledged.
const streamBatches = 4

// Flow is what a poll carries. The zero value is a batch.
type Flow struct {
	// Stream says that the poll goes on, and is not for a batch.
	Stream bool
	// Most is the most messages of a batch. Zero means [Limits.Batch].
	Most int
	// Inline is how much content of one request its program takes with it, in bytes. Zero means as much as any program.
	Inline int
	// Unacknowledged is how much content may not be acknowledged, in bytes. Zero means 1 MiB.
	Unacknowledged int
	// HungUp reports, once the context of the poll has ended, whether the program closed its connection, as the kernel
	// says: see [Times.Closed]. It is called under a lock and does not block. Nil means that nobody can tell.
	HungUp func() bool
}

// most returns how many messages may not be acknowledged.
func (f Flow) most(l Limits) int {
	if f.Stream {
		return min(l.Batch, math.MaxInt/streamBatches) * streamBatches
	}
	return cmp.Or(f.Most, l.Batch)
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
