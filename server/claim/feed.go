package claim

import (
	"context"
	"time"
)

// Feed is the open poll of a plain session whose program has one connection, on which its door
// hands over messages one by one and learns the result of each. It must not be used by several
// goroutines at once.
type Feed struct{ poll *poll }

// Feed opens a feed. It fails with [ErrDraining] or with the reason for which the session ended.
// The caller must close it.
func (s *Session) Feed() (*Feed, error) {
	p, err := openPoll(s, nil, Flow{})
	if err != nil {
		return nil, err
	}
	return &Feed{p}, nil
}

// Next waits for a request, without a time limit. A door that cannot hand one over now passes a
// channel, holds: then Next takes no request and returns nil once the channel is closed.
//
// An error means that the feed is over: the error of ctx, [ErrDraining], [ErrReplaced], or the
// reason for which the session ended.
func (f *Feed) Next(ctx context.Context, holds <-chan struct{}) (*Message, error) {
	if holds != nil {
		return nil, f.rest(ctx, holds)
	}
	b, _, err := f.poll.next(ctx, time.Now().Add(ages), f.take)
	switch {
	case err != nil:
		return nil, err
	case b == nil:
		s := f.poll.session
		s.claim.mu.Lock()
		defer s.claim.mu.Unlock()
		if s.gone == ErrMoved {
			return nil, ErrMoved
		}
		return nil, ErrReplaced
	}
	return &b.Messages[0], nil
}

// rest waits until a channel is closed. It fails if the feed is over before that.
func (f *Feed) rest(ctx context.Context, until <-chan struct{}) error {
	s := f.poll.session
	for {
		s.claim.mu.Lock()
		yields, gone := f.poll.yields, s.gone
		s.claim.mu.Unlock()
		switch {
		case gone != nil:
			return gone
		case yields:
			return ErrReplaced
		}
		select {
		case <-f.poll.woken: // Next looks before it waits
		case <-s.claim.registry.drain.begins:
			return ErrDraining
		case <-ctx.Done():
			return ctx.Err()
		case <-until:
			return nil
		}
	}
}

// Close ends the feed. Messages that it returned stay with the session.
func (f *Feed) Close() { f.poll.close() }

// take returns one message, or nil. The caller holds claim.mu.
func (f *Feed) take() (*Batch, bool) {
	o := &f.poll.session.out
	o.tidyAtTimes()
	m, ok := o.nextMessage()
	if !ok {
		return nil, false
	}
	o.assign(m)
	return o.give(o.sent.list()[o.sent.len()-1:]), false
}
