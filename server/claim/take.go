package claim

import (
	"context"
	"errors"
	"net/netip"
	"time"
)

// Take makes a claim that another registry kept one of r, once [Records] have changed its record at
// the revision of k. The claim gets a new lease, and visitors wait for its program as they do
// between two polls. Take does nothing if r already has a claim of the label. It fails with
// [ErrMoved] if the record has another revision by then, and otherwise with the error of Records,
// which leaves open whether the record was changed.
func Take(ctx context.Context, r *Registry, k Kept) (err error) {
	r.making.alone(k.Label, func() {
		if Keeps(r, k.Label) { // since the caller looked
			return
		}
		if k.Revision, err = r.options.Records.Update(ctx, k.Record, k.Revision); err == nil {
			r.restore(k, time.Now())
		}
	})
	return err
}

// Depose ends the claim of a label at r because another registry has taken it, or its record is
// gone. The record stays as it is. Exchanges whose answer has not begun fail with [ErrMoved], so that
// the nodes that accepted their requests, this one or others, take them to the other registry; polls end
// as if their time were over.
func Depose(r *Registry, label string) {
	if c := r.Lookup(label); c != nil {
		c.finish(ErrMoved, netip.Addr{})
	}
}

// Keeps reports whether r has a claim of the label that has not ended.
func Keeps(r *Registry, label string) bool {
	c := r.Lookup(label)
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gone == nil
}

// Settled reports whether [Depose] would fail no exchange of c that cannot go on at another registry:
// one whose content is not there as a whole, that asks for an upgrade, or whose answer has begun.
func Settled(c *Claim) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.queue.movable()
	for _, s := range c.sessions {
		for _, m := range s.out.next.list() {
			if m.exchange != nil && movable(m.exchange) {
				n++
			}
		}
		for _, x := range s.held {
			if movable(x) {
				n++
			}
		}
	}
	return n == c.exchanges.open
}

// lastNote returns what another registry has to know of x. The caller holds claim.mu.
func lastNote(x *Exchange) *Note {
	n := &Note{ID: x.id, Attempt: x.attempt, Lost: x.lost}
	if s := x.session; s != nil && (x.state == delivered || x.state == running) {
		n.Session, n.Number = s.id, x.number
	}
	return n
}

// movable reports whether x can go on at another registry. The caller holds claim.mu.
func movable(x *Exchange) bool {
	return x.state != answering && x.request != nil && x.request.Upgrade == "" && !x.request.Content.Streams()
}

// Rewrite writes the record of the claim of a label at r again, after [Records] have lost it. It
// fails with [ErrMoved] if the label has another record by then, with [ErrNoClaim] if r has no such
// claim, and with [ErrUnavailable].
func Rewrite(r *Registry, label string) error {
	c := r.Lookup(label)
	if c == nil {
		return ErrNoClaim
	}
	e := &c.keeper.entry
	if err := e.enter(); err != nil {
		return err
	}
	defer e.leave()
	c.mu.Lock()
	gone, record := c.gone, c.record()
	c.mu.Unlock()
	if gone != nil {
		return ErrNoClaim
	}
	e.settle(nil, 0)
	if err := e.put(&record); err != nil {
		if errors.Is(err, ErrExists) {
			return ErrMoved
		}
		return err
	}
	return nil
}
