package claim

import (
	"cmp"
	"slices"
	"time"
)

// Session is one running program serving a claim. claim.mu guards its members.
type Session struct {
	claim *Claim
	id    string

	door    string // see [Session.Plain]; "" for one that is not plain
	cursors bool   // it has polled with one
	out     outbox
	held    map[string]*Exchange
	numbers numbers // of a plain session
	tombs   tombstones
	poll    *poll // the open one
	life    life
	gone    error // why it ended; nil while it lives
}

// ID names the session, unguessably.
func (s *Session) ID() string { return s.id }

// Claim gives the claim it serves.
func (s *Session) Claim() *Claim { return s.claim }

// Cursor gives the cursor before the first message.
func (s *Session) Cursor() string { return cursorOf(s.id, 0) }

// acknowledge takes the messages up to cursor, or all where it is nil, as
// received. The caller holds claim.mu.
func (s *Session) acknowledge(cursor *string) error {
	if cursor == nil {
		s.out.acknowledgeUpTo(s.out.given, false)
		return nil
	}
	if s.door != "" {
		return s.numbers.ask(*cursor)
	}
	n, err := s.out.position(*cursor)
	if err != nil {
		return err
	}
	if !s.cursors {
		s.cursors = true
		s.life.death.after(s.life.lifetime())
	}
	s.out.acknowledgeUpTo(n, true)
	return nil
}

// wake ends the wait of the open poll, if any. The caller holds claim.mu.
func (s *Session) wake() {
	if s.poll != nil {
		s.claim.unpark(s)
		s.poll.wake()
	}
}

// lose ends the session because it is lost: what it held moves on where the
// claim's rule allows it. The caller holds claim.mu.
func (s *Session) lose() {
	moving := s.leave(ErrSessionFenced)
	for _, x := range s.holding() {
		x.lost = true
		if s.claim.mayRepeat(x) {
			delete(s.held, x.id)
			x.moves++
			moving = append(moving, x)
			time.AfterFunc(s.claim.registry.times.NoPoller, x.recheck)
		} else {
			x.fail(ErrSessionLost)
		}
	}
	s.claim.requeue(moving)
}

// giveUp forgets what an ended session remembers, and ends the upgraded connections that the session still holds when nobody can
// answer it any more. Nothing else would: there is no time between their parts.
func (s *Session) giveUp() {
	s.claim.mu.Lock()
	defer s.claim.mu.Unlock()
	for s.tombs.forget() {
	}
	s.tombs.expiry.stop()
	for _, x := range s.holding() {
		if x.state == answering && x.answer.upgraded() {
			x.fail(ErrSessionLost)
		}
	}
}

// holding lists the exchanges that the session holds, oldest first. The caller
// holds claim.mu.
func (s *Session) holding() []*Exchange {
	xs := make([]*Exchange, 0, len(s.held))
	for _, x := range s.held {
		xs = append(xs, x)
	}
	slices.SortFunc(xs, func(a, b *Exchange) int { return cmp.Or(a.given.Compare(b.given), cmp.Compare(a.id, b.id)) })
	return xs
}

// End ends the session of its own will. A cursor acknowledges as in
// [Session.Poll], and what comes after it was not begun and moves on; without
// one all that was delivered counts as begun, and the rule for lost sessions
// holds. It fails with [ErrBadCursor] and, where the session has ended, with
// why.
func (s *Session) End(cursor *string) error {
	c := s.claim
	c.mu.Lock()
	if s.gone != nil {
		defer c.mu.Unlock()
		return s.gone
	}
	if err := s.acknowledge(cursor); err != nil {
		c.mu.Unlock()
		return err
	}
	var moving []*Exchange
	for i := range s.out.sent.list() {
		if x := s.out.undelivered(&s.out.sent.list()[i]); x != nil {
			delete(s.held, x.id)
			moving = append(moving, x)
			time.AfterFunc(c.registry.times.NoPoller, x.recheck)
		}
	}
	moving = append(moving, s.leave(ErrNoSession)...)
	c.requeue(moving)
	s.lose()
	c.mu.Unlock()
	c.registry.sessionEnded(s, SessionLeft)
	return nil
}

// leave ends the session for the reason why and gives the exchanges that were
// assigned to it and not delivered. It keeps what it held. The caller holds
// claim.mu.
func (s *Session) leave(why error) []*Exchange {
	if s.gone != nil {
		return nil
	}
	c := s.claim
	s.gone = why
	if s.door != "" {
		c.awaited = time.Now()
	}
	s.life.death.stop()
	c.sessions = slices.DeleteFunc(c.sessions, func(o *Session) bool { return o == s })
	s.wake()
	var moving []*Exchange
	for _, m := range s.out.next.list() {
		if m.exchange != nil {
			moving = append(moving, m.exchange)
		}
	}
	s.out.next, s.out.sent, s.out.cancels = fifo[message]{}, sentMessages{}, 0
	return moving
}

// requeue queues exchanges again, in front of what waits. The caller holds
// c.mu.
func (c *Claim) requeue(xs []*Exchange) {
	first := c.queue.Front()
	for _, x := range xs {
		if x.enqueue(); x.element != nil && first != nil {
			c.queue.MoveBefore(x.element, first)
		}
	}
}

// Work says that a request of the session begins which may last long while its
// program does nothing else, and gives what says that it has ended. Meanwhile the
// session is not lost.
func (s *Session) Work() (done func()) {
	s.claim.mu.Lock()
	defer s.claim.mu.Unlock()
	s.life.busy++
	return func() {
		s.claim.mu.Lock()
		defer s.claim.mu.Unlock()
		s.life.busy--
		s.life.touch()
	}
}
