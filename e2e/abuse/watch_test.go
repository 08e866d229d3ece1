package abuse

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// watch monitors the gateway all the time: its memory and its health check.
type watch struct {
	gateway *gateway
	before  int64 // resident at the start, in bytes
	peak    atomic.Int64
	well    atomic.Int64
	unwell  tally
	stop    chan struct{}
	done    sync.WaitGroup
}

// watchEvery is the time between two checks.
const watchEvery = 50 * time.Millisecond

func watchOver(t *testing.T, g *gateway) *watch {
	t.Helper()
	w := &watch{gateway: g, stop: make(chan struct{})}
	before, _, err := g.resident()
	if err != nil {
		t.Fatal(err)
	}
	w.before = before
	w.done.Go(func() { w.every(w.measure) })
	client := prober.client(g)
	w.done.Go(func() { w.every(func() { w.probe(client) }) })
	return w
}

// every repeats a function until the watch ends.
func (w *watch) every(do func()) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		do()
		select {
		case <-tick.C:
		case <-w.stop:
			return
		}
	}
}

// measure notes the memory of the process if it is a new maximum.
func (w *watch) measure() {
	now, _, err := w.gateway.resident()
	if err == nil && now > w.peak.Load() {
		w.peak.Store(now)
	}
}

// probe requests the health check on a new connection.
func (w *watch) probe(client *http.Client) {
	resp, err := client.Get("http://" + domain + "/healthz")
	if end := endOfResponse(resp, err); end != "204" {
		w.unwell.add(end)
		return
	}
	w.well.Add(1)
}

// end ends the watch. Its figures do not change afterwards.
func (w *watch) end() {
	select {
	case <-w.stop:
	default:
		close(w.stop)
	}
	w.done.Wait()
}

// judge logs what was seen, and fails the test if that exceeds the bounds.
func (w *watch) judge(t *testing.T) {
	t.Helper()
	w.end()
	figures := w.gateway.metrics(t, "go_gc_gomemlimit_bytes", "go_memstats_heap_inuse_bytes", "go_memstats_stack_inuse_bytes")
	after, high, err := w.gateway.resident()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("resident: %s before, %s at most, %s after (%s since the start); Go is held to %s, has %s of heap and %s of stacks",
		mib(float64(w.before)), mib(float64(w.peak.Load())), mib(float64(after)), mib(float64(high)),
		mib(figures[0]), mib(figures[1]), mib(figures[2]))
	if high >= memory {
		t.Errorf("the gateway had %s resident at most, want less than %s", mib(float64(high)), mib(memory))
	}
	if got := w.unwell.total(); got > 0 {
		t.Errorf("GET /healthz was not 204 for %d of %d: %s; want none", got, int64(got)+w.well.Load(), &w.unwell)
	}
	if w.well.Load() == 0 {
		t.Error("GET /healthz was never answered 204, want at least once")
	}
}
