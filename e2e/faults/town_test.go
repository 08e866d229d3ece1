package faults

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// town holds the programs of a test, each behind a proxy of its own.
type town struct {
	t       *testing.T
	g       *gateway
	l       *ledger
	proxies []*proxy

	programs []*program
	born     []int
	logs     string
}

// startTown starts programs that serve [mine], and waits until all do. weather returns the faults between program i
// and the gateway.
func startTown(t *testing.T, g *gateway, l *ledger, weather func(i int) weather) *town {
	t.Helper()
	w := &town{t: t, g: g, l: l, programs: make([]*program, programs), born: make([]int, programs)}
	t.Cleanup(func() {
		if logs := w.close(); logs != "" {
			t.Errorf("programs log:\n%s", logs)
		}
	})
	for i := range programs {
		p := startProxy(t, g.address, weather(i).plan)
		w.proxies = append(w.proxies, p)
		p.calm.Store(true)
		w.start(i)
	}
	w.awaitPolls()
	for _, p := range w.proxies {
		p.calm.Store(false)
	}
	return w
}

// fair is weather without faults.
func fair(int) weather { return weather{} }

// awaitPolls waits until every program polls.
func (w *town) awaitPolls() {
	w.t.Helper()
	until(w.t, "every program polls", func() bool { return w.g.metrics()["reversehttp_polls_parked"] == programs })
}

func (w *town) start(i int) {
	w.born[i]++
	w.programs[i] = startProgram(w.t, w.g, w.proxies[i], mine, fmt.Sprintf("p%d.%d", i, w.born[i]), transportOf(i), w.l.hear)
}

// kill ends a program as kill -9 does.
func (w *town) kill(i int) {
	w.l.killed()
	w.logs += w.programs[i].kill()
	w.programs[i] = nil
}

// trouble kills and restarts programs at random times. stop ends that, and returns how many were killed.
func (w *town) trouble(seed uint64) (stop func() int) {
	over, ended, killed := make(chan struct{}), make(chan struct{}), 0
	r := random(seed, "trouble", 0)
	go func() {
		defer close(ended)
		for pause(r, killMost, over) {
			i := r.IntN(programs)
			w.kill(i)
			killed++
			pause(r, killMost/4, over)
			w.start(i)
		}
	}()
	return func() int {
		close(over)
		<-ended
		return killed
	}
}

// pause waits for a random time up to most. It returns false at once when over closes.
func pause(r *rand.Rand, most time.Duration, over <-chan struct{}) bool {
	select {
	case <-time.After(time.Duration(r.Int64N(int64(most)))):
		return true
	case <-over:
		return false
	}
}

// close ends the programs, and returns the logs of all of them. It may be called again.
func (w *town) close() (logs string) {
	for _, p := range w.programs {
		if p != nil {
			w.logs += p.kill()
		}
	}
	clear(w.programs)
	return w.logs
}
