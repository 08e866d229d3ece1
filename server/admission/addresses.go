package admission

import (
	"net/netip"
	"time"
)

// addresses is what is known of addresses, of at most maxAddresses. Whoever has it guards it.
type addresses[T any] struct {
	seen   map[netip.Prefix]T
	pruned time.Time
}

const (
	maxAddresses = 50_000
	// pruneEvery is how often those are forgotten of whom nothing need be known.
	pruneEvery = time.Minute
)

// makeRoom forgets those that are over, now and then, and anybody where there are too many: whoever has so many addresses must not
// keep others out.
func (a *addresses[T]) makeRoom(now time.Time, over func(T) bool) {
	if now.Sub(a.pruned) >= pruneEvery {
		a.pruned = now
		for who, known := range a.seen {
			if over(known) {
				delete(a.seen, who)
			}
		}
	}
	for who := range a.seen {
		if len(a.seen) < maxAddresses {
			break
		}
		delete(a.seen, who)
	}
}
