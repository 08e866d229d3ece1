package claim

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"
	"time"

	"reversehttp/server/budget"
)

// Session is one running program serving a claim. claim.mu guards its members.
type Session struct {
	claim *Claim
	id    string

	door    string // of a plain session, see [Registry.Enter]; it does not change
	cursors bool   // it has polled with one
	adopted bool   // another node made it; see [Adopt]
	shown   bool   // its program has shown what it received, since it was adopted
	had     uint64 // number of the last message of the other node that its program showed, if it has
	inline  int    // how much content it takes with a request, as its last poll says
	out     outbox
	held    holdings
	numbers numbers // of a plain session
	tombs   tombstones
	poll    *poll // the open one
	life    life
	uncount func() // ends what it counts for in quotas
	gone    error  // why it ended; nil while it lives

	// Known are the addresses from which its owner showed the token. It has its own lock.
	Known budget.Subscribers
}

// ID names the session, unguessably.
func (s *Session) ID() string { return s.id }

// Claim returns the claim that the session serves.
func (s *Session) Claim() *Claim { return s.claim }

// acknowledge marks the messages up to cursor as received; all of them if it is nil. The caller
// holds claim.mu.
func (s *Session) acknowledge(cursor *string) error {
	if s.adopted && !s.shown {
		s.show(cursor)
	}
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
	s.life.useCursors()
	s.out.acknowledgeUpTo(n, true)
	return nil
}

// newSession returns a session of a claim that is not listed.
func newSession(c *Claim, id string) *Session {
	s := &Session{id: id, claim: c, held: make(holdings)}
	s.out.session, s.tombs.session, s.numbers.session, s.life.session = s, s, s, s
	s.life.hangup.session, s.life.hangup.look.fire = s, s.life.hangup.lapse
	s.life.death.fire = s.life.lapse
	return s
}

// show notes what the program of an adopted session received, which only the program knows. The
// caller holds claim.mu.
func (s *Session) show(cursor *string) {
	s.shown, s.had = true, math.MaxUint64 // without a cursor all counts as received
	if cursor == nil {
		return
	}
	if n, err := numberOf(s.id, *cursor); err == nil {
		s.had = n
		s.out.given = max(s.out.given, n)
	}
}

// wake ends the wait of the open poll, if any. The caller holds claim.mu.
func (s *Session) wake() {
	if s.poll != nil {
		s.claim.queue.unpark(s)
		s.poll.wake()
	}
}

// lose ends a lost session: its exchanges move on if the claim's rule allows it. The caller holds
// claim.mu.
func (s *Session) lose() {
	moving := s.leave(ErrSessionFenced)
	for _, x := range s.held.oldestFirst() {
		if x.mayRepeat() {
			x.moveOn()
			moving = append(moving, x)
		} else {
			x.lost = true
			x.fail(ErrSessionLost)
		}
	}
	s.claim.queue.putBack(moving)
}

// giveUp forgets the state of an ended session. It ends the upgraded connections that the session still holds
// if nobody can answer them; nothing else would, since their parts have no deadline.
func (s *Session) giveUp() {
	s.claim.mu.Lock()
	defer s.claim.mu.Unlock()
	for s.tombs.forget() {
	}
	s.tombs.expiry.stop()
	for _, x := range s.held.oldestFirst() {
		if x.state == answering && x.answer.upgraded() {
			x.fail(ErrSessionLost)
		}
	}
}

// End ends the session of its own will. A cursor acknowledges as in
// [Session.Open], and what comes after it was not begun and moves on; without
// one all that was delivered counts as begun, and the rule for lost sessions
// holds. It fails with [ErrBadCursor] and, where the session has ended, with
// why.
//
// An awaited program is about to come back, as a page that reloads: visitors wait for it as they do
// while nobody polls.
func (s *Session) End(cursor *string, awaited bool) error {
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
			x.due.lookLater()
		}
	}
	moving = append(moving, s.leave(ErrNoSession)...)
	if awaited {
		c.awaited = time.Now()
	}
	c.queue.putBack(moving)
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
	s.life.hangup.look.stop()
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

// Work notes that a request of the session begins which may take long. The session is not lost
// until done is called. If ctx has ended by then, the program closed the connection of that request
// as well, and an earlier hangup counts from that moment.
func (s *Session) Work(ctx context.Context) (done func()) {
	s.claim.mu.Lock()
	defer s.claim.mu.Unlock()
	s.life.busy++
	s.life.hangup.forget()
	return func() {
		s.claim.mu.Lock()
		defer s.claim.mu.Unlock()
		s.life.busy--
		hungUp := !s.life.hangup.at.IsZero() && ctx.Err() != nil
		s.life.touch()
		if hungUp {
			s.life.hangup.note()
		}
	}
}

// holdings are the exchanges that a session holds, by their ids.
type holdings map[string]*Exchange

// oldestFirst returns them in the order of their first delivery. The caller holds claim.mu.
func (h holdings) oldestFirst() []*Exchange {
	return slices.SortedFunc(maps.Values(h), func(a, b *Exchange) int { return cmp.Or(a.due.given.Compare(b.due.given), cmp.Compare(a.id, b.id)) })
}
