package gateway

import "sync/atomic"

// budget bounds the bytes of answers that the gateway holds: those that programs
// post, and those that slow visitors have yet to take.
type budget struct {
	most int64
	held atomic.Int64
}

// take holds n bytes, unless that is too much.
func (b *budget) take(n int) bool {
	if b.held.Add(int64(n)) > b.most {
		b.give(n)
		return false
	}
	return true
}

// add holds n bytes that are there already.
func (b *budget) add(n int) { b.held.Add(int64(n)) }

// give lets n bytes go.
func (b *budget) give(n int) { b.held.Add(-int64(n)) }
