package claim

import (
	"cmp"
	"runtime"
	"slices"
	"strconv"
	"time"
)

// Session is one running program serving a claim. claim.mu guards its members.
type Session struct {
	claim *Claim
	id    string

	door    string        // see [Session.Plain]; "" for one that is not plain
	cursors bool          // it has polled with one
	given   uint64        // number of the last message given to a poll
	sent    sentMessages  // given and not acknowledged
	next    fifo[message] // not given yet
	cancels int           // of both
	held    map[string]*Exchange
	// numbered are the ids of a plain session's exchanges, held or remembered.
	numbered map[uint64]string
	tombs    tombstones
	poll     *poll     // the open one
	busy     int       // its requests that last, besides the poll
	active   time.Time // its last sign of life
	doubted  time.Time // the sign of life after which a late look found silence
	gone     error     // why it ended; nil while it lives
	death    lazyTimer
}

// ID names the session, unguessably.
func (s *Session) ID() string { return s.id }

// Claim gives the claim it serves.
func (s *Session) Claim() *Claim { return s.claim }

// Cursor gives the cursor before the first message.
func (s *Session) Cursor() string { return s.cursor(0) }

// A cursor names its session, so that one kept from an older session is
// refused rather than misread.
func (s *Session) cursor(n uint64) string {
	return strconv.FormatUint(n, 10) + "-" + s.id[:cursorPrefix]
}

// cursorPrefix is how much of its session's id a cursor has.
const cursorPrefix = 6

// position is the number of the message that a cursor names. The caller holds
// claim.mu.
func (s *Session) position(cursor string) (uint64, error) {
	n, err := s.number(cursor)
	if err != nil || n > s.given {
		return 0, ErrBadCursor
	}
	return n, nil
}

// acknowledge takes the messages up to cursor, or all where it is nil, as
// received. The caller holds claim.mu.
func (s *Session) acknowledge(cursor *string) error {
	if cursor == nil {
		s.acknowledgeUpTo(s.given, false)
		return nil
	}
	if s.door != "" {
		return s.ask(*cursor)
	}
	n, err := s.position(*cursor)
	if err != nil {
		return err
	}
	if !s.cursors {
		s.cursors = true
		s.death.after(s.lifetime())
	}
	s.acknowledgeUpTo(n, true)
	return nil
}

// wake ends the wait of the open poll, if any. The caller holds claim.mu.
func (s *Session) wake() {
	if s.poll != nil {
		s.claim.unpark(s)
		s.poll.wake()
	}
}

// lifetime is how long the session lives without a sign of life. The caller
// holds claim.mu.
func (s *Session) lifetime() time.Duration {
	if s.cursors {
		return s.claim.registry.times.Acknowledge
	}
	if s.door != "" {
		return min(s.claim.terms.Lease, s.claim.registry.times.Lease)
	}
	return s.claim.terms.Lease
}

// lapse ends the session if it gave no sign of life for its lifetime; else it
// looks again later.
//
// A gateway that is too busy may not have read yet what the program sent. Such a one is
// late itself: a silent session whose look comes late gets another, after as long as that
// was late and a tenth of its lifetime at least. It ends if it was silent until then.
func (s *Session) lapse() {
	runtime.Gosched() // behind the goroutines that already have something to read
	c := s.claim
	c.mu.Lock()
	life := s.lifetime()
	left, late := time.Until(s.active.Add(life)), time.Since(s.death.due)
	lost, over := false, false
	switch {
	case s.gone != nil:
	case s.poll != nil || s.busy > 0: // its end arms the timer
		s.death.disarm()
	case left > 0:
		s.death.after(left)
	case c.registry.isDraining(), s.outstays(): // it was told to stay away, or is busy
		s.death.after(life)
	case late > life/lateShare && !s.doubted.Equal(s.active):
		s.doubted = s.active
		s.death.after(max(life/graceShare, late))
	case c.polls == 0 && c.leaseLeft() <= 0:
		over = true // the claim ends with it, and its program is to learn that
		s.death.after(life)
	default:
		lost = true
		s.lose()
	}
	c.mu.Unlock()
	if lost {
		c.registry.sessionEnded(s, SessionLost)
	}
	if over {
		_ = c.keeper.end(ErrLeaseEnded, c.overdue) // an error is logged, and it is tried again
	}
}

const (
	// lateShare is the share of a lifetime by which a look may be late.
	lateShare = 100
	// graceShare is the share of a lifetime until the second look, at least.
	graceShare = 10
)

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
	for s.forgetTomb() {
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
	for i := range s.sent.list() {
		if x := s.undelivered(&s.sent.list()[i]); x != nil {
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
	s.death.stop()
	c.sessions = slices.DeleteFunc(c.sessions, func(o *Session) bool { return o == s })
	s.wake()
	var moving []*Exchange
	for _, m := range s.next.list() {
		if m.exchange != nil {
			moving = append(moving, m.exchange)
		}
	}
	s.next, s.sent, s.cancels = fifo[message]{}, sentMessages{}, 0
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
	s.busy++
	return func() {
		s.claim.mu.Lock()
		defer s.claim.mu.Unlock()
		s.busy--
		s.touch()
	}
}
