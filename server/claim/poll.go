package claim

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

// Batch is what a poll gives: messages, and the cursor of the last.
type Batch struct {
	Cursor   string
	Messages []Message
}

// Message is a request or a cancellation.
type Message struct {
	Exchange *Exchange
	// Cancel is empty for a request.
	Cancel CancelReason
	// Attempt counts the deliveries of a request, from 1.
	Attempt int
	// Timeout is how long the gateway still waits for the answer.
	Timeout time.Duration
}

// poll is an open poll of a session. claim.mu guards it, but for the channel.
type poll struct {
	woken  chan struct{} // buffered, one place
	yields bool          // a newer poll took its place
}

func (p *poll) wake() {
	select {
	case p.woken <- struct{}{}:
	default:
	}
}

// Poll acknowledges the messages up to cursor, or where it is nil all that were
// given, and gives those after it: at once where there are any, else when one
// comes. A nil batch means that wait is over, or that a newer poll took its
// place. A wait beyond the longest is shortened. The end of ctx is its error;
// nothing is delivered then.
//
// It fails with [ErrBadCursor], [ErrSessionFenced], [ErrNoSession],
// [ErrClaimDeleted], [ErrLeaseEnded] and [ErrDraining].
func (s *Session) Poll(ctx context.Context, cursor *string, wait time.Duration) (*Batch, error) {
	c := s.claim
	c.mu.Lock()
	if s.gone != nil {
		defer c.mu.Unlock()
		return nil, s.gone
	}
	if err := s.acknowledge(cursor); err != nil {
		c.mu.Unlock()
		return nil, err
	}
	if c.registry.isDraining() {
		c.mu.Unlock()
		return nil, ErrDraining
	}
	p := s.openPoll()
	if b := s.take(); b != nil || wait <= 0 {
		s.closePoll()
		c.mu.Unlock()
		return b, nil
	}
	c.parked = append(c.parked, s)
	c.mu.Unlock()

	until := time.Now().Add(min(wait, c.registry.times.Wait))
	for {
		over, why := p.wait(ctx, time.Until(until), c.registry)
		c.mu.Lock()
		switch {
		case p.yields:
			c.mu.Unlock()
			return nil, nil
		case s.gone != nil:
			s.closePoll()
			defer c.mu.Unlock()
			return nil, s.gone
		case ctx.Err() != nil:
			s.closePoll()
			s.giveBack()
			c.mu.Unlock()
			return nil, ctx.Err()
		}
		if b := s.take(); b != nil || over {
			s.closePoll()
			c.mu.Unlock()
			if b != nil {
				why = nil
			}
			return b, why
		}
		c.parked = append(c.parked, s) // what woke it has gone, such as a visitor
		c.mu.Unlock()
	}
}

// wait returns when the poll is woken, or its time is over. It gives
// ErrDraining where the gateway stops, so that polls end spread over time.
func (p *poll) wait(ctx context.Context, d time.Duration, r *Registry) (over bool, why error) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	draining := r.draining
	for {
		select {
		case <-p.woken:
			return false, nil
		case <-ctx.Done():
			return true, nil
		case <-timer.C:
			return true, why
		case <-draining:
			draining, why = nil, ErrDraining
			timer.Reset(rand.N(r.times.Spread))
		}
	}
}

// openPoll makes the session's poll, in place of an older one. The caller
// holds claim.mu.
func (s *Session) openPoll() *poll {
	c := s.claim
	if s.poll != nil {
		s.poll.yields = true
		s.wake()
	} else {
		c.polls++
		c.registry.polls.Add(1)
	}
	s.poll = &poll{woken: make(chan struct{}, 1)}
	return s.poll
}

// closePoll notes the end of the session's poll. The caller holds claim.mu.
func (s *Session) closePoll() {
	c := s.claim
	c.unpark(s)
	s.poll = nil
	c.polls--
	c.registry.polls.Add(-1)
	c.lastPoll = time.Now()
	if c.gone == nil {
		c.leaseEnd.arm(c.lease)
	}
	s.touch()
}

// touch notes a sign of life. The caller holds claim.mu.
func (s *Session) touch() {
	s.active = time.Now()
	if s.poll == nil && s.gone == nil {
		s.death.arm(s.lifetime())
	}
}

// unpark takes s out of the waiting sessions. The caller holds c.mu.
func (c *Claim) unpark(s *Session) {
	if i := slices.Index(c.parked, s); i >= 0 {
		c.parked = slices.Delete(c.parked, i, i+1)
	}
}

// giveBack returns what was assigned to a poll that ended before it took it.
// The caller holds claim.mu.
func (s *Session) giveBack() {
	var cancels []message
	var moving []*Exchange
	for _, m := range s.next {
		if m.cancel != "" {
			cancels = append(cancels, m)
		} else {
			moving = append(moving, m.exchange)
		}
	}
	s.next = cancels
	s.claim.requeue(moving)
}

// fullBatch is how much content makes a batch full, so that one on a slow line
// is there before its session counts as lost.
const fullBatch = 1 << 20

// take gives what the session has not acknowledged, again, and then what waits
// for it, or nil where there is nothing. The caller holds claim.mu.
func (s *Session) take() *Batch {
	now, limit := time.Now(), s.claim.registry.limits.Batch
	size := 0
	s.sent = slices.DeleteFunc(s.sent, func(m message) bool {
		return m.cancel == "" && m.exchange.state != delivered
	})
	for _, m := range s.sent {
		if m.cancel == "" {
			size += len(m.exchange.request.Content)
		}
	}
	for len(s.sent) < limit && size < fullBatch {
		m, ok := s.nextMessage()
		if !ok {
			break
		}
		s.given++
		m.number = s.given
		if x := m.exchange; m.cancel == "" {
			x.state, x.session = delivered, s
			if x.given.IsZero() {
				x.given = now
			}
			s.held[x.id] = x
			size += len(x.request.Content)
		}
		s.sent = append(s.sent, m)
	}
	if len(s.sent) == 0 {
		return nil
	}
	b := &Batch{Cursor: s.cursor(s.sent[len(s.sent)-1].number), Messages: make([]Message, len(s.sent))}
	for i, m := range s.sent {
		x := m.exchange
		if m.cancel == "" {
			x.attempt++
		}
		b.Messages[i] = Message{Exchange: x, Cancel: m.cancel, Attempt: x.attempt, Timeout: max(x.given.Add(x.timeout).Sub(now), 0)}
	}
	return b
}

// nextMessage takes the next message for the session, its own first. The
// caller holds claim.mu.
func (s *Session) nextMessage() (message, bool) {
	c := s.claim
	if len(s.next) > 0 {
		m := s.next[0]
		s.next = slices.Delete(s.next, 0, 1)
		return m, true
	}
	if e := c.queue.Front(); e != nil {
		x := c.queue.Remove(e).(*Exchange)
		x.element = nil
		return message{exchange: x}, true
	}
	return message{}, false
}
