package faults

import (
	"sync/atomic"
	"testing"
	"time"

	"reversehttp/schema"
)

// lasting are flags with times so long that no exchange and no live session times out. Only the end of the gateway
// may lose exchanges, and only those that are running.
var lasting = []string{"--acknowledge=1m", "--answer=10m", "--part=10m", "--drain=10m", "--lease=10m", "--wait=3s"}

// load makes visitors visit the gateway without a proxy, each time on a new connection, until stop is called.
func load(seed uint64, g *gateway, l *ledger) (stop func()) {
	var next atomic.Uint64
	var over atomic.Bool
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		more := func() (*exchange, bool) {
			x := newExchange(seed, next.Add(1))
			if x.want.shape == whole {
				x.want.shape = slow // so that some are always under way
			}
			return x, !over.Load()
		}
		crowd(32, more, l, func() *visitor { return &visitor{host: g.host(), dial: g.straight, fresh: true} })
	}()
	return func() {
		over.Store(true)
		<-ended
	}
}

// awaitAnswers waits for a number of further answered visits.
func (l *ledger) awaitAnswers(t *testing.T, more int) {
	t.Helper()
	first := l.count(answered)
	until(t, "visits are answered", func() bool { return l.count(answered) >= first+more })
}

// count returns how many visits ended in that way.
func (l *ledger) count(e end) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, o := range l.got {
		if o.end == e {
			n++
		}
	}
	return n
}

func TestProgramsComeBackWhenTheGatewayIsKilled(t *testing.T) {
	t.Parallel()
	seed := seedOf(t)
	if *clusterFlag {
		t.Skip("the nodes of a cluster end in e2e/cluster")
	}
	g := startGateway(t, lasting...)
	l := newLedger()
	town := startTown(t, g, l, fair)
	stop := load(seed, g, l)
	for _, down := range []time.Duration{0, time.Second, 0} {
		l.awaitAnswers(t, 200)
		g.kill()
		<-time.After(down)
		g.start()
		since := time.Now()
		town.awaitPolls()
		t.Logf("killed, and away for %v: all programs poll again after %v", down, time.Since(since).Round(time.Millisecond))
	}
	l.awaitAnswers(t, 200)
	stop()
	g.idle(programs)
	town.close()
	f := l.check(t, schema.CodeNoHandler)
	t.Log(f)
	if f.ends[unreached] == 0 {
		t.Error("no visitor was cut off: the gateway was not killed under load")
	}
}

func TestAcceptedVisitorsAreServedWhenTheGatewayStops(t *testing.T) {
	t.Parallel()
	seed := seedOf(t)
	if *clusterFlag {
		t.Skip("the nodes of a cluster end in e2e/cluster")
	}
	g := startGateway(t, lasting...)
	l := newLedger()
	town := startTown(t, g, l, fair)
	stop := load(seed, g, l)
	for range 2 {
		l.awaitAnswers(t, 200)
		since := time.Now()
		if err := g.stop(); err != nil {
			t.Errorf("the gateway ends with %v after SIGTERM, want success", err)
		}
		t.Logf("stopped in %v", time.Since(since).Round(time.Millisecond))
		g.start()
		town.awaitPolls()
	}
	l.awaitAnswers(t, 200)
	stop()
	g.idle(programs)
	town.close()
	f := l.check(t, schema.CodeNoHandler, schema.CodeDraining)
	t.Log(f)
	for key, o := range l.got {
		if runs := l.runs(key); o.end == unreached && len(runs) > 0 || o.end == cutShort {
			t.Errorf("exchange %s: %s (%s), and %v had it", key, o.end, o.why, runs)
		}
	}
	if f.ends[unreached] == 0 {
		t.Error("no visitor found the port closed: the gateway was not under load")
	}
}
