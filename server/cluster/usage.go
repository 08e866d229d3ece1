package cluster

import (
	"context"
	"encoding/json"
	"strings"

	"reversehttp/server/cluster/engine"
	"reversehttp/server/quota"
)

// usage implements [quota.Shared].
type usage struct{ n *Node }

// Usage returns where the nodes keep what each of them has used of quotas.
func Usage(n *Node) quota.Shared { return usage{n} }

// used is a record as it is stored: with the run that wrote it.
type used struct {
	Run string `json:"run"`
	quota.Record
}

// ownerOf returns the name of an owner for the engine.
func ownerOf(r quota.Record) string { return string(r.Of) + ":" + r.Name }

// Follow implements [quota.Shared].
func (u usage) Follow(f func(quota.Share)) {
	u.n.options.Engine.UsageChanged(func(node, owner string, value []byte) {
		var one used
		if value != nil && json.Unmarshal(value, &one) != nil {
			return
		}
		of, name, _ := strings.Cut(owner, ":")
		one.Of, one.Name = quota.Of(of), name
		f(quota.Share{Node: node, Run: one.Run, Own: node == u.n.options.Name, Record: one.Record, Value: value})
	})
}

// Write implements [quota.Shared].
func (u usage) Write(ctx context.Context, r quota.Record) error {
	if len(r.Used) == 0 {
		return u.n.options.Engine.SetUsage(ctx, ownerOf(r), nil)
	}
	value, err := json.Marshal(used{u.n.options.Run, r})
	if err != nil {
		return err
	}
	return u.n.options.Engine.SetUsage(ctx, ownerOf(r), value)
}

// Remove implements [quota.Shared].
func (u usage) Remove(ctx context.Context, s quota.Share) error {
	return u.n.options.Engine.UnsetUsage(ctx, s.Node, ownerOf(s.Record), s.Value)
}

// Lives implements [quota.Shared].
func (u usage) Lives(node, run string) bool {
	if _, lives := u.n.peers.at(engine.Home{Node: node, Run: run}); !lives {
		return false
	}
	l, known := u.n.options.Engine.Node(node)
	return known && !l.Leaving
}
