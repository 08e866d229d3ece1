package claim

import (
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"reversehttp/server/budget"
)

// Options of a [Registry]. The zero value is good.
type Options struct {
	Times  Times
	Limits Limits
	// Reserved reports whether a label may not be claimed with a token, which is empty where one is
	// to be minted. Nil reserves no label.
	Reserved func(label, token string) bool
	// Withdrawn reports whether the operator withdrew a label: nobody may claim it. Nil means that none is.
	Withdrawn func(label string) bool
	// Belongs reports whether a new claim that has these terms, which say who makes it, may have a
	// label. It is called with locks held. Nil accepts every label.
	Belongs func(label string, t Terms) bool
	// Quotas count claims and sessions. Nil counts none.
	Quotas Quotas
	// Weak reports whether a token is too weak to be chosen for a label: for a new claim, or to
	// replace the token of a claim. Nil accepts every token.
	Weak func(label, token string) bool
	// Fits returns why a claim cannot be given these terms. It is not called with those that were
	// kept. The claim is locked. Nil accepts all.
	Fits func(Terms) error
	// Log records when claims and sessions begin and end. Nil logs nothing.
	Log *slog.Logger
	// Ended, if not nil, is called with every exchange that ends, on the visitor's goroutine.
	Ended func(Ended)
	// SessionEnded, if not nil, is called with the reason for which a session ended.
	SessionEnded func(SessionEnd)
	// Noted gets every claim that is made, changed or ended, on the goroutine that does so, with no lock held. Nil discards
	// them.
	Noted func(Notice)
	// Records keep who owns which label. Nil keeps them in memory only.
	Records Records
	// Tap returns the tap for the exchanges of a claim with these terms, or nil for none. It is
	// called, with the claim locked, when a claim is made and whenever its terms change. A nil Tap
	// installs no taps.
	Tap func(*Claim, Terms) Tap
	// Untap is called with every claim that Tap was called with, when the claim ends. It is set if
	// Tap is.
	Untap func(*Claim)
	// Budget bounds memory and places. Nil makes one from Limits.
	Budget *budget.Budget
	// Given reports whether the operator assigned a label to a token, which then gets it even if the
	// label is kept for another. Nil always reports false.
	Given func(label, token string) bool
	// Kept are the claims to restore. Each gets a new lease, and visitors wait for its program as
	// they do between two polls. Those that were released are remembered.
	Kept []Kept
	// OneAddress says that all visitors share one address, which then has no share of its own in a
	// claim's queue.
	OneAddress bool
}

// Ended describes an exchange that has ended.
type Ended struct {
	Exchange *Exchange
	Claim    *Claim
	Outcome  Outcome
	// Err is why the exchange failed; nil for Done.
	Err error
	// Absent says that the visitor was answered nevertheless; see [Claim.Begin].
	Absent bool
	// Queued is how long the exchange waited for a session. Handled is how long a session had it;
	// zero if none did.
	Queued, Handled time.Duration
	// Sent counts the bytes of the request's content, Received those of the answer's.
	Sent, Received int
}

// endedOf describes an exchange that has ended, with its failure, if any.
func endedOf(x *Exchange, f *Failure) Ended {
	now := time.Now()
	e := Ended{Exchange: x, Claim: x.claim, Outcome: x.outcome, Queued: now.Sub(x.begun)}
	if f != nil {
		e.Err, e.Absent = f.Err, f.Answer != nil
	}
	if given := x.due.given; !given.IsZero() {
		e.Queued, e.Handled = given.Sub(x.begun), now.Sub(given)
	}
	if x.request != nil {
		e.Sent = x.request.Content.read()
	}
	if x.parts != nil {
		e.Received = x.parts.total
	} else if x.answer != nil {
		e.Received = len(x.answer.Content)
	}
	return e
}

// SessionEnd is why a session ended.
type SessionEnd string

// The reasons.
const (
	// SessionLeft means that its program ended it.
	SessionLeft SessionEnd = "left"
	// SessionLost means that it gave no sign of life.
	SessionLost SessionEnd = "lost"
	// SessionClaimEnded means that its claim ended.
	SessionClaimEnded SessionEnd = "claim_ended"
)

// Registry holds the claims of a gateway.
type Registry struct {
	times    Times
	limits   Limits
	options  Options
	claims   sync.Map // label → *Claim
	sessions sync.Map // id → *Session, ended ones for a while too

	making making
	past   past

	serving atomic.Int64 // live sessions
	polls   atomic.Int64 // open polls
	budget  *budget.Budget
	waiters waiters

	drain  drain
	closed atomic.Bool
}

// New returns a registry with the claims of [Options.Kept].
func New(o Options) *Registry {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Records == nil {
		o.Records = NewMemoryRecords()
	}
	o.Times, o.Limits = o.Times.withDefaults(), o.Limits.withDefaults()
	if l := o.Limits; o.Budget == nil {
		o.Budget = budget.New(budget.Amounts{
			budget.Memory: l.Memory, budget.Exchanges: int64(l.Exchanges), budget.Connections: int64(l.Connections), budget.Claims: int64(l.Claims),
		})
	}
	kept := o.Kept
	o.Kept = nil
	r := &Registry{
		times: o.Times, limits: o.Limits, budget: o.Budget, options: o,
		drain: drain{begins: make(chan struct{})},
	}
	r.making = making{registry: r, claims: make(map[string]*Claim), pick: pickLabel}
	r.past = newPast(r)
	for _, k := range kept {
		r.restore(k, time.Time{})
	}
	return r
}

// Options returns the options in force, with defaults and the budget filled in.
func (r *Registry) Options() Options { return r.options }

// The memory, in bytes, that a claim takes, and a session until it is forgotten, without what they
// remember.
const (
	claimWeight   = 2 << 10
	sessionWeight = 2 << 10
)

// holdClaim takes a place for a new claim, which counts for an address.
func (r *Registry) holdClaim(from netip.Addr) (*budget.Hold, error) {
	if r.budget.HeldBy(from, budget.Claims) >= int64(r.limits.AddressClaims) {
		return nil, ErrAddressClaims
	}
	h := r.budget.Open(from)
	if !h.Enter(budget.Claims) || !h.Grow(claimWeight) {
		h.Close()
		return nil, ErrTooManyClaims
	}
	return h, nil
}

func (r *Registry) newClaim(rec Record, hold *budget.Hold) *Claim {
	c := &Claim{
		registry: r, label: rec.Label, hold: hold, prefix: randomName()[:10] + "-",
		token: rec.Token, terms: rec.Terms, history: rec.History, Past: rec.Past,
	}
	c.keeper = keeper{claim: c, made: make(chan struct{}), entry: entry{
		records: r.options.Records, patience: r.times.Records, turn: make(chan struct{}, 1), label: rec.Label,
	}}
	c.queue.claim, c.exchanges.claim, c.adoption.claim = c, c, c
	c.lease = lease{claim: c, polled: !rec.Unpolled}
	c.lease.end.fire, c.keeper.mending.fire = c.lease.look, c.keeper.mend
	c.retap()
	return c
}

// restore restores a claim from its record, or remembers that the label was released. taken is when
// it was taken from another registry, if it was.
func (r *Registry) restore(k Kept, taken time.Time) {
	if !k.Released.IsZero() {
		if r.past.most > 0 {
			r.past.note(&k.Record)
		}
		return
	}
	k.Begun = r.past.since(k.Begun)
	h := r.budget.Open(netip.Addr{})
	h.Enter(budget.Claims)
	h.Add(claimWeight)
	c := r.newClaim(k.Record, h)
	_, c.uncount, _ = r.options.countClaim(c.label, c.terms, true)
	c.keeper.entry.settle(&k.Record, k.Revision)
	close(c.keeper.made)
	c.Charge(h)
	c.awaited, c.adoption.since = time.Now(), taken
	r.making.list(c)
}

// Lookup returns the live claim of a label, or nil.
func (r *Registry) Lookup(label string) *Claim {
	if c, ok := r.claims.Load(label); ok {
		return c.(*Claim)
	}
	return nil
}

// Session returns the session of a label with this id, or nil. It finds recently ended sessions
// too. If door is not empty, the session must be a plain session of that door; otherwise it must
// not be plain.
func (r *Registry) Session(door, label, id string) *Session {
	if v, ok := r.sessions.Load(id); ok {
		if s := v.(*Session); s.door == door && s.claim.label == label {
			return s
		}
	}
	return nil
}

// Labels returns at most most claimed labels.
func (r *Registry) Labels(most int) (labels []string) {
	r.claims.Range(func(label, _ any) bool {
		if len(labels) < most {
			labels = append(labels, label.(string))
		}
		return len(labels) < most
	})
	slices.Sort(labels)
	return labels
}

// Stats counts what there is now.
type Stats struct {
	Claims, Sessions, Polls, Exchanges int
	// Lasting reports whether an exchange may have been open for longer than a second. It becomes
	// false only if Stats is called often.
	Lasting bool
}

// Stats returns the current counts.
func (r *Registry) Stats() Stats {
	return Stats{int(r.budget.Held(budget.Claims)), int(r.serving.Load()), int(r.polls.Load()), int(r.budget.Held(budget.Exchanges)), r.drain.eras.last()}
}

// Close stops the timers of all claims. The registry is not used afterwards.
func (r *Registry) Close() {
	r.letNothingIn()
	r.closed.Store(true)
	r.claims.Range(func(_, v any) bool {
		c := v.(*Claim)
		c.mu.Lock()
		c.lease.end.stop()
		c.keeper.mending.stop()
		for _, s := range c.sessions {
			s.life.death.stop()
			s.life.hangup.look.stop()
		}
		c.mu.Unlock()
		return true
	})
}

// forget removes an ended claim. Its sessions are remembered for a while, so that they can answer
// what they hold, and learn why the claim ended. by is the address that had it end, if any.
func (r *Registry) forget(c *Claim, sessions []*Session, why error, by netip.Addr) {
	c.untap() // before another has the label
	r.making.unlist(c)
	c.uncount()
	c.hold.Exit(budget.Claims)
	c.hold.Shrink(claimWeight)
	time.AfterFunc(r.times.Tombstone, c.hold.Close) // its sessions, and what they remember, are held until then
	r.options.note(Notice{Claim: c, By: by, Why: why})
	r.options.Log.Info("claim ended", "label", c.label, "reason", strings.TrimPrefix(why.Error(), "claim: "))
	for _, s := range sessions {
		r.sessionEnded(s, SessionClaimEnded)
	}
}

// sessionEnded notes the end of a session and forgets it after a while.
func (r *Registry) sessionEnded(s *Session, why SessionEnd) {
	r.serving.Add(-1)
	s.uncount()
	if r.options.SessionEnded != nil {
		r.options.SessionEnded(why)
	}
	r.options.Log.Info("session closed", "label", s.claim.label, "session", s.id[:6], "reason", string(why))
	time.AfterFunc(r.times.Tombstone, func() {
		r.sessions.CompareAndDelete(s.id, s) // it may have been resumed
		s.giveUp()
		s.claim.hold.Shrink(sessionWeight)
	})
}
