package claim

import (
	"net/netip"
	"slices"
)

// TakeDown ends a claim at once for the operator, with [ErrTakenDown]: its polls, and all its open exchanges and upgraded
// connections, even those that a handler has. It fails with [ErrUnavailable] if the record of the claim could not be deleted.
func TakeDown(c *Claim) error {
	c.finish(ErrTakenDown, netip.Addr{})
	c.registry.eachHeld(func(x *Exchange) {
		if x.claim == c {
			x.rejected = true // no answer reaches anybody
			x.fail(ErrTakenDown)
		}
	})
	if err := c.keeper.entry.enter(); err != nil {
		return err
	}
	defer c.keeper.entry.leave()
	err := c.keeper.entry.put(nil)
	if err != nil {
		c.keeper.log(err)
	}
	return err
}

// missing returns the error for visitors of a claim that ended because of why.
func missing(why error) error {
	if why == ErrTakenDown || why == ErrMoved {
		return why
	}
	return ErrNoClaim
}

// Addresses returns the subscribers whose programs currently serve a claim, as far as they are remembered.
func Addresses(c *Claim) (all []netip.Prefix) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.sessions {
		all = append(all, s.Known.All()...)
	}
	slices.SortFunc(all, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	return slices.Compact(all)
}

// TermOf returns the term of a claim with a name, or nil.
func TermOf(c *Claim, name string) Term {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.terms.Others[name]
}
