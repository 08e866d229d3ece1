package gateway

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// stopping is the progress of a shutdown.
type stopping struct {
	begun atomic.Bool // readiness fails
	told  atomic.Bool // programs were asked to come back later
	// watched is closed when watchers of recordings should reconnect.
	watched chan struct{}
	unwatch sync.Once
}

const (
	// lastMost is the time kept free at the end of [Options.Drain]: the port closes no later, so
	// that running exchanges can still be answered.
	lastMost = 2 * time.Second
	// briefAfter is how long the port stays open while new visitors keep coming and each is served
	// within a second.
	briefAfter = 2 * time.Second
	// drainLooks is how often drain checks whether any exchange is queued or running.
	drainLooks = 5 * time.Millisecond
)

// Drain stops the gateway gently, within [Options.Drain] or until ctx ends:
//
//   - Other nodes, if there are any, take over the claims; see [Elsewhere].
//   - Readiness fails at once. Upgraded connections are asked to close, and end within 2 s.
//   - Visitors are served as usual while the port is open: for [Options.DrainDelay], and then until no exchange is
//     queued or running. After 2 s it is enough that none has run for a second, since new visitors may keep coming.
//   - Then the port closes, and visitors that connected before are served.
//   - Then polls end with a request to come back later, and no more requests are accepted.
//
// If time runs out first, exchanges without an answer fail. Answers that have begun end with their
// connections.
func (g *Gateway) Drain(ctx context.Context) {
	g.stopping.begun.Store(true)
	g.replays.Drain()
	end := time.Now().Add(g.options.Drain)
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	g.registry.Drain(func() { g.serveTheLast(ctx, end) })
	g.links.Drain()
	if others := g.options.Elsewhere; others != nil {
		others.Part()
	}
	g.stopping.unwatch.Do(func() { close(g.stopping.watched) })
	await(ctx, func() bool { s := g.registry.Stats(); return s.Exchanges == 0 && s.Polls == 0 })
	g.registry.GiveUp()
}

// serveTheLast keeps serving visitors as [Gateway.Drain] describes, then closes the port.
func (g *Gateway) serveTheLast(ctx context.Context, end time.Time) {
	open, cancel := context.WithDeadline(ctx, end.Add(-min(lastMost, g.options.Drain/2)))
	defer cancel()
	if others := g.options.Elsewhere; others != nil {
		others.Leave(open)
	}
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
		return !awaited && g.registry.Stats().Exchanges == 0 // in this order: a request that is no longer awaited is running
	})
	g.stopping.told.Store(true)
}

// await waits until is returns true, or ctx ends.
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
