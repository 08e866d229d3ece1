package claim

import (
	"net/netip"
	"sync"

	"reversehttp/server/budget"
)

// making holds the claims of a registry that have no record yet, and lists them once they have one.
type making struct {
	registry *Registry
	// mu guards claims. It is held while a claim is listed or removed.
	mu     sync.Mutex
	claims map[string]*Claim // by label
	pick   func() string     // returns a random label
}

// mostPicks bounds how many labels are picked until one is free: all may belong to somebody.
const mostPicks = 1000

// begin makes a claim that has no record yet. If another call made one, it returns that claim and
// false.
func (m *making) begin(from netip.Addr, label, token string, s Settings) (c *Claim, mine bool, err error) {
	r := m.registry
	m.mu.Lock()
	defer m.mu.Unlock()
	known := func() *Claim {
		if c := m.claims[label]; c != nil {
			return c
		}
		return r.Lookup(label)
	}
	made, err := s.in(Record{
		Label: label, Terms: Terms{Lease: r.times.Lease, Timeout: r.times.Answer, Redeliver: RedeliverIdempotent, Others: s.Fresh}, Unpolled: true,
	})
	if err == nil && len(s.Fresh)+len(s.Others) > 0 {
		err = r.options.fit(made.Terms)
	}
	belongs := func() bool {
		return !r.options.refused(label) && (r.options.Belongs == nil || r.options.Belongs(label, made.Terms))
	}
	minted := label == ""
	if minted {
		for tries := 0; label == "" || known() != nil || !belongs() || (r.options.Reserved != nil && r.options.Reserved(label, "")); tries++ {
			if tries > mostPicks {
				return nil, false, ErrLabelReserved
			}
			label = m.pick()
		}
		made.Label = label
	} else if c := known(); c != nil {
		return c, false, nil
	}
	switch {
	case err != nil:
		return nil, false, err
	case !belongs():
		return nil, false, ErrLabelReserved
	}
	if r.options.Weak != nil && r.options.Weak(label, token) {
		return nil, false, ErrWeakToken
	}
	alone, uncount, err := r.options.countClaim(label, made.Terms, false)
	if err != nil {
		return nil, false, err
	}
	if alone {
		from = netip.Addr{}
	}
	hold, err := r.holdClaim(from)
	if err != nil {
		uncount()
		return nil, false, err
	}
	made.Token, made.History = HashToken(token), r.past.begin(minted)
	c = r.newClaim(made, hold)
	c.uncount = uncount
	c.from, c.keeper.given = from, r.options.Given != nil && r.options.Given(label, token)
	c.Charge(hold)
	m.claims[label] = c
	return c, true, nil
}

// end lists a claim that got its record, or forgets one that got none.
func (m *making) end(c *Claim, kept bool) {
	if kept {
		m.list(c)
	}
	m.mu.Lock()
	delete(m.claims, c.label)
	close(c.keeper.made)
	m.mu.Unlock()
	if !kept {
		c.untap()
		c.uncount()
		c.hold.Exit(budget.Claims)
		c.hold.Shrink(claimWeight)
		c.hold.Close()
	}
}

// alone calls change unless the label is claimed, and has claims of the label wait meanwhile.
func (m *making) alone(label string, change func()) {
	c := &Claim{label: label, keeper: keeper{made: make(chan struct{}), entry: entry{patience: m.registry.times.Records}}}
	m.mu.Lock()
	taken := m.claims[label] != nil || m.registry.Lookup(label) != nil
	if !taken {
		m.claims[label] = c
	}
	m.mu.Unlock()
	if taken {
		return
	}
	change()
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.claims, label)
	close(c.keeper.made)
}

// list lists a claim and starts its lease.
func (m *making) list(c *Claim) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c.mu.Lock()
	c.lease.start()
	c.mu.Unlock()
	m.registry.claims.Store(c.label, c)
}

// unlist removes an ended claim.
func (m *making) unlist(c *Claim) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.registry.claims.CompareAndDelete(c.label, c)
}
