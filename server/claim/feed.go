package claim

import (
	"context"
	"time"
)

// Feed is the open poll of a plain session whose program has one connection, on which its door hands
// each message over by itself, and knows what becomes of it. It is not used by several goroutines at
// a time.
type Feed struct{ poll *poll }

// Feed opens one. It fails with [ErrDraining] and with why the session ended. Whoever opened it
// closes it.
func (s *Session) Feed() (*Feed, error) {
	p, err := openPoll(s, nil, Flow{})
	if err != nil {
		return nil, err
	}
	return &Feed{p}, nil
}

// Next waits for a request, however long. While the door can hand none over it says so by holds, a channel
// that is not nil: then Next takes no request, and returns nil when that is closed.
//
// An error says that the feed is over: it is that of ctx, [ErrDraining], [ErrReplaced] or why the session
// ended.
func (f *Feed) Next(ctx context.Context, holds <-chan struct{}) (*Message, error) {
	if holds != nil {
		return nil, f.rest(ctx, holds)
	}
	b, _, err := f.poll.next(ctx, time.Now().Add(ages), f.take)
	switch {
	case err != nil:
		return nil, err
	case b == nil:
		return nil, ErrReplaced
	}
	return &b.Messages[0], nil
}

// rest waits until a channel is closed, and fails where the feed is over before that.
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

// Close ends the feed. What it gave stays with the session.
func (f *Feed) Close() { f.poll.close() }

// take gives one message, or nil. The caller holds claim.mu.
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
