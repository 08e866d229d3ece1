package claim

import (
	"cmp"
	"math"
	"time"
)

// streamBatches is how many batches of unacknowledged messages one stream carries.
const streamBatches = 4

// Flow says what a poll carries. The zero value asks for one batch.
type Flow struct {
	// Stream says that the poll is a stream, which does not end with a batch.
	Stream bool
	// Most is the most messages of a batch. Zero means [Limits.Batch].
	Most int
	// Inline is the most bytes of content that the program takes along with one request. Zero means
	// the gateway's default.
	Inline int
	// Unacknowledged is the most bytes of content that may be unacknowledged. Zero means 1 MiB.
	Unacknowledged int
	// HungUp reports, once the context of the poll has ended, whether the kernel says that the
	// program closed its connection; see [Times.Closed]. It is called under a lock and must not
	// block. Nil means unknown.
	HungUp func() bool
	// Parting is closed once the node that accepted the poll is about to end; the poll ends as if its
	// time were over. Nil means never.
	Parting <-chan struct{}
}

// most returns how many messages may be unacknowledged.
func (f Flow) most(l Limits) int {
	if f.Stream {
		return min(l.Batch, math.MaxInt/streamBatches) * streamBatches
	}
	return cmp.Or(f.Most, l.Batch)
}

// inline returns how many bytes of content a session of the claim takes along with a request: the
// most that any session's last poll asked for, or 0 if none did. The caller holds c.mu.
func (c *Claim) inline() (most int) {
	for _, s := range c.sessions {
		most = max(most, s.inline)
	}
	return most
}

// askAnew returns when the program has to poll again, to acknowledge what it was given.
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
