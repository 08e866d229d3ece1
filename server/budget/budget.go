// Package budget is what a gateway has of memory and places, and who holds how much of it.
package budget

import (
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// A gateway has so much memory and so many places, and everybody takes from the
// same. Two rules keep one from stopping the rest, and a third makes room:
//
//   - Whatever strangers and programs make the gateway keep is counted as it
//     arrives, by what it costs in memory, for two owners: the claim that it is
//     for, and the address that it came from.
//   - An owner may hold at most as much as is free. So one alone gets half, two
//     get a third each, and however many there are, as much as each of them has
//     is left for the next. (These are the dynamic thresholds of Choudhury and
//     Hahne, 1998, for the shared memory of switches.) The last sixteenth of the
//     memory is for small things.
//   - Where it is short, the largest owner loses first, and of what that holds
//     what waits for a slow peer: the most bytes, or the longest wait.
//
// Counting costs some atomic additions. Only who opens and closes a [Hold] takes
// the lock, and who looks for something to take back.

// Resource is what a [Budget] has so much of.
type Resource int

// The resources.
const (
	// Memory is in bytes.
	Memory Resource = iota
	// Exchanges are those that have not ended.
	Exchanges
	// Connections are those of HTTP, of visitors and programs alike.
	Connections
	// Claims are those that live.
	Claims

	resources = iota
)

// String returns the word for metrics and logs.
func (r Resource) String() string {
	return [...]string{"memory", "exchanges", "connections", "claims"}[r]
}

// Amounts says how much a [Budget] has. Zero and less mean no bound.
type Amounts [resources]int64

const (
	// smallThing is the most that may be taken from the reserve at once, in bytes.
	smallThing = 64 << 10
	// reserved is which part of the memory is the reserve: one in so many.
	reserved = 16
	// scarce is which part of the memory is free, one in so many, when what waits
	// for a slow peer is taken back, before anybody is refused.
	scarce = 4
	// mostAtOnce is how many holds are taken back at once.
	mostAtOnce = 64
	// looksEvery is how often the holds are looked through at most, while nobody is
	// refused.
	looksEvery = 20 * time.Millisecond
)

// ErrTooSlow is why something is taken back that others need.
var ErrTooSlow = errors.New("budget: the peer was too slow")

// Budget is what a gateway has, and who holds how much of it. All its methods may
// be called from several goroutines.
type Budget struct {
	// SlowAfter is how long a peer has been waited for before what it holds of each resource may be
	// taken back. A connection that is idle is so at once. It is changed before the budget is used.
	SlowAfter [resources]time.Duration

	amounts Amounts
	held    [resources]atomic.Int64
	leaving atomic.Int64 // bytes that were taken back, and are held until their holds close
	evicted [resources]atomic.Uint64
	refused [resources]atomic.Uint64
	epoch   time.Time
	looked  atomic.Int64 // when the holds were looked through last, since epoch

	mu        sync.Mutex // guards below, and the links of holds and uses of owners
	addresses map[netip.Prefix]*Owner
	holds     Hold // the ring's head, which holds nothing
}

// New makes a budget of so much.
func New(a Amounts) *Budget {
	b := &Budget{amounts: a, epoch: time.Now(), addresses: make(map[netip.Prefix]*Owner)}
	b.SlowAfter[Memory], b.SlowAfter[Exchanges] = time.Second, 100*time.Millisecond
	b.holds.next, b.holds.previous = &b.holds, &b.holds
	return b
}

// Held returns how much of r is held.
func (b *Budget) Held(r Resource) int64 { return b.held[r].Load() }

// Has returns how much of r there is; zero and less mean no bound.
func (b *Budget) Has(r Resource) int64 { return b.amounts[r] }

// Evicted returns how often something was taken back since r was short.
func (b *Budget) Evicted(r Resource) uint64 { return b.evicted[r].Load() }

// HeldBy returns how much of r an address holds; 0 where it is not valid.
func (b *Budget) HeldBy(a netip.Addr, r Resource) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if o := b.addresses[Subscriber(a)]; o != nil {
		return o.held[r].Load()
	}
	return 0
}

// Refused returns how often there was no room for more of r.
func (b *Budget) Refused(r Resource) uint64 { return b.refused[r].Load() }

// Owner is whom holds count for: a claim, or an address. The zero value holds
// nothing.
type Owner struct {
	held [resources]atomic.Int64

	// Of an address, guarded by the budget's mutex.
	uses   int
	prefix netip.Prefix
}

// Subscriber returns what of a one subscriber has: all of an IPv4 address, and the
// /64 of an IPv6 address. It returns the zero prefix where a is not valid.
func Subscriber(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}

// room returns how much of r may still be held: n of it, which tells whether the
// reserve counts.
func (b *Budget) room(r Resource, n int64) int64 {
	room := b.amounts[r] - b.held[r].Load()
	if r == Memory && n > smallThing {
		room -= b.amounts[r] / reserved
	}
	return room
}

// take takes n of r for owners, or nothing, and reports whether it did.
func (b *Budget) take(r Resource, n int64, owners *[2]*Owner) bool {
	if b.amounts[r] <= 0 {
		b.add(r, n, owners)
		return true
	}
	room := b.room(r, n)
	b.add(r, n, owners)
	if n > room || largest(r, owners) > room {
		b.add(r, -n, owners)
		return false
	}
	return true
}

// largest returns how much of r the larger of owners holds.
func largest(r Resource, owners *[2]*Owner) (held int64) {
	for _, o := range owners {
		if o != nil {
			held = max(held, o.held[r].Load())
		}
	}
	return held
}

// add takes n of r, whether or not there is so much.
func (b *Budget) add(r Resource, n int64, owners *[2]*Owner) {
	b.held[r].Add(n)
	for _, o := range owners {
		if o != nil {
			o.held[r].Add(n)
		}
	}
}

// since returns the time since the budget was made; it is never 0.
func (b *Budget) since() int64 { return int64(time.Since(b.epoch)) + 1 }

// Relieve takes back one hold of r of an owner, whose peer is slow, and reports whether there was one.
// The caller holds no lock.
func (b *Budget) Relieve(r Resource, of *Owner) bool { return b.relieve(r, of, 0) }

// relieve takes back one hold of r whose peer is slow: of an owner, or of anybody where of is
// nil, but of nobody who holds less than least. It reports whether there was one. The caller
// holds no lock.
func (b *Budget) relieve(r Resource, of *Owner, least int64) bool {
	for {
		victim := b.slowest(r, of, least)
		if victim == nil {
			return false
		}
		if b.takeBack(victim, ErrTooSlow) {
			b.evicted[r].Add(1)
			return true
		}
	}
}

// relieveFor takes holds of slow peers back until the next who asks for n bytes for owners may
// find room for them.
func (b *Budget) relieveFor(n int64, owners *[2]*Owner) {
	for range mostAtOnce {
		held := largest(Memory, owners)
		short := held + n - b.room(Memory, n) - 2*b.leaving.Load() // each byte is one less held, and one more free
		if short <= 0 || !b.relieve(Memory, nil, held) {
			return
		}
	}
}

// GiveUp takes back, because of why, what open exchanges hold that wait for their visitors.
func (b *Budget) GiveUp(why error) {
	var waiting []*Hold
	b.mu.Lock()
	for h := b.holds.next; h != &b.holds; h = h.next {
		if h.held[Exchanges].Load() > 0 && h.can.Load() {
			waiting = append(waiting, h)
		}
	}
	b.mu.Unlock()
	for _, h := range waiting {
		b.takeBack(h, why)
	}
}

// slowest returns the hold that relieve takes back: of the largest owner, the one of the
// most bytes, or whose peer is slowest. Whoever holds less than an address does on average
// keeps it: others are why there is no room.
func (b *Budget) slowest(r Resource, of *Owner, least int64) (victim *Hold) {
	now := b.since()
	var owned, own int64 // of victim
	b.mu.Lock()
	defer b.mu.Unlock()
	if of == nil {
		least = max(least, b.average(r))
	}
	for h := b.holds.next; h != &b.holds; h = h.next {
		slow := h.peer.slowFor(now)
		if slow <= int64(b.SlowAfter[r]) || h.Evicted() != nil || !h.can.Load() || h.held[r].Load() == 0 {
			continue
		}
		owners := h.owners.load()
		owner := largest(r, owners)
		if of != nil && owners[0] != of && owners[1] != of || owner < least {
			continue
		}
		size := slow
		if r == Memory {
			size = h.held[r].Load()
		}
		if victim == nil || owner > owned || owner == owned && size > own {
			victim, owned, own = h, owner, size
		}
	}
	return victim
}

// average returns how much of r an address holds on average. The caller holds b.mu.
func (b *Budget) average(r Resource) (held int64) {
	for _, o := range b.addresses {
		held += o.held[r].Load()
	}
	return held / int64(max(len(b.addresses), 1))
}

// relieveEarly makes room before anybody is refused: where memory is scarce, or nearly all
// that one of owners may hold is held.
func (b *Budget) relieveEarly(owners *[2]*Owner) {
	if b.amounts[Memory] <= 0 {
		return
	}
	room, least := b.room(Memory, 0)+b.leaving.Load(), largest(Memory, owners)
	switch {
	case room <= b.amounts[Memory]/scarce:
		least = 0
	case least <= room/scarce*(scarce-1):
		return
	}
	now, last := b.since(), b.looked.Load()
	if now-last < int64(looksEvery) || !b.looked.CompareAndSwap(last, now) {
		return
	}
	b.relieve(Memory, nil, least)
}

// takeBack takes a hold back, unless it is closed, its peer moved, or it was before. It
// reports whether it did.
func (b *Budget) takeBack(h *Hold, why error) bool {
	h.mu.Lock()
	if h.closed || h.peer.waiting.Load() == 0 || !h.evicted.CompareAndSwap(nil, &why) {
		h.mu.Unlock()
		return false
	}
	h.calls.Add(1)
	evict := h.evict
	h.mu.Unlock() // evict locks a claim, and who holds one may lock the hold
	defer h.calls.Done()
	n := h.held[Memory].Load()
	h.leaving.Store(n)
	b.leaving.Add(n)
	evict.Evict(why)
	h.Exit(Connections) // its place is free, though the connection may take a while to end
	return true
}
