package engine

import (
	"context"
	"sync"
)

// looks shares reads of a key between callers. A caller joins only a read that begins after its
// call: one that began before may miss a record that the caller's client already knows of. So a key
// has at most one read under way and one that is to follow.
type looks struct {
	read func(ctx context.Context, key string) ([]byte, uint64, error)

	running sync.WaitGroup
	mu      sync.Mutex       // guards what follows, and next of each
	keys    map[string]*look // the read under way
}

// look is a read of a key.
type look struct {
	next *look // begins when this one ends; nil for none
	done chan struct{}

	value    []byte // of what was read
	revision uint64
	err      error
}

// get reads a key. If ctx ends, the read goes on for the others.
func (l *looks) get(ctx context.Context, key string) ([]byte, uint64, error) {
	one := l.join(key)
	select {
	case <-one.done:
		return one.value, one.revision, one.err
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	}
}

// join returns a read that has not begun, or begins one.
func (l *looks) join(key string) *look {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.keys == nil {
		l.keys = make(map[string]*look)
	}
	running := l.keys[key]
	switch {
	case running == nil:
		one := &look{done: make(chan struct{})}
		l.keys[key] = one
		l.running.Go(func() { l.run(key, one) })
		return one
	case running.next == nil:
		running.next = &look{done: make(chan struct{})}
	}
	return running.next
}

// run reads, and then starts the read that is to follow.
func (l *looks) run(key string, one *look) {
	for one != nil {
		ctx, cancel := bounded(context.Background())
		one.value, one.revision, one.err = l.read(ctx, key)
		cancel()
		close(one.done)
		l.mu.Lock()
		if one = one.next; one == nil {
			delete(l.keys, key)
		} else {
			l.keys[key] = one
		}
		l.mu.Unlock()
	}
}
