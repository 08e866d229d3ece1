package budget

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Hold is what one request, and the exchange that it begins, holds of a [Budget]. The caller that
// opens it must close it, after which it holds nothing.
type Hold struct {
	budget  *Budget
	owners  owners
	held    [resources]atomic.Int64
	peer    peer
	evicted atomic.Pointer[error] // why it was taken back; nil if it was not
	leaving atomic.Int64          // bytes that were taken back and not released yet
	calls   sync.WaitGroup        // of evict
	can     atomic.Bool           // be taken back: evict is set
	mu      sync.Mutex            // guards what follows
	evict   Evicter
	closed  bool

	next, previous *Hold // in the budget's ring, which its mutex guards
}

// owners are the address and the claim for which a hold counts; nil for none.
type owners [2]atomic.Pointer[Owner]

func (o *owners) load() *[2]*Owner { return &[2]*Owner{o[0].Load(), o[1].Load()} }

// peer measures how slow the other side is, in times since the budget's epoch.
type peer struct {
	waiting atomic.Int64 // when the current wait for it began, or 0
	moved   atomic.Int64 // when it last moved
	// waited is the sum of earlier waits, less the time that what it moved takes at quickEnough.
	waited atomic.Int64
}

// Open opens a hold that counts for an address, or for none if a is the zero value.
func (b *Budget) Open(a netip.Addr) *Hold {
	h := &Hold{budget: b}
	b.mu.Lock()
	defer b.mu.Unlock()
	h.owners[0].Store(b.address(a))
	h.previous, h.next = b.holds.previous, &b.holds
	h.previous.next, h.next.previous = h, h
	return h
}

// address returns the owner of an address and counts a use. The caller holds b.mu.
func (b *Budget) address(a netip.Addr) *Owner {
	if !a.IsValid() {
		return nil
	}
	p := Subscriber(a)
	o := b.addresses[p]
	if o == nil {
		o = &Owner{prefix: p}
		b.addresses[p] = o
	}
	o.uses++
	return o
}

// release ends a use of an address. The caller holds b.mu.
func (b *Budget) release(o *Owner) {
	if o == nil {
		return
	}
	if o.uses--; o.uses == 0 {
		delete(b.addresses, o.prefix)
	}
}

// Close gives everything back. A second call does nothing. Once it returns, no call of Evict runs
// or will run. The caller holds no lock.
func (h *Hold) Close() {
	h.mu.Lock()
	closed := h.closed
	h.closed = true
	h.mu.Unlock()
	if closed {
		return
	}
	h.calls.Wait()
	b := h.budget
	b.leaving.Add(-h.leaving.Swap(0))
	b.mu.Lock()
	defer b.mu.Unlock()
	h.previous.next, h.next.previous = h.next, h.previous
	h.next, h.previous = h, h
	owners := h.owners.load()
	for r := range Resource(resources) {
		if n := h.held[r].Swap(0); n != 0 {
			b.add(r, -n, owners)
		}
	}
	b.release(owners[0])
}

// Address returns the address that the hold counts for; the zero value for none.
func (h *Hold) Address() netip.Prefix {
	if o := h.owners[0].Load(); o != nil {
		return o.prefix
	}
	return netip.Prefix{}
}

// Join makes the hold count for a claim's owner too.
func (h *Hold) Join(o *Owner) {
	if !h.owners[1].CompareAndSwap(nil, o) {
		return
	}
	for r := range Resource(resources) {
		o.held[r].Add(h.held[r].Load())
	}
}

// Grow holds n more bytes and reports whether there is room for them; otherwise nothing changes. A
// closed hold does not grow.
func (h *Hold) Grow(n int) bool {
	owners := h.owners.load()
	if !h.TryGrow(n) {
		h.budget.refused[Memory].Add(1)
		h.budget.relieveFor(int64(n), owners)
		return false
	}
	h.budget.relieveEarly(owners)
	return true
}

// GrowSoon is Grow, but retries while there is no room, until ctx ends or over is closed.
func (h *Hold) GrowSoon(ctx context.Context, over <-chan struct{}, n int) bool {
	for {
		if h.Grow(n) {
			return true
		}
		select {
		case <-time.After(looksEvery):
		case <-ctx.Done():
			return false
		case <-over:
			return false
		}
	}
}

// TryGrow is Grow for a caller who holds a lock: it takes back nothing.
func (h *Hold) TryGrow(n int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || !h.budget.take(Memory, int64(n), h.owners.load()) {
		return false
	}
	h.held[Memory].Add(int64(n))
	return true
}

// Add holds n more bytes, which are already in memory.
func (h *Hold) Add(n int) {
	h.budget.add(Memory, int64(n), h.owners.load())
	h.held[Memory].Add(int64(n))
}

// Shrink holds n fewer bytes. Unless it is closed, it must hold at least n.
func (h *Hold) Shrink(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.budget.add(Memory, int64(-n), h.owners.load())
	h.held[Memory].Add(int64(-n))
}

// Held returns how much of r is held.
func (h *Hold) Held(r Resource) int64 { return h.held[r].Load() }

// Short reports whether one of its owners holds more than a quarter of what it may.
func (h *Hold) Short() bool {
	b := h.budget
	return b.amounts[Memory] > 0 && largest(Memory, h.owners.load()) > b.room(Memory, 0)/4
}

// Relieve takes back what waits for slow peers if an owner of this hold, or the whole budget, is
// close to its bound. The caller holds no lock.
func (h *Hold) Relieve() { h.budget.relieveEarly(h.owners.load()) }

// Enter takes a place among the open exchanges or the connections. If none is free it takes one
// back from a slow peer. It reports whether it got one.
func (h *Hold) Enter(r Resource) bool {
	owners := h.owners.load()
	for !h.budget.take(r, 1, owners) {
		if !h.budget.relieve(r, nil, largest(r, owners)) {
			h.budget.refused[r].Add(1)
			return false
		}
	}
	h.held[r].Store(1)
	return true
}

// Exit gives back the place that Enter took. Only the first call counts.
func (h *Hold) Exit(r Resource) {
	if h.held[r].Swap(0) > 0 {
		h.budget.add(r, -1, h.owners.load())
	}
}

// Evicter ends what a hold is for, because of why: [ErrTooSlow], or the argument of
// [Budget.GiveUp]. Evict does not block.
type Evicter interface{ Evict(why error) }

// EvictableBy sets how the hold is taken back while its peer is waited for; see [Hold.Wait]. Evict
// is called at most once, on any goroutine.
func (h *Hold) EvictableBy(e Evicter) {
	h.mu.Lock()
	h.evict = e
	h.mu.Unlock()
	h.can.Store(true)
}

// Evictable is EvictableBy for a function.
func (h *Hold) Evictable(evict func(why error)) { h.EvictableBy(evicter(evict)) }

type evicter func(why error)

func (e evicter) Evict(why error) { e(why) }

// Evicted returns why the hold was taken back, or nil if it was not.
func (h *Hold) Evicted() error {
	if why := h.evicted.Load(); why != nil {
		return *why
	}
	return nil
}

// Wait says that the peer is waited for from now on. Without it nothing is taken back, however long
// the gateway or the other side takes.
func (h *Hold) Wait() { h.peer.waiting.Store(h.budget.since()) }

// slowFor returns, at a time, how long the peer has been waited for in all, less the time that what
// it moved takes at quickEnough; 0 while it is not waited for.
func (p *peer) slowFor(now int64) int64 {
	waiting := p.waiting.Load()
	if waiting == 0 {
		return 0
	}
	return p.waited.Load() + now - waiting
}

// Moved returns when the peer last moved: now if it is waited for; the zero time means never.
func (h *Hold) Moved(now time.Time) time.Time {
	if h.peer.waiting.Load() != 0 {
		return now
	}
	if n := h.peer.moved.Load(); n != 0 {
		return h.budget.epoch.Add(time.Duration(n))
	}
	return time.Time{}
}

// quickEnough is the pace, in bytes a second, at which a peer does not count as slow.
const quickEnough = 64 << 10

// Move says that the peer moved this many bytes and is no longer waited for.
func (h *Hold) Move(bytes int) {
	now := h.budget.since()
	if waiting := h.peer.waiting.Swap(0); waiting != 0 {
		h.peer.waited.Store(max(h.peer.waited.Load()+now-waiting-int64(bytes)*int64(time.Second)/quickEnough, 0))
	}
	h.peer.moved.Store(now)
}

// Serve says that the peer is not waited for, and forgets that it was slow.
func (h *Hold) Serve() {
	h.peer.waiting.Store(0)
	h.peer.waited.Store(0)
}
