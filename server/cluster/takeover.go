package cluster

import (
	"context"
	"errors"
	"time"

	"reversehttp/server/claim"
	"reversehttp/server/cluster/engine"
)

// takeTime bounds how long a takeover may take.
const takeTime = 2 * engine.CallTime

// take makes this node the home of a claim whose home is gone, and returns nil as well if another
// node was faster. Everybody who asks for a label at a time shares one takeover.
func (n *Node) take(ctx context.Context, label, why string) error {
	done := n.taking.DoChan(label, func() (any, error) {
		if !n.options.Engine.State().Synced { // a node that is not known yet is not gone
			return nil, claim.ErrUnavailable
		}
		ctx, cancel := context.WithTimeout(n.ended, takeTime)
		defer cancel()
		record, home, err := n.options.Engine.Look(ctx, label)
		if err != nil {
			return nil, err
		}
		if _, alive := n.peers.at(home); alive && (!n.isSelf(home) || claim.Keeps(n.registry, label)) {
			return nil, nil
		}
		if err = takeFrom(ctx, n, record, home, why); errors.Is(err, claim.ErrMoved) {
			err = nil // another node has it now
		}
		return nil, err
	})
	select {
	case got := <-done:
		switch {
		case got.Err == nil, errors.Is(got.Err, claim.ErrNoRecord):
			return got.Err
		}
		return claim.ErrUnavailable
	case <-ctx.Done():
		return ctx.Err()
	}
}

// takeFrom makes this node the home of a claim, by its record, in place of another.
func takeFrom(ctx context.Context, n *Node, record claim.Record, home engine.Home, why string) error {
	if !record.Released.IsZero() {
		return claim.ErrNoRecord
	}
	if err := claim.Take(ctx, n.registry, claim.Kept{Record: record, Revision: home.Term}); err != nil {
		return err
	}
	n.figures.takeovers.WithLabelValues(why).Inc()
	n.log.Info("claim taken over", "label", record.Label, "from", home.Node, "term", home.Term, "why", why)
	return nil
}

// takesPerSecond is the most claims that a node takes over in a second without being asked for them.
const takesPerSecond = 500

// watch looks at the other nodes, and takes over this node's share of the claims whose home is gone,
// so that their leases still end.
func watch(n *Node) {
	tick := time.NewTicker(watchTime)
	defer tick.Stop()
	forgot := time.Now()
	for {
		select {
		case <-tick.C:
		case <-n.ended.Done():
			return
		}
		n.peers.look(n.ended)
		n.pool.Sweep()
		if !n.options.Engine.State().Up {
			continue
		}
		inherit(n)
		if time.Since(forgot) > forgetTime {
			forgot = time.Now()
			forget(n, max(n.registry.Options().Times.Released, keptTime))
		}
	}
}

const (
	// forgetTime is how often labels are looked for that were released so long ago that they can be forgotten.
	forgetTime = 10 * time.Second
	// keptTime is the least time for that: as long as browsers keep cookies, the next owner of a label has to
	// know that there was another.
	keptTime = 400 * 24 * time.Hour
	// forgettingTime bounds one round, during which no node is looked at.
	forgettingTime = 500 * time.Millisecond
)

// forget forgets this node's share of the labels that were released at least so long ago. The node that released
// them may be gone, and with it what it knew of their number. A label that is claimed meanwhile has another
// revision.
func forget(n *Node, age time.Duration) {
	if n.Leaves() {
		return
	}
	labels := map[string]uint64{}
	heirs := n.peers.heirs()
	n.options.Engine.Released(age, func(label string, revision uint64) bool {
		if heirOf(label, heirs) == n.options.Name {
			labels[label] = revision
		}
		return len(labels) < takesPerSecond
	})
	ctx, cancel := context.WithTimeout(n.ended, forgettingTime)
	defer cancel()
	for label, revision := range labels {
		err := n.options.Engine.Delete(ctx, label, revision)
		switch {
		case err == nil:
			n.log.Debug("a released label is forgotten", "label", label)
		case !errors.Is(err, claim.ErrMoved):
			return // the engine does not answer, or the time is over; later
		}
	}
}

// inherit takes over claims of nodes that are gone.
func inherit(n *Node) {
	if n.Leaves() { // others take them
		return
	}
	var labels []string
	heirs := n.peers.heirs()
	n.options.Engine.Homes(func(label string, h engine.Home) bool {
		if _, alive := n.peers.at(h); !alive && heirOf(label, heirs) == n.options.Name {
			labels = append(labels, label)
		}
		return len(labels) < takesPerSecond
	})
	for _, label := range labels {
		if err := n.take(n.ended, label, "inherited"); err != nil && !errors.Is(err, claim.ErrNoRecord) {
			return // the engine does not answer; later
		}
	}
}
