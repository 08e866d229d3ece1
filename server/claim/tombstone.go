package claim

import (
	"hash/maphash"
	"slices"
	"time"
)

// tombstones remember how exchanges that a session held have ended, so that an
// answer sent again is known as such. The oldest fall out by time, by count, and
// where memory is short.
type tombstones struct {
	byID  map[string]tombstone
	order []string // oldest first; those before head fell out
	head  int
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
func (s *Session) remember(x *Exchange, a *Answer, o Outcome) {
	id, parts, answer := x.id, 0, uint64(0)
	if a != nil {
		answer = a.hash
	}
	if x.parts != nil {
		answer, parts = x.parts.head, x.parts.seq
	}
	r, now, t := s.claim.registry, time.Now(), &s.tombs
	for oldest, ok := t.oldest(); ok && (len(t.byID) >= r.limits.Tombstones || now.Sub(oldest.at) > r.times.Tombstone); oldest, ok = t.oldest() {
		s.dropTombstone()
	}
	for !s.claim.hold.tryGrow(tombstoneWeight) {
		if !s.dropTombstone() {
			return // it is unknown then
		}
	}
	if t.byID == nil {
		t.byID = make(map[string]tombstone)
	}
	t.order = append(t.order, id)
	t.byID[id] = tombstone{at: now, number: x.number, answer: answer, parts: parts, ended: o, late: x.unheard(o)}
}

// oldest returns the tombstone that falls out next.
func (t *tombstones) oldest() (one tombstone, ok bool) {
	if t.head == len(t.order) {
		return one, false
	}
	return t.byID[t.order[t.head]], true
}

// dropTombstone forgets the oldest, and reports whether there was one. The caller holds
// claim.mu.
func (s *Session) dropTombstone() bool {
	t := &s.tombs
	oldest, ok := t.oldest()
	if !ok {
		return false
	}
	id := t.order[t.head]
	s.unnumber(id, oldest.number)
	delete(t.byID, id)
	if t.head++; t.head >= len(t.order)/2 { // so that the list moves once for as many as it has
		t.order = slices.Delete(t.order, 0, t.head)
		t.head = 0
	}
	s.claim.hold.Shrink(tombstoneWeight)
	return true
}

// judge tells what a message for an ended exchange is; same tells whether it
// repeats one. The caller holds claim.mu.
func (s *Session) judge(id string, same func(tombstone) bool) Result {
	t, ok := s.tombs.byID[id]
	switch {
	case !ok || time.Since(t.at) > s.claim.registry.times.Tombstone:
		return Unknown
	case t.late:
		return Late
	case same(t):
		return Duplicate
	}
	return Conflict
}

var seed = maphash.MakeSeed()

// hashAnswer tells answers apart.
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
