package gateway

import "time"

// keptFor is how long a released label stays its token's, where the options do not say.
const keptFor = 90 * 24 * time.Hour

// remembered returns how long a released label that its program chose stays its token's, and how many released labels are
// remembered. Nobody gets a label back after a restart that is on no disk, and programs of this machine keep none from each other.
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
	// mostReleased is how many released labels are remembered where nothing bounds the memory.
	mostReleased = 100_000
	// releasedWeight is what one takes, in bytes, and releasedShare the part of the memory that all may take.
	releasedWeight = 512
	releasedShare  = 32
)
