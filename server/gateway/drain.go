package gateway

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// stopping is how far the gateway is with stopping.
type stopping struct {
	begun atomic.Bool // it is not ready any more
	told  atomic.Bool // programs are told
	// watched is closed when who watches recordings is to come back.
	watched chan struct{}
	unwatch sync.Once
}

const (
	// lastMost is how long before the end of [Options.Drain] the port closes at the latest: what runs then may still be answered.
	lastMost = 2 * time.Second
	// briefAfter is how long the port stays open while visitors come without end, of whom none takes a second.
	briefAfter = 2 * time.Second
	// drainLooks is how often is looked whether nobody is queued or running.
	drainLooks = 5 * time.Millisecond
)

// Drain stops the gateway gently, within [Options.Drain] or until ctx ends:
//
//   - Readiness fails at once. Upgraded connections are told, and end within 2 s.
//   - Visitors are served as ever, while the port is open: for [Options.DrainDelay], and until none is queued or running; or, after 2 s,
//     none who has been for a second, for they may come without end.
//   - Then the port closes, and who was let in meanwhile is served.
//   - Then polls end with a word to come back, and nothing is let in.
//
// Where the time is over first, what has no answer fails. Answers that have begun end with their connections.
func (g *Gateway) Drain(ctx context.Context) {
	g.stopping.begun.Store(true)
	g.replays.Drain()
	end := time.Now().Add(g.options.Drain)
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	g.registry.Drain(func() { g.serveTheLast(ctx, end) })
	g.links.Drain()
	g.stopping.unwatch.Do(func() { close(g.stopping.watched) })
	await(ctx, func() bool { s := g.registry.Stats(); return s.Exchanges == 0 && s.Polls == 0 })
	g.registry.GiveUp()
}

// serveTheLast serves visitors, and closes the port.
func (g *Gateway) serveTheLast(ctx context.Context, end time.Time) {
	open, cancel := context.WithDeadline(ctx, end.Add(-min(lastMost, g.options.Drain/2)))
	defer cancel()
	if delay := g.options.DrainDelay; delay > 0 {
		select {
		case <-time.After(delay):
		case <-open.Done():
		}
	}
	brief := time.Now().Add(briefAfter)
	await(open, func() bool {
		s := g.registry.Stats()
		return s.Exchanges == 0 || !s.Lasting && time.Now().After(brief)
	})
	last := time.Now()
	if g.options.ClosePort != nil {
		g.options.ClosePort()
		last = last.Add(g.options.LastRequests)
	}
	await(ctx, func() bool {
		awaited := time.Now().Before(last) && g.Port.Awaits()
		return !awaited && g.registry.Stats().Exchanges == 0 // in this order: who is not awaited any more runs
	})
	g.stopping.told.Store(true)
}

// await waits until something is so, or ctx ends.
func await(ctx context.Context, is func() bool) {
	tick := time.NewTicker(drainLooks)
	defer tick.Stop()
	for !is() && ctx.Err() == nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}
