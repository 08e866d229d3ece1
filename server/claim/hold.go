package claim

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Hold is what one request, and the exchange that it begins, holds of a [Budget].
// Whoever opened it closes it; then it holds nothing.
type Hold struct {
	budget *Budget
	// owners are the address and the claim that it counts for; nil where there is none.
	owners [2]atomic.Pointer[owner]
	held   [resources]atomic.Int64
	// waiting is since when the peer is waited for, or 0; moved, when it last moved. Both count
	// from the budget's epoch. waited is how long the peer was waited for before, less what it
	// moved meanwhile at the pace that is no slowness.
	waiting, moved, waited atomic.Int64
	evict                  atomic.Pointer[func(why error)]
	evicted                atomic.Pointer[error] // why it was taken back; nil while it was not
	leaving                atomic.Int64          // bytes that were taken back and not closed yet
	calls                  sync.WaitGroup        // of evict
	mu                     sync.Mutex            // guards closed
	closed                 bool

	next, previous *Hold // in the budget's ring, which its mutex guards
}

// Open opens a hold that counts for an address. It counts for none where a is the zero
// value.
func (b *Budget) Open(a netip.Addr) *Hold {
	h := &Hold{budget: b}
	b.mu.Lock()
	defer b.mu.Unlock()
	h.owners[0].Store(b.address(a))
	h.previous, h.next = b.holds.previous, &b.holds
	h.previous.next, h.next.previous = h, h
	return h
}

// address returns the owner that an address is, one use more. The caller holds b.mu.
func (b *Budget) address(a netip.Addr) *owner {
	if !a.IsValid() {
		return nil
	}
	p := Subscriber(a)
	o := b.addresses[p]
	if o == nil {
		o = &owner{prefix: p}
		b.addresses[p] = o
	}
	o.uses++
	return o
}

// release takes a use of an address back. The caller holds b.mu.
func (b *Budget) release(o *owner) {
	if o == nil {
		return
	}
	if o.uses--; o.uses == 0 {
		delete(b.addresses, o.prefix)
	}
}

// Close gives everything back. A second call does nothing. What Evictable was given is
// not called afterwards, and has returned. The caller holds no lock.
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
	owners := h.both()
	for r := range Resource(resources) {
		if n := h.held[r].Swap(0); n != 0 {
			b.add(r, -n, owners)
		}
	}
	b.release(owners[0])
}

// both returns the owners.
func (h *Hold) both() *[2]*owner {
	return &[2]*owner{h.owners[0].Load(), h.owners[1].Load()}
}

// Charge has what h holds count for the claim too.
func (c *Claim) Charge(h *Hold) { h.join(&c.owner) }

// join has what is held count for a claim's owner too.
func (h *Hold) join(o *owner) {
	if !h.owners[1].CompareAndSwap(nil, o) {
		return
	}
	for r := range Resource(resources) {
		o.held[r].Add(h.held[r].Load())
	}
}

// Grow holds n bytes more, and reports whether there is room for them; where there is
// not it holds what it did. A hold that is closed does not grow.
func (h *Hold) Grow(n int) bool {
	owners := h.both()
	if !h.tryGrow(n) {
		h.budget.refused[Memory].Add(1)
		h.budget.relieveFor(int64(n), owners)
		return false
	}
	h.budget.relieveEarly(owners)
	return true
}

// GrowSoon is Grow for what can wait: while there is no room it tries again, until ctx ends or
// over is closed.
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

// tryGrow is Grow for a caller who holds a lock: it takes nothing back from anybody.
func (h *Hold) tryGrow(n int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || !h.budget.take(Memory, int64(n), h.both()) {
		return false
	}
	h.held[Memory].Add(int64(n))
	return true
}

// Add holds n bytes more that are there already.
func (h *Hold) Add(n int) {
	h.budget.add(Memory, int64(n), h.both())
	h.held[Memory].Add(int64(n))
}

// Shrink holds n bytes less. It must hold so many, unless it is closed.
func (h *Hold) Shrink(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.budget.add(Memory, int64(-n), h.both())
	h.held[Memory].Add(int64(-n))
}

// bytes returns how many bytes are held.
func (h *Hold) bytes() int { return int(h.held[Memory].Load()) }

// short reports whether one of its owners holds more than a quarter of what it may.
func (h *Hold) short() bool {
	b := h.budget
	return b.amounts[Memory] > 0 && largest(Memory, h.both()) > b.room(Memory, 0)/4
}

// Relieve takes back what waits for a slow peer, where this hold's owners are near what
// they may hold, or all is. The caller holds no lock.
func (h *Hold) Relieve() { h.budget.relieveEarly(h.both()) }

// Enter takes a place, among the open exchanges or the connections. It takes one back
// from a slow peer where there is none free, and reports whether it has one.
func (h *Hold) Enter(r Resource) bool {
	owners := h.both()
	for !h.budget.take(r, 1, owners) {
		if !h.budget.relieve(r, nil, largest(r, owners)) {
			h.budget.refused[r].Add(1)
			return false
		}
	}
	h.held[r].Store(1)
	return true
}

// exit gives the place back that Enter took, once.
func (h *Hold) exit(r Resource) {
	if h.held[r].Swap(0) > 0 {
		h.budget.add(r, -1, h.both())
	}
}

// Evictable says how the hold is taken back while its peer is waited for, see
// [Hold.Wait]: with [ErrTooSlow] where others need what it holds, with [ErrDraining] where the
// time to drain is over. evict is called at most once, on any goroutine, and does not block.
func (h *Hold) Evictable(evict func(why error)) { h.evict.Store(&evict) }

// takeBack takes the hold back, unless it is closed, its peer moved, or it was before. It
// reports whether it did.
func (h *Hold) takeBack(why error) bool {
	h.mu.Lock()
	if h.closed || h.waiting.Load() == 0 || !h.evicted.CompareAndSwap(nil, &why) {
		h.mu.Unlock()
		return false
	}
	h.calls.Add(1)
	h.mu.Unlock() // evict locks a claim, and who holds one may lock the hold
	defer h.calls.Done()
	n := h.held[Memory].Load()
	h.leaving.Store(n)
	h.budget.leaving.Add(n)
	(*h.evict.Load())(why)
	h.exit(Connections) // its place is free, though the connection may take a while to end
	return true
}

// Evicted returns why the hold was taken back, or nil where it was not.
func (h *Hold) Evicted() error {
	if why := h.evicted.Load(); why != nil {
		return *why
	}
	return nil
}

// Wait says that the peer is waited for from now on: until then what is held is not
// taken back, however long the gateway, or the other side, takes.
func (h *Hold) Wait() { h.waiting.Store(h.budget.since()) }

// slowFor returns how long the peer has been waited for in all, less the time that is no
// slowness for as much as it moved, at a time; 0 while it is not waited for.
func (h *Hold) slowFor(now int64) int64 {
	waiting := h.waiting.Load()
	if waiting == 0 {
		return 0
	}
	return h.waited.Load() + now - waiting
}

// movedAt returns when the peer moved last; the zero time means never.
func (h *Hold) movedAt() time.Time {
	n := h.moved.Load()
	if n == 0 {
		return time.Time{}
	}
	return h.budget.epoch.Add(time.Duration(n))
}

// quickEnough is the pace that is no slowness, in bytes a second.
const quickEnough = 64 << 10

// Move says that the peer moved, by so many bytes, and is not waited for.
func (h *Hold) Move(bytes int) {
	now := h.budget.since()
	if waiting := h.waiting.Swap(0); waiting != 0 {
		h.waited.Store(max(h.waited.Load()+now-waiting-int64(bytes)*int64(time.Second)/quickEnough, 0))
	}
	h.moved.Store(now)
}

// Serve says that the peer is not waited for, and was never slow.
func (h *Hold) Serve() {
	h.waiting.Store(0)
	h.waited.Store(0)
}
