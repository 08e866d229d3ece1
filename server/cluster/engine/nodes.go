package engine

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// nodes is a node's copy of what each node says of itself, and its own heartbeat.
type nodes struct {
	bucket    bucket
	node, run string

	refused atomic.Bool // the last heartbeat was not accepted

	beating  sync.Mutex // held while a heartbeat is written
	revision uint64     // of the own heartbeat

	mu     sync.Mutex // guards what follows
	heard  map[string]*heard
	left   map[string]departed // the nodes that have left, by name
	newest moment              // of any heartbeat
	round  uint64              // counts how often everything was read
	lost   bool                // the engine lost data before this round
}

// heard is the last heartbeat of a node.
type heard struct {
	Node
	revision uint64
	moment
	round uint64
}

// departed is the last run of a node that has left, and when it left.
type departed struct {
	run string
	at  time.Time
}

// moment is when a heartbeat came, by the clock of this process and that of the engine.
type moment struct{ here, there time.Time }

// since returns how long before n the moment was.
func (m moment) since(n moment) time.Duration {
	return max(min(n.here.Sub(m.here), n.there.Sub(m.there)), 0)
}

func newNodes(b bucket, node, run string) *nodes {
	return &nodes{bucket: b, node: node, run: run, heard: make(map[string]*heard), left: make(map[string]departed)}
}

// enter waits until the name is known to be free. It fails with [ErrNameTaken].
func (n *nodes) enter(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var first uint64
	for began := time.Now(); ; {
		call, cancel := bounded(ctx)
		value, revision, err := n.bucket.get(call, n.node)
		cancel()
		switch {
		case errors.Is(err, errNone):
			n.revision = 0
			return nil
		case ctx.Err() != nil:
			return errors.Join(ctx.Err(), err)
		case err != nil: // asked again below
		case runOf(value) == n.run:
			n.revision = revision
			return nil
		case first == 0:
			first = revision
		case revision != first:
			return ErrNameTaken
		case time.Since(began) > nameTime:
			n.revision = revision // the first heartbeat replaces it
			return nil
		}
		timer := time.NewTimer(BeatTime / 3)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// runOf returns the run in a heartbeat.
func runOf(value []byte) string {
	var n Node
	_ = json.Unmarshal(value, &n)
	return n.Run
}

// Beat implements [Engine].
func (n *nodes) Beat(ctx context.Context, say Node) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	n.beating.Lock()
	defer n.beating.Unlock()
	say.Name, say.Run = n.node, n.run
	value, err := json.Marshal(say)
	if err != nil {
		return err
	}
	err = n.beat(ctx, value)
	n.refused.Store(err != nil)
	return err
}

// beat replaces the last heartbeat. The caller holds n.beating.
func (n *nodes) beat(ctx context.Context, value []byte) error {
	revision, err := n.bucket.put(ctx, n.node, value, n.revision)
	if errors.Is(err, errOther) { // lost by the engine, accepted without an answer, or of another
		there, last, failed := n.bucket.get(ctx, n.node)
		switch {
		case errors.Is(failed, errNone): // last is 0
		case failed != nil:
			return failed
		case runOf(there) != n.run:
			return ErrReplaced
		}
		revision, err = n.bucket.put(ctx, n.node, value, last)
	}
	switch {
	case errors.Is(err, errOther):
		return ErrReplaced
	case err == nil:
		n.revision = revision
	}
	return err
}

// leave deletes the heartbeat, if there was one.
func (n *nodes) leave(ctx context.Context) error {
	n.beating.Lock()
	defer n.beating.Unlock()
	if n.revision == 0 {
		return nil
	}
	_, err := n.bucket.put(ctx, n.node, nil, n.revision)
	if errors.Is(err, errOther) {
		return nil
	}
	return err
}

// Node implements [Engine].
func (n *nodes) Node(name string) (Live, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.heard[name]
	if h == nil {
		return Live{}, false
	}
	return Live{h.Node, h.here, h.since(n.newest)}, true
}

// now returns the time of the newest heartbeat by the clock of the engine; zero if there was none.
func (n *nodes) now() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.newest.there
}

// Left implements [Engine].
func (n *nodes) Left(name, run string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, back := n.heard[name]
	return !back && n.left[name].run == run
}

// Nodes implements [Engine].
func (n *nodes) Nodes() []Live {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make([]Live, 0, len(n.heard))
	for _, h := range n.heard {
		all = append(all, Live{h.Node, h.here, h.since(n.newest)})
	}
	slices.SortFunc(all, func(a, b Live) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// begin implements [sink].
func (n *nodes) begin(lost bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.round++
	n.lost = lost
}

// take implements [sink].
func (n *nodes) take(e event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.heard[e.key]
	switch {
	case e.value == nil:
		if h != nil {
			n.left[e.key] = departed{h.Run, time.Now()}
			maps.DeleteFunc(n.left, func(_ string, d departed) bool { return time.Since(d.at) > leftTime })
		}
		delete(n.heard, e.key)
		return
	case h != nil && h.revision == e.revision: // read again
		h.round = n.round
		return
	}
	h = &heard{revision: e.revision, moment: moment{time.Now(), e.at}, round: n.round}
	if json.Unmarshal(e.value, &h.Node) != nil || h.Name != e.key {
		return
	}
	n.heard[e.key] = h
	n.newest = h.moment
	for name, h := range n.heard {
		if h.since(n.newest) > forgetTime {
			delete(n.heard, name)
		}
	}
}

// whole implements [sink]. Heartbeats that the engine lost are no sign that their nodes have left.
func (n *nodes) whole() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, h := range n.heard {
		if h.round != n.round && !n.lost {
			delete(n.heard, name)
		}
	}
	n.lost = false
}
