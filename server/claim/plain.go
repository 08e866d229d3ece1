package claim

import (
	"net/netip"
	"slices"
	"time"
)

// A plain session serves a door's protocol without cancellations and cursors: its program names its place in
// a URL. Its messages are only requests, numbered without gaps, and a reply names its exchange by the number.
// If a program asks again from an earlier place, unanswered requests are delivered again, numbered from that
// place on. A program that asks from a later place knows that place from an earlier session.
//
// Cursors do not show that a plain session lives. It ends when its program neither polls nor
// answers for the default lease, or for the claim's lease if the session holds exchanges or that
// lease is shorter. Programs that answer once per connection end their session with each
// connection, so visitors wait for them as they do between two polls.

// Idle returns a plain session of a door that nobody polls, or nil.
func (c *Claim) Idle(door string) *Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.sessions {
		if s.door == door && s.poll == nil && s.life.busy == 0 {
			return s
		}
	}
	return nil
}

// Holder returns the session of a door that was given an exchange, and the exchange if it is open.
// It returns nil if there is none.
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

// Given returns the exchange that came nth, counted from 0, after a cursor of a plain session, or
// nil if it is not open. known reports whether there recently was one. It fails with
// [ErrBadCursor].
func (s *Session) Given(cursor string, nth int) (x *Exchange, known bool, err error) {
	s.claim.mu.Lock()
	defer s.claim.mu.Unlock()
	at, err := numberOf(s.id, cursor)
	if err != nil {
		return nil, false, err
	}
	id, ok := s.numbers.ids[at+uint64(nth)+1]
	if !ok {
		return nil, false, nil
	}
	if x := s.held[id]; x != nil {
		return x, true, nil
	}
	t, ok := s.tombs.byID[id]
	return nil, ok && time.Since(t.at) <= s.claim.registry.times.Tombstone, nil
}

// numbers maps the numbers of a plain session to its exchanges. claim.mu guards it.
type numbers struct {
	session *Session
	ids     map[uint64]string // of exchanges, held or remembered
}

// ask acknowledges the messages of a plain session up to cursor and renumbers those after it. It
// fails with [ErrSpent] if the program had one of those. The caller holds claim.mu.
func (n *numbers) ask(cursor string) error {
	s := n.session
	at, err := numberOf(s.id, cursor)
	if err != nil {
		return err
	}
	for number := at + 1; number <= s.out.given; number++ {
		if number > at+uint64(s.claim.registry.limits.Batch) || n.had(n.ids[number]) {
			return ErrSpent
		}
	}
	s.out.acknowledgeUpTo(at, true)
	s.out.tidy()
	for number := at + 1; number <= s.out.given; number++ {
		delete(n.ids, number)
	}
	s.out.given = at
	for i := range s.out.sent.list() {
		m := &s.out.sent.list()[i]
		s.out.given++
		m.number = s.out.given
		n.add(s.held[m.id])
	}
	return nil
}

// had reports whether the program certainly had an exchange, or the id is unknown. The caller holds
// claim.mu.
func (n *numbers) had(id string) bool {
	s := n.session
	if x := s.held[id]; x != nil {
		return x.state != delivered
	}
	t, ok := s.tombs.byID[id]
	return !ok || !t.late
}

// add numbers an exchange as the last message given. The caller holds claim.mu.
func (n *numbers) add(x *Exchange) {
	x.number = n.session.out.given
	if n.session.door != "" {
		if n.ids == nil {
			n.ids = make(map[uint64]string)
		}
		n.ids[x.number] = x.id
	}
}

// forget removes the number of an exchange that was forgotten or given back. The caller holds
// claim.mu.
func (n *numbers) forget(id string, number uint64) {
	if n.ids[number] == id {
		delete(n.ids, number)
	}
}

// Place is the place of a door's program: its session, and its place among that session's messages.
type Place struct {
	// Door is the name of the door.
	Door string
	// Session is the session's id, and Cursor the program's place. If both are empty the session is
	// new.
	Session, Cursor string
}

// NewPlace returns a place that nobody has.
func NewPlace(door string) Place {
	id := randomName()
	return Place{door, id, cursorOf(id, 0)}
}

// Enter opens a plain session: a new one, or one that a program knows from before and that the
// gateway forgot or ended. If that session still lives, Enter returns it. It claims and fails as
// [Registry.Open] does; also with [ErrBadCursor], and with [ErrNoSession] if the id belongs to
// another door.
func (r *Registry) Enter(from netip.Addr, at Place, label, token string, s Settings) (*Opened, error) {
	if at.Session == "" && at.Cursor == "" {
		at = NewPlace(at.Door)
	}
	if !isName(at.Session) {
		return nil, ErrBadCursor
	}
	n, err := numberOf(at.Session, at.Cursor)
	if err != nil {
		return nil, err
	}
	return r.enter(from, label, token, s, &Session{id: at.Session, door: at.Door, out: outbox{given: n}})
}

// place lists a session that is resumed by its id. If a session lives under that id, it returns
// that one, or fails with [ErrNoSession] if it is another door's. The caller holds claim.mu of s.
func (r *Registry) place(s *Session) (living *Session, err error) {
	for {
		v, taken := r.sessions.LoadOrStore(s.id, s)
		if !taken {
			return nil, nil
		}
		old := v.(*Session)
		switch {
		case old.claim.label != s.claim.label, old.door != s.door:
			return nil, ErrNoSession
		case slices.Contains(s.claim.sessions, old):
			return old, nil
		case r.sessions.CompareAndSwap(s.id, old, s):
			return nil, nil
		}
	}
}
