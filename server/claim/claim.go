package claim

import (
	"container/list"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// Claim is a label with an owner.
type Claim struct {
	registry *Registry
	label    string
	prefix   string // of its exchanges' ids
	owner    owner
	hold     *Hold // its own place
	keeper   keeper

	// mu guards all below, and the sessions and exchanges of the claim.
	mu       guard
	token    TokenHash
	terms    Terms
	gone     error // why it ended; nil while it lives
	sessions []*Session
	parked   []*Session           // whose open poll waits, longest first
	queue    *list.List           // of *Exchange; empty while a session is parked
	open     int                  // exchanges that have not ended
	openOf   map[netip.Prefix]int // of them, those of each address
	upgraded int                  // of them, those that upgraded their connection
	polls    int                  // open polls
	polled   bool                 // some poll was opened
	lastPoll time.Time            // when a poll was open last; when the claim was made, before one was
	awaited  time.Time            // when a plain session ended last, or the claim was restored: its program may come at once
	lastID   uint64
	ends     [4]uint64 // by Outcome
	leaseEnd lazyTimer
	tap      Tap // nil for none
}

// Label gives the label.
func (c *Claim) Label() string { return c.label }

// Timeout returns how long a visitor waits for an answer now, see [Settings].
func (c *Claim) Timeout() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.terms.Timeout
}

// Owns tells whether token is the claim's.
func (c *Claim) Owns(token string) bool {
	h := HashToken(token)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.token.equal(h)
}

// Change changes the settings that are given, once Records have them. It fails with
// [ErrUnavailable] where they do not take them, and nothing is changed then.
func (c *Claim) Change(s Settings) error { return c.keeper.change(s) }

// apply takes token and terms from a record. The caller holds c.mu.
func (c *Claim) apply(r Record) {
	was := c.terms
	c.terms = r.Terms
	if c.terms.Lease != was.Lease {
		if c.leaseEnd.timer != nil {
			c.leaseEnd.after(c.leaseLeft())
		}
		for _, session := range c.sessions {
			if session.poll == nil { // the lease is the life of one without cursors
				session.life.death.after(time.Until(session.life.active.Add(session.life.lifetime())))
			}
		}
	}
	if !c.token.equal(r.Token) {
		c.token = r.Token
		for _, session := range c.sessions { // who knows only the old one gets nothing more
			session.poll.yield()
		}
	}
}

// Delete ends the claim, once its record is gone. Its parked polls end with [ErrClaimDeleted],
// what is queued fails with [ErrNoClaim], and what was delivered may still be answered. It fails
// with [ErrUnavailable] where Records do not take it, and the claim lives on then.
func (c *Claim) Delete() error { return c.keeper.end(ErrClaimDeleted, nil) }

// record is the record of the claim as it stands. The caller holds c.mu, or is the only one to
// know c.
func (c *Claim) record() Record { return Record{c.label, c.token, c.terms, !c.polled} }

// finish ends the claim, which has no record any more, for the reason why, once.
func (c *Claim) finish(why error) {
	c.mu.Lock()
	if c.gone != nil {
		c.mu.Unlock()
		return
	}
	c.gone = why
	c.leaseEnd.stop()
	c.keeper.mending.stop()
	sessions := slices.Clone(c.sessions)
	for _, s := range sessions {
		for _, m := range s.out.next.list() {
			if m.exchange != nil {
				m.exchange.fail(ErrNoClaim)
			}
		}
		s.leave(why)
	}
	for e := c.queue.Front(); e != nil; e = c.queue.Front() {
		e.Value.(*Exchange).fail(ErrNoClaim)
	}
	c.mu.Unlock()
	c.registry.forget(c, sessions, why)
}

// leaseLeft is how long the claim lives if nobody polls. The caller holds c.mu.
func (c *Claim) leaseLeft() time.Duration {
	if c.polls > 0 {
		return c.terms.Lease
	}
	lease := c.terms.Lease
	if !c.polled { // a label that nobody serves is not kept for long
		lease = min(lease, c.registry.times.Unpolled)
	}
	return time.Until(c.lastPoll.Add(lease))
}

// overdue reports whether the lease is over. The caller holds c.mu.
func (c *Claim) overdue() bool {
	return c.polls == 0 && c.leaseLeft() <= 0 && !c.registry.isDraining()
}

// expire ends the claim if its lease is over; otherwise it looks again later.
func (c *Claim) expire() {
	c.mu.Lock()
	left, over := c.leaseLeft(), false
	switch {
	case c.gone != nil:
	case c.polls > 0: // the end of the last poll arms it
		c.leaseEnd.disarm()
	case left > 0:
		c.leaseEnd.after(left)
	case !c.overdue(): // draining: the claim is to come back
		c.leaseEnd.after(c.terms.Lease)
	default:
		over = true
		c.leaseEnd.disarm()
	}
	c.mu.Unlock()
	if !over {
		return
	}
	_ = c.keeper.end(ErrLeaseEnded, c.overdue) // an error is logged, and it is tried again
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone == nil && c.polls == 0 && !c.registry.closed.Load() {
		c.leaseEnd.arm(max(c.leaseLeft(), c.keeper.pause()))
	}
}

// State is what an owner may know of a claim.
type State struct {
	Label string
	Shown
	LeaseLeft time.Duration
	Sessions  []SessionState
	// Queue counts exchanges that no session has.
	Queue int
	// Ends counts exchanges by [Outcome].
	Ends [4]uint64
}

// SessionState is what an owner may know of a session.
type SessionState struct {
	ID     string
	Parked bool
	Held   int
	Idle   time.Duration
}

// State gives the state of the claim.
func (c *Claim) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	st := State{
		Label: c.label, Shown: c.terms.Shown(), LeaseLeft: max(c.leaseLeft(), 0), Queue: c.queue.Len(), Ends: c.ends,
	}
	for _, s := range c.sessions {
		one := SessionState{ID: s.id, Parked: s.poll != nil, Held: len(s.held)}
		if s.poll == nil {
			one.Idle = time.Since(s.life.active)
		}
		for _, m := range s.out.next.list() {
			if m.exchange != nil {
				st.Queue++
			}
		}
		st.Sessions = append(st.Sessions, one)
	}
	return st
}

func (c *Claim) exchangeID(n uint64) string { return c.prefix + strconv.FormatUint(n, 36) }

// lazyTimer is a timer that is not stopped and started for each event: when it
// fires, its function looks whether there is anything to do, and arms it again
// where it fired early. The owner's mutex guards it.
type lazyTimer struct {
	timer *time.Timer
	armed bool
	due   time.Time // when it is to fire
	fire  func()
}

// arm starts it, unless it runs.
func (t *lazyTimer) arm(d time.Duration) {
	if !t.armed {
		t.after(d)
	}
}

// after starts it anew.
func (t *lazyTimer) after(d time.Duration) {
	d = max(d, 0)
	t.armed, t.due = true, time.Now().Add(d)
	if t.timer == nil {
		t.timer = time.AfterFunc(d, t.fire)
	} else {
		t.timer.Reset(d)
	}
}

// disarm notes that it fired and does not run.
func (t *lazyTimer) disarm() { t.armed = false }

// stop ends it.
func (t *lazyTimer) stop() {
	if t.timer != nil {
		t.timer.Stop()
	}
	t.armed = false
}
