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

// add counts an exchange that begins and reports whether there is room for it; otherwise [exchanges.makeRoom]
// may make some. An address may have at most as many places of the claim's queue as are left free. The
// caller holds claim.mu.
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

// makeRoom ends the exchange that has waited longest for its visitor, whose place x gets: x is counted
// already, so no other can. If none has waited for long yet, makeRoom waits for the first one that will
// have. It reports whether x has a place. The caller holds claim.mu, which makeRoom gives up meanwhile.
func (e *exchanges) makeRoom(x *Exchange) bool {
	r := e.claim.registry
	e.claim.mu.Unlock()
	made := r.budget.Relieve(budget.Exchanges, &e.claim.owner)
	e.claim.mu.Lock()
	room := r.limits.Queue - e.open
	if made {
		room = max(room, 0) // others may be counted that wait for a place of their own
	}
	return room >= 0 && (!x.from.IsValid() || e.of[x.from] <= room+1)
}
