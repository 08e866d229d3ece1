package engine

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"reversehttp/server/claim"
)

// member is one node's part of the engine. It implements [Engine] on three buckets: claims by
// label, heartbeats by name of the node, and what else all nodes share.
type member struct {
	node, run string
	log       *slog.Logger

	*changes
	*directory
	*nodes
	*shared
	looks looks

	follows []*followed
	stop    context.CancelFunc
	running sync.WaitGroup
	once    sync.Once
	hangUp  func() // ends the connection
}

// buckets are those of an engine.
type buckets struct{ claims, nodes, shared bucket }

// withDefaults returns the options with what they leave open.
func (o Options) withDefaults() (Options, error) {
	if o.Node == "" {
		return o, errors.New("engine: a node needs a name")
	}
	if o.Bucket == "" {
		o.Bucket = "reversehttp"
	}
	if o.Run == "" {
		o.Run = crand.Text()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// join returns a member once it knows that nobody else uses its name, and which labels were taken
// down. hangUp is called when it is closed, and if it fails.
func join(ctx context.Context, o Options, b buckets, hangUp func()) (Engine, error) {
	life, stop := context.WithCancel(context.Background())
	m := &member{
		node: o.Node, run: o.Run, log: o.Log,
		changes:   newChanges(b.claims, o.Node, o.Run),
		directory: &directory{log: o.Log},
		nodes:     newNodes(b.nodes, o.Node, o.Run),
		shared:    newShared(b.shared, o.Node, o.Log),
		looks:     looks{read: b.claims.get},
		stop:      stop, hangUp: hangUp,
	}
	m.follows = []*followed{{bucket: b.claims, sink: m.directory, what: "claims"}, {bucket: b.nodes, sink: m.nodes, what: "nodes"}, {bucket: b.shared, sink: m.shared, what: "shared"}}
	h := fnv.New64a()
	_, _ = io.WriteString(h, o.Node)
	for i, f := range m.follows {
		f.log, f.random = o.Log, rand.New(rand.NewPCG(h.Sum64(), uint64(i)))
		m.running.Go(func() { f.follow(life) })
	}
	err := m.nodes.enter(ctx)
	if err == nil {
		select {
		case <-m.shared.read:
		case <-ctx.Done():
			err = fmt.Errorf("engine: the labels that were taken down could not be read: %w", ctx.Err())
		}
	}
	if err != nil {
		m.end()
		return nil, err
	}
	return m, nil
}

// bounded bounds a call by [CallTime].
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, CallTime)
}

// Look implements [Engine].
func (m *member) Look(ctx context.Context, label string) (claim.Record, Home, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	value, revision, err := m.looks.get(ctx, label)
	if err != nil {
		return claim.Record{}, Home{}, recordError(err)
	}
	return decode(label, value, revision)
}

// Released implements [Engine].
func (m *member) Released(age time.Duration, each func(label string, revision uint64) bool) {
	if now := m.nodes.now(); !now.IsZero() {
		m.directory.released(now.Add(-age), each)
	}
}

// State implements [Engine].
func (m *member) State() State {
	s := State{Up: !m.nodes.refused.Load(), Synced: true}
	for _, f := range m.follows {
		s.Up = s.Up && f.up.Load()
		s.Synced = s.Synced && f.synced.Load()
	}
	return s
}

// Close implements [Engine].
func (m *member) Close() {
	m.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), leavingTime)
		defer cancel()
		if err := m.nodes.leave(ctx); err != nil {
			m.log.Warn("other nodes were not told that this one leaves", "node", m.node, "error", err)
		}
		m.end()
	})
}

// end ends everything that runs, and the connection.
func (m *member) end() {
	m.stop()
	m.running.Wait()
	m.hangUp()
	m.looks.running.Wait()
}

// The pauses before a bucket is followed again. Each is up to twice the one before it.
const (
	shortestPause = time.Second
	longestPause  = 30 * time.Second
)

// followed is a bucket of which a sink has a copy.
type followed struct {
	bucket bucket
	sink   sink
	what   string
	log    *slog.Logger
	random *rand.Rand // of the goroutine that follows

	up     atomic.Bool // changes arrive
	synced atomic.Bool // it was read to its end once
}

// follow follows the bucket until ctx ends. Many nodes that begin again at once would read
// everything at once, so each waits for a random time before it does.
func (f *followed) follow(ctx context.Context) {
	pause := shortestPause
	for ctx.Err() == nil {
		began := time.Now()
		err := f.bucket.watch(ctx, f)
		f.up.Store(false)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > longestPause {
			pause = shortestPause
		}
		wait := pause/2 + time.Duration(f.random.Int64N(int64(pause/2)))
		f.log.Warn("lost sight of what the nodes share", "bucket", f.what, "error", err, "again_in", wait.Round(time.Millisecond))
		pause = min(2*pause, longestPause)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// begin, take and whole pass on to the sink.
func (f *followed) begin(lost bool) {
	if lost {
		f.log.Error("the engine has lost data", "bucket", f.what)
	}
	f.sink.begin(lost)
}

func (f *followed) take(e event) { f.sink.take(e) }

func (f *followed) whole() {
	f.sink.whole()
	f.up.Store(true)
	f.synced.Store(true)
}
