package claim

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
)

// Opened is a new session and what its program learns about it.
type Opened struct {
	Session *Session
	// Cursor is the one before the session's first message.
	Cursor string
	// Token owns the claim.
	Token string
	// Created reports whether the claim is new.
	Created bool
	// State of the claim.
	State State
}

// Open claims a label and opens a session. An empty label or token is chosen by the registry.
// Anyone with the token of an existing claim gets a session of it. A new claim counts for the
// address from, unless that is the zero value.
//
// It fails with [ErrBadLabel], [ErrBadToken], [ErrWeakToken], [ErrLabelTaken], [ErrLabelKept], [ErrLabelReserved],
// [ErrTooManyClaims], [ErrAddressClaims], [ErrTooManyOpen], [ErrUnavailable], [ErrDraining] and [ErrTerms].
func (r *Registry) Open(from netip.Addr, label, token string, s Settings) (*Opened, error) {
	return r.enter(from, label, token, s, nil)
}

// enter is Open, but resumes a session if resumed is not nil.
func (r *Registry) enter(from netip.Addr, label, token string, s Settings, resumed *Session) (*Opened, error) {
	switch {
	case r.drain.begun():
		return nil, ErrDraining
	case label != "" && !ValidLabel(label):
		return nil, ErrBadLabel
	case token != "" && !ValidToken(token):
		return nil, ErrBadToken
	case label != "" && r.options.refused(label):
		return nil, ErrTakenDown
	case label != "" && r.options.Reserved != nil && r.options.Reserved(label, token):
		return nil, ErrLabelReserved
	}
	s.Token, s.By = nil, from
	for {
		c, created, err := r.claim(from, label, &token, s)
		if err != nil {
			return nil, err
		}
		if err := c.keeper.awaitEnd(); err != nil {
			return nil, err
		}
		o, living, err := c.openSession(from, token, created, resumed)
		switch {
		case err == errEndedMeanwhile:
			continue
		case err != nil && created: // nobody knows of the claim
			_ = c.keeper.end(ErrClaimDeleted, func() bool { return len(c.sessions) == 0 }, netip.Addr{})
			return nil, err
		case err != nil || living:
			return o, err
		case !created && !s.none():
			if err := c.Change(s); err != nil {
				_ = o.Session.End(nil, false)
				if err == ErrUnavailable || errors.Is(err, ErrTerms) {
					return nil, err
				}
				continue // the claim has ended
			}
			o.State = c.State()
		}
		if created {
			r.options.note(Notice{Claim: c, By: from, Made: true, Changed: slices.Sorted(maps.Keys(s.Others)), Terms: o.State.Shown})
		}
		r.options.Log.Info("session opened", "label", c.label, "session", o.Session.id[:6], "new_claim", created)
		return o, nil
	}
}

// claim finds or makes the claim of a label. It mints a token if none is given.
func (r *Registry) claim(from netip.Addr, label string, token *string, s Settings) (c *Claim, created bool, err error) {
	for {
		if c := r.Lookup(label); c != nil {
			return c, false, nil
		}
		if *token == "" {
			*token = MintToken(OwnerToken)
		}
		c, mine, err := r.making.begin(from, label, *token, s)
		switch {
		case err != nil:
			return nil, false, err
		case mine:
			err := c.keeper.create()
			if label == "" && (err == ErrLabelTaken || err == ErrLabelKept) { // pick another
				continue
			}
			return c, true, err
		}
		if err := c.keeper.entry.await(c.keeper.made); err != nil {
			return nil, false, err
		}
	}
}

// errEndedMeanwhile makes Open look again.
var errEndedMeanwhile = ErrNoClaim

// openSession opens a session, or returns the one to be resumed if it still lives.
func (c *Claim) openSession(from netip.Addr, token string, created bool, resumed *Session) (o *Opened, living bool, err error) {
	s := newSession(c, randomName())
	if resumed != nil {
		s.id, s.door, s.out.given = resumed.id, resumed.door, resumed.out.given
	}
	old, err := c.admit(s, token, resumed != nil)
	switch {
	case err != nil:
		return nil, false, err
	case old != nil:
		old.Known.Add(from)
		return &Opened{Session: old, Cursor: cursorOf(old.id, 0), Token: token, State: c.State()}, true, nil
	}
	s.Known.Add(from)
	c.registry.serving.Add(1)
	return &Opened{Session: s, Cursor: cursorOf(s.id, 0), Token: token, Created: created, State: c.State()}, false, nil
}

// admit lists a session, unless a live session has the id that it resumes; then it returns that
// one.
func (c *Claim) admit(s *Session, token string, resumes bool) (living *Session, err error) {
	h := HashToken(token)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.gone != nil, c.keeper.ending != nil:
		return nil, errEndedMeanwhile
	case token == "" || !c.token.equal(h):
		return nil, ErrLabelTaken
	case resumes:
		if living, err = c.registry.place(s); living != nil || err != nil {
			return living, err
		}
	}
	return nil, seat(s)
}

// seat lists a session that its registry knows or can know by its id, if there is room for it. The
// caller holds claim.mu.
func seat(s *Session) (err error) {
	c := s.claim
	if len(c.sessions) >= c.registry.limits.Sessions || !c.hold.TryGrow(sessionWeight) {
		c.registry.sessions.CompareAndDelete(s.id, s)
		return ErrTooManyOpen
	}
	if s.uncount, err = c.registry.options.countSession(c.label); err != nil {
		c.registry.sessions.CompareAndDelete(s.id, s)
		c.hold.Shrink(sessionWeight)
		return err
	}
	c.registry.sessions.Store(s.id, s)
	c.sessions = append(c.sessions, s)
	s.life.touch()
	return nil
}
