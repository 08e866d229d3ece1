package gateway

import "time"

// keptFor is how long a released label stays reserved for its token by default.
const keptFor = 90 * 24 * time.Hour

// remembered returns how long a released label that its program chose stays reserved for its token,
// and how many released labels are remembered. The time is 0 if nothing is stored on disk, since no
// label returns after a restart, and on a local gateway, where programs do not compete for labels.
func remembered(o *Options, local bool) (keep time.Duration, most int) {
	keep, most = o.Times.Released, o.Limits.Released
	if keep == 0 {
		keep = keptFor
	}
	if o.Records == nil || local {
		keep = 0
	}
	if most == 0 {
		most = mostReleased
		if o.Limits.Memory > 0 {
			most = int(min(mostReleased, max(o.Limits.Memory/releasedShare/releasedWeight, 1)))
		}
	}
	return keep, most
}

const (
	// mostReleased is how many released labels are remembered if memory is not bounded.
	mostReleased = 100_000
	// releasedWeight is the memory for one released label, in bytes; all together take at most one
	// releasedShare-th of the budget.
	releasedWeight = 512
	releasedShare  = 32
)
