// Package budget shares the memory and the places of a gateway among those who use them.
package budget

import (
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// A gateway has a fixed amount of memory and of places, shared by everybody. Two rules keep one
// user from stopping the rest, and a third makes room:
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
// Counting costs a few atomic additions. Only opening and closing a [Hold], and looking for
// something to take back, take the lock.

// Resource is something of which a [Budget] has a fixed amount.
type Resource int

// The resources.
const (
	// Memory is in bytes.
	Memory Resource = iota
	// Exchanges counts open exchanges.
	Exchanges
	// Connections counts HTTP connections, of visitors and programs alike.
	Connections
	// Claims counts live claims.
	Claims

	resources = iota
)

// String returns the word for metrics and logs.
func (r Resource) String() string {
	return [...]string{"memory", "exchanges", "connections", "claims"}[r]
}

// Amounts says how much of each resource a [Budget] has. Zero or less means no bound.
type Amounts [resources]int64

const (
	// smallThing is the most bytes that may be taken from the reserve at once.
	smallThing = 64 << 10
	// reserved is the fraction of the memory, one in reserved, that is the reserve.
	reserved = 16
	// scarce is the fraction of the memory, one in scarce, below which free memory counts as
	// scarce: what waits for a slow peer is then taken back before anybody is refused.
	scarce = 4
	// mostAtOnce is the most holds that are taken back at once.
	mostAtOnce = 64
	// looksEvery is the least time between two searches of the holds while nobody is refused.
	looksEvery = 20 * time.Millisecond
)

// ErrTooSlow is the reason for which a hold that others need is taken back.
var ErrTooSlow = errors.New("budget: the peer was too slow")

// Budget is what a gateway has, and who holds how much of it. Its methods may be called
// concurrently.
type Budget struct {
	// SlowAfter is, by resource, how long a peer has to be waited for before what it holds may be
	// taken back. An idle connection may be taken back at once. Set it before the budget is used.
	SlowAfter [resources]time.Duration

	amounts Amounts
	held    [resources]atomic.Int64
	leaving atomic.Int64 // bytes that were taken back but are held until their holds close
	evicted [resources]atomic.Uint64
	refused [resources]atomic.Uint64
	epoch   time.Time
	looked  atomic.Int64 // time of the last search of the holds, since epoch

	mu        sync.Mutex // guards below, and the links of holds and uses of owners
	addresses map[netip.Prefix]*Owner
	holds     Hold // the ring's head, which holds nothing
}

// New returns a budget with these amounts.
func New(a Amounts) *Budget {
	b := &Budget{amounts: a, epoch: time.Now(), addresses: make(map[netip.Prefix]*Owner)}
	b.SlowAfter[Memory], b.SlowAfter[Exchanges] = time.Second, 100*time.Millisecond
	b.holds.next, b.holds.previous = &b.holds, &b.holds
	return b
}

// Held returns how much of r is held.
func (b *Budget) Held(r Resource) int64 { return b.held[r].Load() }

// Has returns how much of r there is; zero or less means no bound.
func (b *Budget) Has(r Resource) int64 { return b.amounts[r] }

// Evicted returns how often a hold was taken back because r was short.
func (b *Budget) Evicted(r Resource) uint64 { return b.evicted[r].Load() }

// HeldBy returns how much of r an address holds; 0 if a is not valid.
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

// Owner is a claim or an address for which holds count. The zero value holds nothing.
type Owner struct {
	held [resources]atomic.Int64

	// uses counts the holds of an address. The budget's mutex guards it.
	uses   int
	prefix netip.Prefix
}

// Subscriber returns the prefix of a that one subscriber has: an IPv4 address, or the /64 of an
// IPv6 address. It returns the zero prefix if a is not valid.
func Subscriber(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}

// room returns how much of r is free for a request of n, which decides whether the reserve may be
// used.
func (b *Budget) room(r Resource, n int64) int64 {
	room := b.amounts[r] - b.held[r].Load()
	if r == Memory && n > smallThing {
		room -= b.amounts[r] / reserved
	}
	return room
}

// take takes n of r for owners and reports whether there was room.
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

// add takes n of r even if there is not that much.
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

// Relieve takes back one of an owner's holds of r whose peer is slow, and reports whether there was
// one. Where no peer is slow yet it waits, once, until the next one is, which takes at most SlowAfter:
// so what many peers take in one moment is taken back too. The caller holds no lock.
func (b *Budget) Relieve(r Resource, of *Owner) bool {
	if b.relieve(r, of, 0) {
		return true
	}
	wait := untilSlow(b, r, of)
	if wait <= 0 {
		return false
	}
	time.Sleep(wait)
	return b.relieve(r, of, 0)
}

// untilSlow returns how long it takes until a peer that is waited for is slow, among those that hold
// r for an owner; 0 if none is waited for.
func untilSlow(b *Budget, r Resource, of *Owner) (least time.Duration) {
	now := b.since()
	b.mu.Lock()
	defer b.mu.Unlock()
	for h := b.holds.next; h != &b.holds; h = h.next {
		slow := h.peer.slowFor(now)
		if slow == 0 || h.Evicted() != nil || !h.can.Load() || h.held[r].Load() == 0 {
			continue
		}
		if owners := h.owners.load(); of != nil && owners[0] != of && owners[1] != of {
			continue
		}
		if left := b.SlowAfter[r] - time.Duration(slow) + 1; least == 0 || left < least {
			least = max(left, 1)
		}
	}
	return least
}

// relieve takes back one hold of r whose peer is slow: a hold of the owner of, or of any owner if
// of is nil, who holds at least least. It reports whether there was one. The caller holds no lock.
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

// relieveFor takes back holds of slow peers until the next request of n bytes for owners may find
// room.
func (b *Budget) relieveFor(n int64, owners *[2]*Owner) {
	for range mostAtOnce {
		held := largest(Memory, owners)
		short := held + n - b.room(Memory, n) - 2*b.leaving.Load() // each byte counts twice: one less held, and one more free
		if short <= 0 || !b.relieve(Memory, nil, held) {
			return
		}
	}
}

// GiveUp takes back, because of why, the holds of open exchanges that wait for their visitors.
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

// slowest returns the hold that relieve takes back: the largest hold, or the one with the slowest
// peer, of the largest owner. An owner with less than an address's average keeps what it holds:
// others are the reason that there is no room.
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

// relieveEarly makes room before anybody is refused: if memory is scarce, or one of owners is close
// to its share.
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

// takeBack takes back a hold, unless it is closed, its peer has moved, or it was taken back before.
// It reports whether it did.
func (b *Budget) takeBack(h *Hold, why error) bool {
	h.mu.Lock()
	if h.closed || h.peer.waiting.Load() == 0 || !h.evicted.CompareAndSwap(nil, &why) {
		h.mu.Unlock()
		return false
	}
	h.calls.Add(1)
	evict := h.evict
	h.mu.Unlock() // evict locks a claim, and a holder of that lock may lock the hold
	defer h.calls.Done()
	n := h.held[Memory].Load()
	h.leaving.Store(n)
	b.leaving.Add(n)
	evict.Evict(why)
	h.Exit(Connections) // its place is free, though the connection may take a while to end
	return true
}
