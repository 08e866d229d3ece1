package admission

import (
	"net/netip"
	"time"
)

// addresses holds state by address, for at most maxAddresses of them. Its owner guards it with a
// mutex.
type addresses[T any] struct {
	seen   map[netip.Prefix]T
	pruned time.Time
}

const (
	maxAddresses = 50_000
	// pruneEvery is how often addresses whose state is over are removed.
	pruneEvery = time.Minute
)

// makeRoom removes addresses whose state is over, from time to time. If there are still too many it
// removes arbitrary ones, so that somebody with many addresses cannot keep others out.
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
