// Package cluster makes several gateways one. Each claim is kept by one node, its home, and every
// node takes requests for every claim: those for a claim that another node keeps are carried to
// that node (package peer). Which node is the home of a label is a record of package engine, which
// is changed by compare-and-set only, so that no two nodes give a label to two owners whatever they
// believe of each other.
package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"

	"reversehttp/server/claim"
	"reversehttp/server/cluster/engine"
	"reversehttp/server/cluster/peer"
	"reversehttp/server/gateway"
)

// Options configure a node. All members but Serves, Calls, Speaks and Log are required.
type Options struct {
	// Engine has the records of claims, for this node.
	Engine engine.Engine
	// Name and Run are those that the engine was given.
	Name, Run string
	// Address is the host and port at which other nodes reach this one.
	Address string
	// Serves is the TLS configuration for connections from other nodes, and Calls that for
	// connections to them. Nil means plain TCP.
	Serves, Calls *tls.Config
	// Settings must be equal on all nodes that have them.
	Settings map[string]string
	// Speaks are the versions of the protocol between nodes that this one speaks. Zero means [peer.Spoken].
	Speaks peer.Versions
	// Log receives what an operator should know. Nil means that it is dropped.
	Log *slog.Logger
}

// Node is this process as one of several. It implements [reversehttp/server/gateway.Elsewhere].
type Node struct {
	options  Options
	log      *slog.Logger
	pool     *peer.Pool
	server   *peer.Server
	peers    *peers
	registry *claim.Registry
	ready    func() bool
	taking   singleflight.Group
	looks    *rate.Limiter
	figures  *figures
	pulse    *pulse
	past     past

	ends     context.CancelFunc
	ended    context.Context
	running  goroutines
	replaced chan struct{} // closed once another process has the name of this node
	leaving  sync.Once
	left     chan struct{} // closed once this node is about to end
}

// looksPerSecond bounds how often the engine is asked for labels that this node does not know.
const looksPerSecond = 2_000

// New returns a node that does nothing yet; see [Node.Start].
func New(o Options) *Node {
	n := &Node{options: o, log: o.Log, looks: rate.NewLimiter(looksPerSecond, looksPerSecond), pulse: newPulse(), replaced: make(chan struct{}), left: make(chan struct{})}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	n.ended, n.ends = context.WithCancel(context.Background())
	if o.Speaks == (peer.Versions{}) {
		n.options.Speaks = peer.Spoken
	}
	n.pool = &peer.Pool{Node: o.Name, Run: o.Run, Speaks: n.options.Speaks, TLS: o.Calls}
	n.peers = newPeers(n)
	n.figures = newFigures(n)
	return n
}

// Start joins the node to the others: a gateway serves the requests that they carry to l, and takes
// over claims of nodes that are gone.
func (n *Node) Start(l net.Listener, g *gateway.Gateway) {
	n.registry, n.ready = g.Registry(), g.Ready
	n.server = &peer.Server{Handler: carried(g, n.registry), Base: g.Base(), Keeps: func(label string) bool { return keeps(n, label) }, Took: func(ctx context.Context, from, label string) error { return accept(ctx, n, from, label) }, Node: n.options.Name, Run: n.options.Run, Speaks: n.options.Speaks, TLS: n.options.Serves, Log: n.log}
	n.running.Go(func() {
		if err := n.server.Serve(l); err != nil && n.ended.Err() == nil {
			n.log.Error("other nodes cannot connect any more", "error", err)
		}
	})
	context.AfterFunc(n.ended, func() { _ = l.Close() })
	n.options.Engine.Changed(n.changed)
	n.running.Go(func() { beat(n) })
	n.running.Go(func() { watch(n) })
	n.running.Go(func() { n.pulse.run(n.ended, n.log) })
}

// Agree returns an error if another node has other settings than this one, which names one of them.
func (n *Node) Agree() error {
	for _, l := range n.options.Engine.Nodes() {
		if l.Name == n.options.Name || l.Silent > silentTime {
			continue
		}
		if theirs := (peer.Versions{Oldest: l.Oldest, Newest: l.Version}); n.options.Speaks.Common(theirs) == 0 {
			return fmt.Errorf("node %s speaks %v of the protocol between nodes, and this one %v: they cannot be one gateway; go to a later release by those between", l.Name, theirs, n.options.Speaks)
		}
		for _, flag := range slices.Sorted(maps.Keys(n.options.Settings)) {
			// A node of another release may lack a setting.
			if theirs, has := l.Settings[flag]; has && theirs != n.options.Settings[flag] {
				return fmt.Errorf("%s is %s here and %s on node %s; give all nodes the same", flag, n.options.Settings[flag], theirs, l.Name)
			}
		}
	}
	return nil
}

// NotReady returns, for people, why this node takes no requests, or "" if it does. With no way to
// the engine it still serves the claims that are known, unless other nodes do better.
func (n *Node) NotReady() string {
	state := n.options.Engine.State()
	switch {
	case n.Leaves():
		return "This node is about to end."
	case !state.Synced:
		return "This node has not read which node has which claim yet."
	case !state.Up && n.peers.someAnswer():
		return "This node does not reach the engine, and another node may."
	}
	return ""
}

// Replaced is closed once another process has started with the name of this node. This one must
// end: the other takes its claims over.
func (n *Node) Replaced() <-chan struct{} { return n.replaced }

// Close ends what the node does, with the requests that it carries. It does not close the engine.
func (n *Node) Close() {
	n.ends()
	n.pool.Close()
	if n.server != nil {
		n.server.Close()
	}
	n.running.Wait()
}

// keeps reports whether this node is the home of a label. A home that does not know yet that it was
// replaced is asked by nobody who knows it.
func keeps(n *Node, label string) bool {
	if n.pulse.missed() {
		ctx, cancel := context.WithTimeout(n.ended, engine.CallTime)
		defer cancel()
		if home, err := n.home(ctx, label, false); err == nil && !n.isSelf(home) {
			return false
		}
	}
	if keeps := claim.Keeps(n.registry, label); keeps || n.Leaves() {
		return keeps
	}
	if home, known := n.options.Engine.Home(label); !known || !n.isSelf(home) {
		return false
	}
	_ = n.take(n.ended, label, "asked") // it is about to come, or a takeover ended without an answer
	return claim.Keeps(n.registry, label)
}

// isSelf reports whether a home is this process.
func (n *Node) isSelf(h engine.Home) bool {
	return h.Node == n.options.Name && h.Run == n.options.Run
}

// changed deposes this node as the home of a label that another node has taken, and notes where a claim was kept
// that has ended.
func (n *Node) changed(c engine.Change) {
	if c.Ended && !c.Lost {
		n.past.ended(c.Label, c.Home)
	}
	if n.isSelf(c.Home) && !c.Ended || n.registry.Lookup(c.Label) == nil {
		return
	}
	if c.Ended && !c.Lost {
		return // its own end is under way
	}
	n.running.Go(func() { n.depose(c) })
}

// depose ends a claim that another node keeps now. If the engine has lost the record of a claim that
// lives, it is written again.
func (n *Node) depose(c engine.Change) {
	if c.Lost && c.Ended {
		n.figures.takeovers.WithLabelValues("restored").Inc()
		n.log.Warn("the engine lost the record of a claim, which is written again", "label", c.Label)
		if err := claim.Rewrite(n.registry, c.Label); err == nil || !errors.Is(err, claim.ErrMoved) {
			return
		}
	}
	if _, now, err := n.options.Engine.Look(n.ended, c.Label); err == nil && n.isSelf(now) {
		return
	}
	level := slog.LevelWarn
	if n.Leaves() {
		level = slog.LevelInfo
	}
	n.log.Log(n.ended, level, "another node took a claim over", "label", c.Label, "home", c.Home.Node, "term", c.Home.Term)
	claim.Depose(n.registry, c.Label)
}

// beat informs the other nodes that this one lives, until it ends.
func beat(n *Node) {
	tick := time.NewTicker(engine.BeatTime)
	defer tick.Stop()
	for {
		left := n.left
		if n.Leaves() {
			left = nil
		}
		err := n.options.Engine.Beat(n.ended, engine.Node{
			PeerURL: n.options.Address, Version: n.options.Speaks.Newest, Oldest: n.options.Speaks.Oldest, Settings: n.options.Settings,
			Claims: n.registry.Stats().Claims, Ready: n.ready(), Leaving: n.Leaves(),
		})
		switch {
		case errors.Is(err, engine.ErrReplaced):
			n.log.Error("another process has the name of this node, which ends", "node", n.options.Name)
			close(n.replaced)
			return
		case err != nil && n.ended.Err() == nil:
			n.log.Warn("the engine was not told that this node lives", "error", err)
		}
		select {
		case <-tick.C:
		case <-left: // the others learn it at once
		case <-n.ended.Done():
			return
		}
	}
}
