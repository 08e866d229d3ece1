package claim

import (
	"net/netip"
	"slices"
	"time"

	"reversehttp/server/budget"
)

// Claim is a label with an owner.
type Claim struct {
	// Past names the last change of owner of the label, see [History]. It never changes.
	Past string

	registry *Registry
	label    string
	prefix   string // of its exchanges' ids
	owner    budget.Owner
	hold     *budget.Hold // its own place
	keeper   keeper
	uncount  func()     // ends what it counts for in quotas
	from     netip.Addr // that it counts for
	history  History    // does not change once the claim is listed

	// mu guards all below, and the sessions and exchanges of the claim.
	mu       guard
	token    TokenHash
	terms    Terms
	gone     error // why it ended; nil while it lives
	sessions []*Session
	awaited  time.Time // when a plain session ended last, or one that is to come back, or the claim was restored: its program may come at once
	adoption adoption
	tap      Tap // nil for none

	queue     queue
	exchanges exchanges
	lease     lease
}

// Label returns the label.
func (c *Claim) Label() string { return c.label }

// Charge makes what h holds count for the claim too.
func (c *Claim) Charge(h *budget.Hold) { h.Join(&c.owner) }

// Owns reports whether token is the claim's.
func (c *Claim) Owns(token string) bool {
	h := HashToken(token)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.token.equal(h)
}

// Change applies the settings that are given, once Records have stored them. It fails with
// [ErrUnavailable] if they cannot, with [ErrWeakToken] or with [ErrTerms], and then changes nothing.
func (c *Claim) Change(s Settings) error {
	if weak := c.registry.options.Weak; s.Token != nil && weak != nil && weak(c.label, *s.Token) && !c.Owns(*s.Token) {
		return ErrWeakToken
	}
	return c.keeper.change(s)
}

// apply sets token and terms from a record. The caller holds c.mu.
func (c *Claim) apply(r Record) {
	was := c.terms
	c.terms = r.Terms
	if c.terms.Lease != was.Lease {
		if c.lease.end.timer != nil {
			c.lease.end.after(c.lease.left())
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
			session.Known.Clear()
		}
	}
	c.retap()
}

// Delete ends the claim, once its record is gone. Its parked polls end with [ErrClaimDeleted],
// queued exchanges fail with [ErrNoClaim], and delivered ones may still be answered. If Records
// cannot delete the record, Delete fails with [ErrUnavailable] and the claim lives on. by is the address
// that asks for it, if known.
func (c *Claim) Delete(by ...netip.Addr) error {
	var who netip.Addr
	if len(by) > 0 {
		who = by[0]
	}
	return c.keeper.end(ErrClaimDeleted, nil, who)
}

// record returns the claim's current record. The caller holds c.mu, or is the only one with a
// reference to c.
func (c *Claim) record() Record { return Record{c.label, c.token, c.terms, !c.lease.polled, c.history} }

// finish ends the claim, whose record is gone, because of why, on behalf of an address, if any. Only
// the first call counts.
func (c *Claim) finish(why error, by netip.Addr) {
	c.mu.Lock()
	if c.gone != nil {
		c.mu.Unlock()
		return
	}
	c.gone = why
	c.lease.end.stop()
	c.keeper.mending.stop()
	sessions := slices.Clone(c.sessions)
	for _, s := range sessions {
		for _, m := range s.out.next.list() {
			if m.exchange != nil {
				m.exchange.fail(missing(why))
			}
		}
		s.leave(why)
		if why == ErrMoved {
			for _, x := range s.held.oldestFirst() {
				if x.state != answering {
					x.fail(why)
				}
			}
		}
	}
	c.queue.fail(missing(why))
	c.mu.Unlock()
	c.registry.forget(c, sessions, why, by)
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

// State returns the state of the claim.
func (c *Claim) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	st := State{
		Label: c.label, Shown: c.terms.shown(), LeaseLeft: max(c.lease.left(), 0), Queue: c.queue.exchanges.Len(), Ends: c.exchanges.ends,
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
