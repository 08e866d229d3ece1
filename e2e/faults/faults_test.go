package faults

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"reversehttp/schema"
)

const (
	programs = 3
	visitors = 64
	// The longest time between two kills of programs.
	killMost = 6 * time.Second
)

// Times of the gateway, short so that losses are noticed while the test runs.
var quick = []string{"--acknowledge=1s", "--answer=10m", "--part=10s", "--lease=8s", "--wait=3s"}

// mine is the claim of every test: a gateway has no other.
var mine = owned{label: "mine", token: "a-token-of-the-fault-suite"}

func TestNothingIsLostWhileConnectionsBreak(t *testing.T) {
	t.Parallel()
	seed := seedOf(t)
	g := startGateway(t, quick...)
	l := newLedger()
	town := startTown(t, g, l, func(i int) weather { return weather{seed, fmt.Sprint("program ", i), 1, 1 << 21} })

	visits := startProxy(t, g.address, weather{seed, "visitors", 0.3, 1 << 19}.plan)
	since := time.Now()
	var next atomic.Uint64
	more := func() (*exchange, bool) {
		n := next.Add(1)
		if *timeFlag > 0 {
			return newExchange(seed, n), time.Since(since) < *timeFlag
		}
		return newExchange(seed, n), n <= uint64(*exchangesFlag)
	}
	stop := town.trouble(seed)
	crowd(visitors, more, l, func() *visitor { return &visitor{host: g.host(), dial: visits.dial} })
	killed := stop()
	took := time.Since(since)

	// From here on there are no faults. The rest of lost sessions ends with the lease.
	for _, p := range append(town.proxies, visits) {
		p.calm.Store(true)
	}
	m := g.idle(programs)
	town.close()
	// Handlers answer at once, so no timeout expires, whatever breaks.
	f := l.check(t, schema.CodeSessionLost, schema.CodeHandlerFailed, schema.CodeNoHandler)
	checkCounts(t, m, f)
	t.Logf("%v, %.0f exchanges a second: %v", took.Round(time.Millisecond), float64(f.total())/took.Seconds(), f)
	t.Attr("figures", fmt.Sprintf("seed %d: %v", seed, f)) // for readers of go test -json
	t.Logf("%d programs killed; faults between programs and gateway: %s; between visitors and gateway: %s", killed, strokes(town.proxies...), strokes(visits))
	t.Logf("the gateway counts %v", m.ends())
	if done := f.ends[answered]; done < f.total()/2 {
		t.Errorf("%d of %d visits were answered: too few to show anything", done, f.total())
	}
}

// checkCounts compares the gateway's count of ends with what visitors saw: each exchange has exactly one end,
// and so has each visit that reached the gateway.
func checkCounts(t *testing.T, m metrics, f *figures) {
	t.Helper()
	total := m.sum("reversehttp_exchanges_total")
	// A head that a proxy broke off begins no exchange.
	told := f.ends[answered] + f.ends[cutShort] + f.ends[refused] - f.codes[schema.CodeBadRequest]
	if total < told || total > f.total()-f.ends[unreached] {
		t.Errorf("%d exchanges ended, want those of the %d visits with a known end, and at most %d", total, told, f.total())
	}
	if done := m.ended("done", ""); done < f.ends[answered] || done > f.handled {
		t.Errorf("%d exchanges are done, want from %d, which visitors had whole, to %d, which handlers had", done, f.ends[answered], f.handled)
	}
	for code, n := range f.codes {
		if counted := m.code(code); counted < n && code != schema.CodeBadRequest {
			t.Errorf("%d exchanges ended with %s, want the %d that visitors got", counted, code, n)
		}
	}
	if total < f.handled {
		t.Errorf("%d exchanges ended, and handlers had %d", total, f.handled)
	}
	if n := m.sum("reversehttp_panics_total"); n != 0 {
		t.Errorf("the gateway counts %d panics", n)
	}
}

// crowd makes visitors visit until no exchange is left.
func crowd(n int, more func() (*exchange, bool), l *ledger, new func() *visitor) {
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			v := new()
			defer v.leave()
			for x, ok := more(); ok; x, ok = more() {
				l.note(x, v.visit(x))
			}
		})
	}
	all.Wait()
}
