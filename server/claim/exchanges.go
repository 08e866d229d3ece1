package claim

import (
	"net/netip"
	"strconv"

	"reversehttp/server/budget"
)

// exchanges counts the exchanges of a claim: the open ones, which a claim and an address may have
// only so many of, and how the others ended. claim.mu guards it.
type exchanges struct {
	claim    *Claim
	last     uint64               // number of the last one that began
	open     int                  // exchanges that have not ended
	of       map[netip.Prefix]int // open exchanges of each address
	upgraded int                  // open exchanges that upgraded their connection
	ends     [4]uint64            // by Outcome
}

// name returns a new id. The caller holds claim.mu.
func (e *exchanges) name() string {
	e.last++
	var room [64]byte
	return string(strconv.AppendUint(append(room[:0], e.claim.prefix...), e.last, 36))
}

// add counts an exchange that begins and reports whether there is room for it. An address may have
// at most as many places of the claim's queue as are left free. The caller holds claim.mu.
func (e *exchanges) add(x *Exchange) bool {
	e.open++
	r := e.claim.registry
	x.era = r.drain.eras.begin()
	room := r.limits.Queue - e.open
	from := x.hold.Address()
	if !from.IsValid() || r.options.OneAddress {
		return room >= 0
	}
	if e.of == nil {
		e.of = make(map[netip.Prefix]int)
	}
	x.from = from
	e.of[x.from]++
	return room >= 0 && e.of[x.from] <= room+1
}

// upgrades reports whether one more exchange may upgrade its connection. Upgraded ones get half of
// [Limits.Queue], since they may last for ever and must leave room for others. The caller holds
// claim.mu.
func (e *exchanges) upgrades() bool { return e.upgraded < (e.claim.registry.limits.Queue+1)/2 }

// remove counts the end of an exchange. The caller holds claim.mu.
func (e *exchanges) remove(x *Exchange, o Outcome) {
	e.open--
	e.ends[o]++
	e.claim.registry.drain.eras.end(x.era)
	if !x.from.IsValid() {
		return
	}
	if e.of[x.from]--; e.of[x.from] == 0 {
		delete(e.of, x.from)
	}
}

// makeRoom ends the exchange that has waited longest for its visitor, if there is no room for
// another. If none has waited for long yet, it waits for the first one that will have. The caller
// holds no lock.
func (e *exchanges) makeRoom() {
	c := e.claim
	c.mu.Lock()
	full := e.open >= c.registry.limits.Queue
	c.mu.Unlock()
	if full {
		c.registry.budget.Relieve(budget.Exchanges, &c.owner)
	}
}
