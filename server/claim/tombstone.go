package claim

import (
	"hash/maphash"
	"time"
)

// tombstones remember how exchanges that a session held have ended, so that an
// answer sent again is known as such. The oldest fall out by time, by count, and
// where memory is short.
type tombstones struct {
	session *Session
	byID    map[string]tombstone
	order   fifo[string] // ids, oldest first
	expiry  lazyTimer
	doubts  map[string]*doubt // about answers that were accepted, by exchange; nil until there is one
}

// tombstoneWeight is what one costs in memory, in bytes.
const tombstoneWeight = 192

type tombstone struct {
	at     time.Time
	number uint64 // of the message that gave it
	answer uint64 // hash of the answer that was accepted
	parts  int    // that were accepted after it
	ended  Outcome
	late   bool // no answer could reach anybody
}

// remember notes the end of an exchange that the session held. The caller
// holds claim.mu.
func (t *tombstones) remember(x *Exchange, a *Answer) {
	id, parts, answer := x.id, 0, uint64(0)
	if a != nil {
		answer = a.hash
	}
	if x.parts != nil {
		answer, parts = x.parts.head, x.parts.seq
	}
	full := t.order.len() >= t.session.claim.registry.limits.Tombstones
	if full {
		t.drop() // and have its room
	}
	for !full && !t.session.claim.hold.TryGrow(tombstoneWeight) {
		if !t.forget() {
			return // it is unknown then
		}
	}
	if t.byID == nil {
		t.byID = make(map[string]tombstone)
	}
	t.order.push(id)
	if t.expiry.fire == nil {
		t.expiry.fire = t.expire
	}
	t.expiry.arm(t.session.claim.registry.times.Tombstone)
	t.byID[id] = tombstone{at: time.Now(), number: x.number, answer: answer, parts: parts, ended: x.outcome, late: x.unheard()}
}

// doubtOf begins the doubt about the answer of an exchange, or returns nil if the visitor is at this node. The
// caller holds claim.mu.
func (t *tombstones) doubtOf(x *Exchange) *doubt {
	if x.request.Entry == nil {
		return nil
	}
	if t.doubts == nil {
		t.doubts = make(map[string]*doubt)
	}
	u := &doubt{x: x, tombs: t}
	t.doubts[x.id] = u
	return u
}

// miss notes that the answer to an exchange reached nobody. The caller holds claim.mu.
func (t *tombstones) miss(id string) {
	if one, has := t.byID[id]; has {
		one.late = true
		t.byID[id] = one
	}
}

// has reports whether the end of an exchange is remembered. The caller holds claim.mu.
func (t *tombstones) has(id string) bool {
	_, has := t.byID[id]
	return has
}

// forget forgets the oldest tombstone, and reports whether there was one. The caller holds
// claim.mu.
func (t *tombstones) forget() bool {
	if t.order.len() == 0 {
		return false
	}
	t.drop()
	t.session.claim.hold.Shrink(tombstoneWeight)
	return true
}

// drop forgets the oldest tombstone, of which there is one, and leaves its room to another. The caller holds claim.mu.
func (t *tombstones) drop() {
	id := t.order.pop()
	if t.session.door != "" {
		t.session.numbers.forget(id, t.byID[id].number)
	}
	delete(t.byID, id)
}

// expire forgets the tombstones whose time is over, and looks again later where
// others are left.
func (t *tombstones) expire() {
	t.session.claim.mu.Lock()
	defer t.session.claim.mu.Unlock()
	keep := t.session.claim.registry.times.Tombstone
	for t.order.len() > 0 && time.Since(t.byID[t.order.list()[0]].at) > keep {
		t.forget()
	}
	if t.order.len() > 0 {
		next := time.Until(t.byID[t.order.list()[0]].at.Add(keep))
		t.expiry.after(max(next, keep/8)) // many at once
		return
	}
	t.byID = nil // a map that was large stays so
	t.expiry.disarm()
}

// judge returns the result of a message for an ended exchange. same reports whether the message
// repeats an accepted one. The caller holds claim.mu.
func (t *tombstones) judge(id string, same func(tombstone) bool) Result {
	one, ok := t.byID[id]
	switch {
	case !ok || time.Since(one.at) > t.session.claim.registry.times.Tombstone:
		return Unknown
	case one.late:
		return Late
	case same(one):
		return Duplicate
	}
	return Conflict
}

var seed = maphash.MakeSeed()

// hashAnswer returns a hash that distinguishes answers.
func hashAnswer(a *Answer) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	maphash.WriteComparable(&h, a.Status)
	maphash.WriteComparable(&h, a.More)
	if !a.More { // those of a streamed answer come with its end
		for _, f := range a.Trailers {
			maphash.WriteComparable(&h, f)
		}
	}
	maphash.WriteComparable(&h, len(a.Fields))
	for _, f := range a.Fields {
		maphash.WriteComparable(&h, f)
	}
	_, _ = h.Write(a.Content)
	return h.Sum64() | 1
}
