package engine

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"
)

// Memory is an engine in memory that several nodes of one process share, for tests. Its nodes can
// be cut off, slowed down and left with an old directory. Time passes as in [testing/synctest].
type Memory struct {
	mu      sync.Mutex // guards what follows, and the members of links and memory buckets
	last    uint64     // revision
	links   map[string]*link
	buckets []*memoryBucket
}

// Cut is what does not get through between a node and the engine.
type Cut int

// Nothing gets through, or everything but what the engine sends: changes are made, and neither
// their results nor the changes of others arrive.
const (
	CutAll Cut = iota + 1
	CutAnswers
)

// link is the connection of a node, and its part of the faults. It outlives the node's process.
type link struct {
	cut     Cut // 0 for none
	delay   time.Duration
	held    bool // changes of others wait
	changed chan struct{}
}

// noticeTime is how long it takes until a node that is cut off stops following changes.
const noticeTime = 4 * time.Second

// NewMemory returns an engine without any records.
func NewMemory() *Memory {
	m := &Memory{links: make(map[string]*link)}
	for range 3 {
		m.buckets = append(m.buckets, &memoryBucket{values: make(map[string]event)})
	}
	return m
}

// Connect connects a node, as [Connect] does.
func (m *Memory) Connect(ctx context.Context, o Options) (Engine, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	var all [3]bucket
	for i, b := range m.buckets {
		all[i] = &memoryAccess{m, b, o.Node, new(never)}
	}
	return join(ctx, o, buckets{all[0], all[1], all[2]}, func() {})
}

// Cut cuts a node off. A node that is cut off and closed is as one that was killed.
func (m *Memory) Cut(node string, c Cut) { m.link(node, func(l *link) { l.cut = c }) }

// Mend ends a cut.
func (m *Memory) Mend(node string) { m.link(node, func(l *link) { l.cut = 0 }) }

// Delay makes everything between a node and the engine take this long, each way.
func (m *Memory) Delay(node string, d time.Duration) { m.link(node, func(l *link) { l.delay = d }) }

// Hold keeps changes from a node, which still can make changes itself, so that its directory becomes
// old. Flow ends that, and the changes arrive.
func (m *Memory) Hold(node string) { m.link(node, func(l *link) { l.held = true }) }

// Flow ends Hold.
func (m *Memory) Flow(node string) { m.link(node, func(l *link) { l.held = false }) }

// Lose deletes everything, as if the engine had lost its disk.
func (m *Memory) Lose() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range m.buckets {
		b.values = make(map[string]event)
		b.losses++
		for w := range b.watchers {
			w.broken = true
			w.poke()
		}
	}
}

// link changes the link of a node.
func (m *Memory) link(node string, change func(*link)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.of(node)
	change(l)
	close(l.changed)
	l.changed = make(chan struct{})
}

// of returns the link of a node. The caller holds m.mu.
func (m *Memory) of(node string) *link {
	if m.links[node] == nil {
		m.links[node] = &link{changed: make(chan struct{})}
	}
	return m.links[node]
}

// now returns a copy of the link of a node.
func (m *Memory) now(node string) link {
	m.mu.Lock()
	defer m.mu.Unlock()
	return *m.of(node)
}

// memoryBucket is a bucket of Memory.
type memoryBucket struct {
	values   map[string]event
	losses   int
	watchers map[*memoryWatch]bool
}

// memoryWatch follows a bucket.
type memoryWatch struct {
	queue  []event
	broken bool
	ready  chan struct{} // of capacity 1
}

func (w *memoryWatch) poke() {
	select {
	case w.ready <- struct{}{}:
	default:
	}
}

// memoryAccess is what a node sees of a bucket. It implements [bucket].
type memoryAccess struct {
	*Memory
	bucket *memoryBucket
	node   string
	losses *int // of the bucket, when it was last read; never if it was not
}

// never is fewer losses than a bucket has.
const never = -1

// errCut is the error of a node that is cut off.
var errCut = errors.New("engine: cut off")

// ask does something at the engine, and returns once the answer is here.
func (a *memoryAccess) ask(ctx context.Context, do func()) error {
	l := a.now(a.node)
	if err := sleep(ctx, l.delay); err != nil {
		return err
	}
	if l = a.now(a.node); l.cut == CutAll {
		<-ctx.Done()
		return ctx.Err()
	}
	a.mu.Lock()
	do()
	a.mu.Unlock()
	if err := sleep(ctx, l.delay); err != nil {
		return err
	}
	if l = a.now(a.node); l.cut != 0 {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

// sleep waits for d.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *memoryAccess) get(ctx context.Context, key string) (value []byte, revision uint64, err error) {
	failed := a.ask(ctx, func() {
		e, ok := a.bucket.values[key]
		if !ok {
			err = errNone
		}
		value, revision = e.value, e.revision
	})
	if failed != nil {
		return nil, 0, failed
	}
	return value, revision, err
}

func (a *memoryAccess) put(ctx context.Context, key string, value []byte, revision uint64) (next uint64, err error) {
	failed := a.ask(ctx, func() {
		if revision != anyRevision && a.bucket.values[key].revision != revision {
			err = errOther
			return
		}
		a.last++
		next = a.last
		e := event{key, value, next, time.Now()}
		if value == nil {
			delete(a.bucket.values, key)
		} else {
			a.bucket.values[key] = e
		}
		for w := range a.bucket.watchers {
			w.queue = append(w.queue, e)
			w.poke()
		}
	})
	if failed != nil {
		return 0, failed
	}
	return next, err
}

func (a *memoryAccess) watch(ctx context.Context, s sink) error {
	w := &memoryWatch{ready: make(chan struct{}, 1)}
	lost := false
	call, cancel := bounded(ctx)
	err := a.ask(call, func() {
		w.queue = slices.SortedFunc(maps.Values(a.bucket.values), func(a, b event) int { return cmp.Compare(a.revision, b.revision) })
		lost = *a.losses != never && a.bucket.losses != *a.losses
		*a.losses = a.bucket.losses
		if a.bucket.watchers == nil {
			a.bucket.watchers = make(map[*memoryWatch]bool)
		}
		a.bucket.watchers[w] = true
	})
	cancel()
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.bucket.watchers, w)
	}()
	if err == nil {
		err = a.passes(ctx)
	}
	if err != nil {
		return err
	}
	s.begin(lost)
	a.mu.Lock()
	all := w.queue[:len(w.queue):len(w.queue)]
	w.queue = nil
	a.mu.Unlock()
	for _, e := range all {
		s.take(e)
	}
	s.whole()
	for {
		if err := a.passes(ctx); err != nil {
			return err
		}
		a.mu.Lock()
		all, broken := w.queue, w.broken
		w.queue = nil
		a.mu.Unlock()
		for _, e := range all {
			s.take(e)
		}
		switch {
		case broken:
			return errors.New("engine: the bucket is gone")
		case len(all) > 0:
			continue
		}
		select {
		case <-w.ready:
		case <-a.now(a.node).changed:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := sleep(ctx, a.now(a.node).delay); err != nil {
			return err
		}
	}
}

// passes waits until changes reach the node.
func (a *memoryAccess) passes(ctx context.Context) error {
	var late <-chan time.Time
	for {
		l := a.now(a.node)
		switch {
		case l.cut == 0 && !l.held:
			return nil
		case l.cut != 0 && late == nil:
			timer := time.NewTimer(noticeTime)
			defer timer.Stop()
			late = timer.C
		case l.cut == 0:
			late = nil
		}
		select {
		case <-l.changed:
		case <-late:
			return errCut
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
