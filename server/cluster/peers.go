package cluster

import (
	"context"
	"errors"
	"hash/fnv"
	"maps"
	"sync"
	"syscall"
	"time"

	"reversehttp/server/cluster/engine"
	"reversehttp/server/cluster/peer"
)

// peers is what this node knows of the life of the others.
type peers struct {
	n *Node

	mu    sync.Mutex              // guards below
	dead  map[processOf]time.Time // since when; kept for a while
	mute  map[processOf]time.Time // since when a node has answered no ping
	cut   map[processOf]time.Time // when a node could not be reached that has answered no ping since
	fresh map[processOf]time.Time // since when a node is a home of which no heartbeat has come
	told  map[string]bool         // the nodes that the metrics name
}

// processOf names a run of a node.
type processOf struct{ node, run string }

// When a node counts as gone.
const (
	// watchTime is how often the other nodes are looked at.
	watchTime = time.Second
	// pingTime is how long a node may take to answer.
	pingTime = time.Second
	// muteTime is for how long a node has answered no ping, and silentTime for how long it sent no
	// heartbeat, before it counts as gone.
	muteTime   = 3 * time.Second
	silentTime = 5 * time.Second
	// cutTime is for how long a node that sends heartbeats has answered no ping, before what is under
	// way to it ends. A node that is silent too is buried before that.
	cutTime = 10 * time.Second
	// readTime is for how long what a process sent before it ended is still read.
	readTime = time.Second
	// deadTime is for how long it is known that a process is gone.
	deadTime = 10 * time.Minute
)

func newPeers(n *Node) *peers {
	return &peers{n: n, dead: map[processOf]time.Time{}, mute: map[processOf]time.Time{}, cut: map[processOf]time.Time{}, fresh: map[processOf]time.Time{}, told: map[string]bool{}}
}

// at returns where the home of a claim takes connections, or no address if that is still to come. It reports
// false if the process of that home is gone.
func (p *peers) at(h engine.Home) (peer.Node, bool) {
	if p.isDead(processOf{h.Node, h.Run}) {
		return peer.Node{}, false
	}
	if p.n.isSelf(h) {
		return peer.Node{Name: h.Node, Run: h.Run, Address: p.n.options.Address}, true
	}
	l, known := p.n.options.Engine.Node(h.Node)
	switch {
	case h.Node == p.n.options.Name: // an earlier run
		return peer.Node{}, false
	case !known:
		return peer.Node{}, p.mayCome(processOf{h.Node, h.Run})
	}
	return placeOf(l), l.Run == h.Run
}

// mayCome reports whether the first heartbeat of a home may still come: what it changes may arrive before that.
func (p *peers) mayCome(of processOf) bool {
	if p.n.options.Engine.Left(of.node, of.run) {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	since, asked := p.fresh[of]
	if !asked {
		since = time.Now()
		p.fresh[of] = since
	}
	return time.Since(since) <= silentTime
}

// placeOf returns where a node takes connections.
func placeOf(l engine.Live) peer.Node {
	return peer.Node{Name: l.Name, Run: l.Run, Address: l.PeerURL}
}

// isDead reports whether a process is known to be gone.
func (p *peers) isDead(of processOf) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, dead := p.dead[of]
	return dead
}

// blame judges a home by the error of a connection to it, and reports whether its process is gone: a
// port that is closed, or that another process has, is evidence at once; a port that cannot be
// reached is none while heartbeats come.
func (p *peers) blame(h engine.Home, err error) (gone bool) {
	var other *peer.OtherError
	if !errors.Is(err, syscall.ECONNREFUSED) && !errors.As(err, &other) {
		return false
	}
	p.bury(processOf{h.Node, h.Run}, "refused")
	return true
}

// miss notes that a node could not be reached, though nothing shows that it is gone.
func (p *peers) miss(of processOf) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.cut[of]; !known {
		p.cut[of] = time.Now()
	}
}

// isCut reports whether a node was not reached, and no ping reached it since.
func (p *peers) isCut(of processOf) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, cut := p.cut[of]
	return cut
}

// errCut is the error of a node that lives and cannot be reached.
var errCut = errors.New("cluster: the node lives, and cannot be reached")

// evidenceTime bounds how long evidence of the life or the end of a node is waited for. It comes by
// silentTime, unless this node is too busy to ask.
const evidenceTime = 4 * silentTime

// await waits for evidence about a node that could not be reached, or is too new to be known; for any other
// it returns nil at once. It returns nil if the node was reached or is gone, and errCut if a heartbeat has come
// since: then no other node may take its claims over. Without the engine no heartbeat can come.
func (p *peers) await(ctx context.Context, of processOf) error {
	for until := time.Now().Add(evidenceTime); ; {
		p.mu.Lock()
		since, cut := p.cut[of]
		p.mu.Unlock()
		l, known := p.n.options.Engine.Node(of.node)
		switch {
		case !known && of.node != p.n.options.Name && p.mayCome(of) && time.Now().Before(until):
		case !cut, !known, l.Run != of.run, p.isDead(of):
			return nil
		case l.Heard.After(since), !p.n.options.Engine.State().Up, time.Now().After(until):
			return errCut
		}
		if !sleep(ctx, pause) {
			return ctx.Err()
		}
	}
}

// bury notes that a process is gone, and ends what is under way to it once what it sent before it ended has
// been read: the notes and answers that it sent last come after a connection of another request was refused.
func (p *peers) bury(of processOf, why string) {
	p.mu.Lock()
	_, known := p.dead[of]
	p.dead[of] = time.Now()
	p.mu.Unlock()
	if known {
		return
	}
	p.n.log.Warn("a node is gone", "node", of.node, "why", why)
	if l, known := p.n.options.Engine.Node(of.node); known && l.Run == of.run {
		p.n.running.Go(func() {
			sleep(p.n.ended, readTime)
			p.n.pool.Drop(placeOf(l))
		})
	}
}

// look pings the other nodes, and buries those that are gone.
func (p *peers) look(ctx context.Context) {
	nodes := p.n.options.Engine.Nodes()
	var asked sync.WaitGroup
	for _, l := range nodes {
		if l.Name == p.n.options.Name {
			continue
		}
		asked.Go(func() { p.ping(ctx, l) })
	}
	asked.Wait()
	p.forget(nodes)
}

// forget forgets the processes that are not among the nodes, or about which nothing new is known for long.
func (p *peers) forget(nodes []engine.Live) {
	names, runs := map[string]bool{}, map[processOf]bool{}
	for _, l := range nodes {
		names[l.Name], runs[processOf{l.Name, l.Run}] = true, true
	}
	old := func(_ processOf, since time.Time) bool { return time.Since(since) > deadTime }
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.mute, func(of processOf, _ time.Time) bool { return !runs[of] })
	maps.DeleteFunc(p.cut, func(of processOf, since time.Time) bool { return !runs[of] && old(of, since) })
	maps.DeleteFunc(p.fresh, old)
	maps.DeleteFunc(p.dead, old)
	for name := range p.told {
		if !names[name] {
			delete(p.told, name)
			p.n.figures.up.DeleteLabelValues(name)
		}
	}
}

// ping asks a node whether it lives.
func (p *peers) ping(ctx context.Context, l engine.Live) {
	of := processOf{l.Name, l.Run}
	ctx, cancel := context.WithTimeout(ctx, pingTime)
	defer cancel()
	err := p.n.pool.Ping(ctx, placeOf(l))
	p.mu.Lock()
	since, was := p.mute[of]
	if err == nil {
		delete(p.mute, of)
		delete(p.cut, of)
		delete(p.dead, of) // it was only paused
	} else if !was {
		since = time.Now()
		p.mute[of] = since
	}
	p.told[l.Name] = true
	p.mu.Unlock()
	p.n.figures.up.WithLabelValues(l.Name).Set(boolean(err == nil))
	switch {
	case err == nil:
	case p.blame(engine.Home{Node: l.Name, Run: l.Run}, err):
	case l.Silent > silentTime && time.Since(since) > muteTime:
		p.bury(of, "silent")
	case time.Since(since) > cutTime: // it lives, and nothing that waits for it would end
		p.miss(of)
		p.n.pool.Drop(placeOf(l))
	}
}

// heirs returns the nodes that can take claims over.
func (p *peers) heirs() (all []engine.Live) {
	for _, l := range p.n.options.Engine.Nodes() {
		if l.Ready && !l.Leaving && l.Silent <= silentTime && !p.isDead(processOf{l.Name, l.Run}) {
			all = append(all, l)
		}
	}
	return all
}

// heirOf returns the node that takes over a label: each label has its own order of all nodes, and the
// first of the heirs takes it. It returns "" if there are none.
func heirOf(label string, heirs []engine.Live) (heir string) {
	most := uint64(0)
	for _, l := range heirs {
		h := fnv.New64a()
		_, _ = h.Write([]byte(l.Name + "/" + label))
		if sum := h.Sum64(); heir == "" || sum > most {
			heir, most = l.Name, sum
		}
	}
	return heir
}

// someAnswer reports whether another node answered its last ping.
func (p *peers) someAnswer() bool {
	nodes := p.n.options.Engine.Nodes()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range nodes {
		if _, mute := p.mute[processOf{l.Name, l.Run}]; !mute && l.Name != p.n.options.Name {
			return true
		}
	}
	return false
}

// boolean returns 1 for true and 0 for false.
func boolean(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
