package claim

import (
	"hash/maphash"
	"time"
)

// tombstones remember how exchanges that a session held have ended, so that an
// answer sent again is known as such. The oldest fall out by time and by count.
type tombstones struct {
	byID  map[string]tombstone
	order []string // ring, oldest at head once it is full
	head  int
}

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
	id, parts, answer := x.id, 0, hashAnswer(a)
	if x.parts != nil {
		answer, parts = x.parts.head, x.parts.seq
	}
	limit := s.claim.registry.limits.Tombstones
	t := &s.tombs
	if t.byID == nil {
		t.byID = make(map[string]tombstone)
	}
	if len(t.order) < limit {
		t.order = append(t.order, id)
	} else {
		s.unnumber(t.order[t.head], t.byID[t.order[t.head]].number)
		delete(t.byID, t.order[t.head])
		t.order[t.head] = id
		t.head = (t.head + 1) % limit
	}
	t.byID[id] = tombstone{at: time.Now(), number: x.number, answer: answer, parts: parts, ended: o, late: x.unheard(o)}
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

// hashAnswer tells answers apart. Nil is none.
func hashAnswer(a *Answer) uint64 {
	if a == nil {
		return 0
	}
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
