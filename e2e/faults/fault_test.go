package faults

import (
	"cmp"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// kind is the effect of a fault on a connection.
type kind int

// The kinds. All but delayed and throttled end the connection.
const (
	cut        kind = iota // both ends see a reset
	truncated              // the receiver sees an end, the sender a reset
	halfClosed             // the receiver sees an end; the other direction continues
	stalled                // nothing passes for a while; then it is cut
	delayed                // nothing passes for a moment
	throttled              // further data passes slowly
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
	up   bool          // in the direction of the gateway
	at   int64         // bytes that pass first
	rest time.Duration // how long it is stalled or delayed
	rate int           // throttled to so many bytes a second
}

// throttledBytes is how much a throttled connection passes before it is fast again.
const throttledBytes = 64 << 10

// random returns numbers that depend only on a seed, a name and a number.
func random(seed uint64, name string, n uint64) *rand.Rand {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	binary.LittleEndian.PutUint64(key[8:], n)
	copy(key[16:], name)
	return rand.New(rand.NewChaCha8(key))
}

// spread returns a number from 1 to most, with all magnitudes equally likely.
func spread(r *rand.Rand, most int64) int64 {
	return int64(math.Exp(r.Float64() * math.Log(float64(most))))
}

// weather determines the faults of the connections of a proxy.
type weather struct {
	seed uint64
	name string
	// share is the share of connections with faults.
	share float64
	// reach is the largest offset of a fault.
	reach int64
}

// plan returns the faults of connection n, in the order of their offsets: some that the connection survives,
// and then one that it may not.
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
			// A stall delays much, so a few are enough.
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
