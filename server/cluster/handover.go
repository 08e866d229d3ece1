package cluster

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"reversehttp/server/claim"
	"reversehttp/server/cluster/engine"
)

// How claims are handed over.
const (
	// settleLook is how often it looks whether a claim is settled.
	settleLook = 20 * time.Millisecond
	// offersAtOnce is how many claims are offered at a time.
	offersAtOnce = 64
	// offerTime bounds one offer.
	offerTime = 2 * engine.CallTime
	// lastTime is how long before the end of the time for handing over claims are offered that are
	// not settled.
	lastTime = time.Second
)

// Leaves reports whether Leave was called.
func (n *Node) Leaves() bool {
	select {
	case <-n.left:
		return true
	default:
		return false
	}
}

// Part implements [reversehttp/server/gateway.Elsewhere].
func (n *Node) Part() { n.pool.Part() }

// Leave implements [reversehttp/server/gateway.Elsewhere]. A claim is handed over once every exchange
// that is open can go on at another node, or, if some never can, shortly before ctx ends.
func (n *Node) Leave(ctx context.Context) {
	n.leaving.Do(func() { close(n.left) })
	until := time.Now().Add(math.MaxInt64)
	if end, bounded := ctx.Deadline(); bounded {
		until = end.Add(-lastTime)
	}
	began, before := time.Now(), n.registry.Stats().Claims
	h := &handover{n: n, given: map[string]int{}}
	for more := true; more; more = sleep(ctx, settleLook) {
		if h.round(ctx, !time.Now().Before(until)); n.registry.Stats().Claims == 0 || h.heir() == nil {
			break
		}
	}
	n.log.Info("claims handed over", "claims", before-n.registry.Stats().Claims, "left", n.registry.Stats().Claims, "took", time.Since(began).Round(time.Millisecond).String())
}

// sleep waits for a time, and reports whether ctx has not ended by then.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// handover hands the claims of a node that is about to end to others.
type handover struct {
	n     *Node
	mu    sync.Mutex     // guards below
	given map[string]int // claims, by the node that took them
}

// round offers each claim that is settled, or all of them, to a node, and waits for the answers.
func (h *handover) round(ctx context.Context, all bool) {
	var offers sync.WaitGroup
	places := make(chan struct{}, offersAtOnce)
	for _, label := range h.n.registry.Labels(math.MaxInt) {
		c := h.n.registry.Lookup(label)
		if c == nil || !all && !claim.Settled(c) {
			continue
		}
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			offers.Wait()
			return
		}
		offers.Go(func() {
			defer func() { <-places }()
			h.offer(ctx, label)
		})
	}
	offers.Wait()
}

// offer has another node take the claim of a label.
func (h *handover) offer(ctx context.Context, label string) {
	to := h.heir()
	if to == nil {
		return
	}
	h.count(to.Name, 1)
	ctx, cancel := context.WithTimeout(ctx, offerTime)
	defer cancel()
	if err := h.n.pool.Offer(ctx, placeOf(*to), label); err != nil {
		h.n.log.Warn("a claim was not handed over", "label", label, "to", to.Name, "error", err)
		h.count(to.Name, -1)
		return
	}
	h.n.figures.handed.Inc()
	claim.Depose(h.n.registry, label)
}

// heir returns the node that has fewest claims; nil if no node takes claims.
func (h *handover) heir() (to *engine.Live) {
	least := math.MaxInt
	for _, l := range h.n.peers.heirs() {
		h.mu.Lock()
		claims := l.Claims + h.given[l.Name]
		h.mu.Unlock()
		if claims < least && l.Name != h.n.options.Name {
			to, least = &l, claims
		}
	}
	return to
}

// count notes that a node took n more claims.
func (h *handover) count(name string, n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.given[name] += n
}

// accept takes the claim of a label that another node hands over.
func accept(ctx context.Context, n *Node, from, label string) error {
	if n.Leaves() {
		return errors.New("it is about to end too")
	}
	if claim.Keeps(n.registry, label) {
		return nil // its answer to an earlier offer was lost
	}
	ctx, cancel := context.WithTimeout(ctx, takeTime)
	defer cancel()
	record, home, err := n.options.Engine.Look(ctx, label)
	switch {
	case err != nil:
		return err
	case home.Node != from:
		return errors.New("its home is node " + home.Node)
	}
	return takeFrom(ctx, n, record, home, "handed over")
}
