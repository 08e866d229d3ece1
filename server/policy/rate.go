package policy

import (
	"net/netip"
	"time"

	"reversehttp/schema"
	"reversehttp/server/budget"
	"reversehttp/server/problem"
)

// Bounds of a rate.
const (
	mostPerMinute = 1_000_000
	// rateTime is the time in which requests are counted.
	rateTime = time.Minute
	// mostWindows bounds the addresses whose requests are counted for a claim.
	mostWindows  = 1_024
	windowWeight = 96
)

func checkRate(ask *schema.Policy, _ *Policy) error {
	if r := ask.Rate; r != nil && (r.PerMinute < 1 || r.PerMinute > mostPerMinute) {
		return fault("rate/perMinute", "perMinute is a whole number from 1 to %d.", mostPerMinute)
	}
	return nil
}

// window counts the requests of an address since a time.
type window struct {
	count int
	since time.Time
}

// rateStep bounds the requests of an address within a minute of its first one.
func rateStep(p *Policy) step {
	most := p.Rate.PerMinute
	return func(a *asked) *problem.Problem {
		if wait := a.guard.hit(a.from, most); wait > 0 {
			return &problem.Problem{Code: schema.CodeRateLimited, After: wait, Detail: "The owner of this URL lets an address ask so often a minute, and no more. Try again later."}
		}
		return nil
	}
}

// hit counts a request of an address. If there were most before it, hit returns how long to wait instead.
// Addresses of one subscriber count as one, and so do all unknown ones.
func (g *guard) hit(from netip.Addr, most int) (wait time.Duration) {
	var who netip.Prefix
	if from.IsValid() {
		who = budget.Subscriber(from)
	}
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	w, known := g.windows[who]
	switch {
	case known && now.Sub(w.since) >= rateTime:
		w = window{since: now}
	case !known && !g.windowRoom(now):
		return rateTime
	case !known:
		w.since = now
	}
	if w.count >= most {
		return rateTime - now.Sub(w.since)
	}
	w.count++
	g.windows[who] = w
	return 0
}

// windowRoom makes room for one more address, and reports whether there is room. It drops an address whose minute
// is over, otherwise any: a visitor with many addresses must not keep others out. The caller holds g.mu.
func (g *guard) windowRoom(now time.Time) bool {
	if g.windows == nil {
		g.windows = make(map[netip.Prefix]window)
	}
	if len(g.windows) < mostWindows && g.grow(windowWeight) {
		return true
	}
	one, found := netip.Prefix{}, false
	for who, w := range g.windows {
		one, found = who, true
		if now.Sub(w.since) >= rateTime {
			break
		}
	}
	delete(g.windows, one)
	return found
}
