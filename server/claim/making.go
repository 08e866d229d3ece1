package claim

import (
	"net/netip"
	"sync"

	"reversehttp/server/budget"
)

// making has the claims of a registry that have no record yet, and lists those that got one.
type making struct {
	registry *Registry
	// mu is held while a claim is listed, and while it is taken out. It guards claims.
	mu     sync.Mutex
	claims map[string]*Claim // by label
}

// begin makes a claim that has no record yet, unless somebody else does or did, whose it gives.
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
	if label == "" {
		for label == "" || known() != nil || (r.options.Reserved != nil && r.options.Reserved(label, "")) {
			label = pickLabel()
		}
	} else if c := known(); c != nil {
		return c, false, nil
	}
	if r.options.Weak != nil && r.options.Weak(label, token) {
		return nil, false, ErrWeakToken
	}
	hold, err := r.holdClaim(from)
	if err != nil {
		return nil, false, err
	}
	c = r.newClaim(s.in(Record{
		Label: label, Token: HashToken(token), Terms: Terms{Lease: r.times.Lease, Timeout: r.times.Answer, Redeliver: RedeliverIdempotent}, Unpolled: true,
	}), hold)
	c.Charge(hold)
	m.claims[label] = c
	return c, true, nil
}

// end lists a claim that has a record, and forgets one that has none.
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
		c.hold.Exit(budget.Claims)
		c.hold.Shrink(claimWeight)
		c.hold.Close()
	}
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

// unlist takes an ended claim out.
func (m *making) unlist(c *Claim) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.registry.claims.CompareAndDelete(c.label, c)
}
