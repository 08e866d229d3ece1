package claim

import (
	"context"
	"time"
)

// Feed is an open poll that gives one message at a time, for a door that hands
// each over on a connection of its own, and knows there what becomes of it. It
// is not used by several goroutines at a time.
type Feed struct {
	poll *poll
	// Messages up to the number until were given before it opened. Those that wait are
	// given again first; at is the last of them that was.
	at, until uint64
}

// Feed opens one, in place of the session's poll. It acknowledges and fails as
// [Session.Poll] does, and gives what was not acknowledged first. Whoever opened
// it closes it.
func (s *Session) Feed(cursor *string) (*Feed, error) {
	p, err := openPoll(s, cursor, Flow{})
	if err != nil {
		return nil, err
	}
	s.claim.mu.Lock()
	defer s.claim.mu.Unlock()
	return &Feed{poll: p, until: s.out.given}, nil
}

// Next waits for a message, however long. It gives nil when a newer poll took the
// feed's place, and fails with the error of ctx where that ends, and as
// [Session.Poll] does.
func (f *Feed) Next(ctx context.Context) (*Message, error) {
	b, _, err := f.poll.next(ctx, time.Now().Add(ages), f.take)
	if b == nil {
		return nil, err
	}
	return &b.Messages[0], nil
}

// Rest waits, while nothing can be handed over, until a channel is closed. It tells
// whether the feed goes on: it does not where ctx ends, nor where Next would give no
// message any more.
func (f *Feed) Rest(ctx context.Context, until <-chan struct{}) (goesOn bool) {
	s := f.poll.session
	for {
		s.claim.mu.Lock()
		over := f.poll.yields || s.gone != nil
		s.claim.mu.Unlock()
		if over {
			return false
		}
		select {
		case <-f.poll.woken: // Next looks before it waits
		case <-s.claim.registry.drain.begins:
			return false
		case <-ctx.Done():
			return false
		case <-until:
			return true
		}
	}
}

// Close ends the feed. What it gave stays with the session.
func (f *Feed) Close() { f.poll.close() }

// take gives one message, or nil. The caller holds claim.mu.
func (f *Feed) take() (*Batch, bool) {
	s := f.poll.session
	s.out.tidyAtTimes()
	for sent := s.out.sent.list(); f.at < f.until; {
		i := s.out.sent.find(f.at)
		if i == len(sent) || sent[i].number > f.until {
			f.at = f.until
			break
		}
		if f.at = sent[i].number; s.out.waits(&sent[i]) {
			return s.out.give(sent[i : i+1]), false
		}
	}
	m, ok := s.out.nextMessage()
	if !ok {
		return nil, false
	}
	s.out.assign(m)
	return s.out.give(s.out.sent.list()[s.out.sent.len()-1:]), false
}
