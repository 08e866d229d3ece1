package claim

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A plain session serves a protocol of a door that has no words for cancellations,
// nor for cursors: what its program says of its place stands in a URL. So its
// messages are requests only, numbered without gaps, and a number tells which
// exchange a reply is for. A program that asks again from an earlier place gets what
// it has not answered again, under the numbers that follow that place; one that asks
// from a later place knows it from a session before this one.
//
// A cursor says nothing of the life of a plain session. It ends when its program
// neither polls nor answers for the default lease, or for the claim's where it holds
// exchanges or that is shorter. Programs that answer once a connection end their
// session with each, so visitors wait for them as for one between two polls.

// Plain makes the session one of a door, by the door's name. It is called before the
// first poll.
func (s *Session) Plain(door string) {
	s.claim.mu.Lock()
	defer s.claim.mu.Unlock()
	s.door = door
	if s.gone == nil {
		s.death.after(s.lifetime())
	}
}

// Door gives the name of the door that made the session plain, or "".
func (s *Session) Door() string {
	s.claim.mu.Lock()
	defer s.claim.mu.Unlock()
	return s.door
}

// Idle gives a plain session of a door that nobody polls, or nil.
func (c *Claim) Idle(door string) *Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.sessions {
		if s.door == door && s.poll == nil && s.busy == 0 {
			return s
		}
	}
	return nil
}

// Holder gives the session of a door that was given an exchange, and the exchange
// where it is open. It gives nil where there is none.
func (c *Claim) Holder(door, id string) (*Session, *Exchange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.sessions {
		if s.door != door {
			continue
		}
		if x := s.held[id]; x != nil {
			return s, x
		}
		if _, ok := s.tombs.byID[id]; ok {
			return s, nil
		}
	}
	return nil, nil
}

// Given tells the exchange that came nth, from 0, after a cursor of a plain session,
// where that is open, and whether there was one, lately. It fails with
// [ErrBadCursor].
func (s *Session) Given(cursor string, nth int) (x *Exchange, known bool, err error) {
	s.claim.mu.Lock()
	defer s.claim.mu.Unlock()
	at, err := s.number(cursor)
	if err != nil {
		return nil, false, err
	}
	id, ok := s.numbered[at+uint64(nth)+1]
	if !ok {
		return nil, false, nil
	}
	if x := s.held[id]; x != nil {
		return x, true, nil
	}
	t, ok := s.tombs.byID[id]
	return nil, ok && time.Since(t.at) <= s.claim.registry.times.Tombstone, nil
}

// mostNumber bounds what a cursor that the gateway does not remember may say.
const mostNumber = 1 << 53

// number reads a cursor of the session, whether it was given out or not.
func (s *Session) number(cursor string) (uint64, error) {
	digits, ok := strings.CutSuffix(cursor, "-"+s.id[:cursorPrefix])
	n, err := strconv.ParseUint(digits, 10, 64)
	if !ok || err != nil || n > mostNumber || digits != strconv.FormatUint(n, 10) {
		return 0, ErrBadCursor
	}
	return n, nil
}

// ask acknowledges the messages of a plain session up to cursor, and numbers those
// after it anew. It fails with [ErrSpent] where the program had one of them. The
// caller holds claim.mu.
func (s *Session) ask(cursor string) error {
	n, err := s.number(cursor)
	if err != nil {
		return err
	}
	for number := n + 1; number <= s.given; number++ {
		if number > n+uint64(s.claim.registry.limits.Batch) || s.had(s.numbered[number]) {
			return ErrSpent
		}
	}
	s.acknowledgeUpTo(n, true)
	s.tidy()
	for number := n + 1; number <= s.given; number++ {
		delete(s.numbered, number)
	}
	s.given = n
	for i := range s.sent.list() {
		m := &s.sent.list()[i]
		s.given++
		m.number = s.given
		s.enumerate(s.held[m.id])
	}
	return nil
}

// had tells whether the program surely had an exchange, or none is known of the id.
// The caller holds claim.mu.
func (s *Session) had(id string) bool {
	if x := s.held[id]; x != nil {
		return x.state != delivered
	}
	t, ok := s.tombs.byID[id]
	return !ok || !t.late
}

// enumerate gives an exchange the number of the message that gives it, the last one. The
// caller holds claim.mu.
func (s *Session) enumerate(x *Exchange) {
	x.number = s.given
	if s.door != "" {
		if s.numbered == nil {
			s.numbered = make(map[uint64]string)
		}
		s.numbered[x.number] = x.id
	}
}

// unnumber forgets the number of an exchange that is forgotten, or was given back. The
// caller holds claim.mu.
func (s *Session) unnumber(id string, number uint64) {
	if s.numbered[number] == id {
		delete(s.numbered, number)
	}
}

// outstays tells whether a session that gave no sign of life for its lifetime may
// live on, since its program may be busy with what it holds. The caller holds
// claim.mu.
func (s *Session) outstays() bool {
	return s.door != "" && len(s.held) > 0 && time.Now().Before(s.active.Add(s.claim.terms.Lease))
}

// Resume opens a plain session that a program knows from before, by its id and the
// cursor that it is at, and that the gateway forgot or ended. Where it lives, that is
// given. It claims and fails as [Registry.Open] does, and with [ErrBadCursor], and
// with [ErrNoSession] where the id is not the door's to give.
func (r *Registry) Resume(from netip.Addr, door, label, token, id, cursor string) (*Opened, error) {
	if len(id) != len(randomName()) || strings.ContainsFunc(id, func(c rune) bool { return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz234567", c) }) {
		return nil, ErrBadCursor
	}
	n, err := (&Session{id: id}).number(cursor)
	if err != nil {
		return nil, err
	}
	return r.enter(from, label, token, Settings{}, &Session{id: id, door: door, given: n})
}

// Place makes up an id for [Registry.Resume] of a session that nobody has, and its
// first cursor.
func Place() (session, cursor string) {
	s := Session{id: randomName()}
	return s.id, s.Cursor()
}

// place lists a session that is resumed by its id. It gives the session that lives
// under that id, where one does, and fails with [ErrNoSession] where that is not the
// same door's. The caller holds claim.mu of s.
func (r *Registry) place(s *Session) (living *Session, err error) {
	for {
		v, taken := r.sessions.LoadOrStore(s.id, s)
		if !taken {
			return nil, nil
		}
		old := v.(*Session)
		switch {
		case old.claim.label != s.claim.label:
			return nil, ErrNoSession
		case slices.Contains(s.claim.sessions, old) && old.door == s.door:
			return old, nil
		case slices.Contains(s.claim.sessions, old):
			return nil, ErrNoSession
		case r.sessions.CompareAndSwap(s.id, old, s):
			return nil, nil
		}
	}
}
