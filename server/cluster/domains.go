package cluster

import (
	"context"
	"errors"

	"reversehttp/server/claim"
	"reversehttp/server/domain"
)

// domains implements [domain.Shared].
type domains struct{ n *Node }

// Domains returns where the nodes keep which domain leads to which label.
func Domains(n *Node) domain.Shared { return domains{n} }

// LabelOf implements [domain.Shared].
func (d domains) LabelOf(name string) string { return d.n.options.Engine.Domain(name) }

// Lead implements [domain.Shared].
func (d domains) Lead(name, label string) {
	d.change("lead", name, label, func(ctx context.Context) error {
		return d.n.options.Engine.SetDomain(ctx, name, label)
	})
}

// Cease implements [domain.Shared].
func (d domains) Cease(name, label string) {
	d.change("cease to lead", name, label, func(ctx context.Context) error {
		_, home, err := d.n.options.Engine.Look(ctx, label)
		switch {
		case err == nil && !d.n.isSelf(home): // the claim moved, and its domain with it
			return nil
		case err != nil && !errors.Is(err, claim.ErrNoRecord):
			return err
		}
		return d.n.options.Engine.UnsetDomain(ctx, name, label)
	})
}

// change makes a change on a goroutine of its own, unless the node ends.
func (d domains) change(what, name, label string, make func(context.Context) error) {
	if d.n.ended.Err() != nil {
		return
	}
	d.n.running.Go(func() {
		if err := make(d.n.ended); err != nil && d.n.ended.Err() == nil {
			d.n.log.Error("other nodes did not learn of a domain", "domain", name, "label", label, "should", what, "error", err)
		}
	})
}
