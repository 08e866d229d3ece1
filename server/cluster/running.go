package cluster

import "sync"

// goroutines are what a node does beside requests. The zero value is ready for use.
type goroutines struct {
	mu      sync.Mutex // guards closed
	closed  bool
	running sync.WaitGroup
}

// Go calls f in a goroutine, unless Wait was called: the engine may still report changes then.
func (g *goroutines) Go(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.running.Go(f)
	}
}

// Wait returns once all have ended. No more begin.
func (g *goroutines) Wait() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.running.Wait()
}
