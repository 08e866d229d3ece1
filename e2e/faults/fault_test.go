package faults

import (
	"cmp"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// kind is what a fault does to a connection.
type kind int

// The kinds. All but delayed and throttled end the connection.
const (
	cut        kind = iota // both ends see a reset
	truncated              // the receiver sees an end, the sender a reset
	halfClosed             // the receiver sees an end; the other direction goes on
	stalled                // nothing is passed for a while; then it is cut
	delayed                // nothing is passed for a moment
	throttled              // what follows is passed slowly
	kinds      = iota
)

func (k kind) String() string {
	return [...]string{"cut", "truncated", "half-closed", "stalled", "delayed", "throttled"}[k]
}

// ends reports whether the connection is useless afterwards.
func (k kind) ends() bool { return k < delayed }

// fault strikes when a byte beyond an offset is on its way.
type fault struct {
	kind kind
	up   bool          // on the way to the gateway
	at   int64         // bytes that pass before
	rest time.Duration // how long it is stalled or delayed
	rate int           // bytes a second of what is throttled
}

// throttledBytes is how much a throttled connection passes before it is quick again.
const throttledBytes = 64 << 10

// random makes numbers that depend on a seed, a name and a number only.
func random(seed uint64, name string, n uint64) *rand.Rand {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	binary.LittleEndian.PutUint64(key[8:], n)
	copy(key[16:], name)
	return rand.New(rand.NewChaCha8(key))
}

// spread gives a number from 1 to most, each magnitude as likely as another.
func spread(r *rand.Rand, most int64) int64 {
	return int64(math.Exp(r.Float64() * math.Log(float64(most))))
}

// weather gives the faults of the connections of a proxy.
type weather struct {
	seed uint64
	name string
	// share of the connections has faults.
	share float64
	// reach is the largest offset of a fault.
	reach int64
}

// plan gives the faults of connection n, in the order of their offsets: some
// that the connection outlives, and then one that it may not.
func (w weather) plan(n uint64, _ []byte) []fault {
	r := random(w.seed, w.name, n)
	if r.Float64() >= w.share {
		return nil
	}
	var fs []fault
	for {
		f := fault{kind: kind(r.IntN(kinds)), up: r.IntN(2) == 0, at: spread(r, w.reach) - 1}
		switch f.kind {
		case stalled:
			// A stall holds much up: some are enough.
			if r.IntN(4) > 0 {
				f.kind = cut
			}
			f.rest = time.Duration(spread(r, 2_000)) * time.Millisecond
		case delayed:
			f.rest = time.Duration(spread(r, 300)) * time.Millisecond
		case throttled:
			f.rate = 128<<10 + r.IntN(1<<20)
		}
		fs = append(fs, f)
		if f.kind.ends() || len(fs) == 4 {
			slices.SortStableFunc(fs, func(a, b fault) int { return cmp.Compare(a.at, b.at) })
			return fs
		}
	}
}
