package cluster

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
)

func TestHomesAreKilledAndHandlersAnswerOnce(t *testing.T) {
	t.Parallel()
	c := start(t)
	const visitors = 8
	var begun atomic.Int64
	var gate sync.Mutex
	held := 0 // handlers that wait
	waiting, release := make(chan struct{}), make(chan struct{})
	serve(t, c, "demo", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/held" {
			echo(w, r)
			return
		}
		begun.Add(1)
		gate.Lock()
		if held++; held == visitors {
			close(waiting)
		}
		let := release
		gate.Unlock()
		<-let
		echo(w, r)
	})
	for round := range 3 {
		c.answers(t, "demo", nil)
		gate.Lock()
		held, waiting, release = 0, make(chan struct{}), make(chan struct{})
		all, let := waiting, release
		gate.Unlock()
		begun.Store(0)
		home := c.home(t)
		var visiting sync.WaitGroup
		for i := range visitors {
			visiting.Go(func() {
				at := c.others(home)[i%2]
				sent := fmt.Sprintf("visitor %d of round %d", i, round)
				if status, got, err := post(at, c.URLOf("demo")+"held", sent); status != http.StatusOK || got != sent {
					t.Errorf("%s: %d %q, %v", sent, status, got, err)
				}
			})
		}
		<-all
		home.Kill()
		close(let)
		visiting.Wait()
		if n := begun.Load(); n != visitors {
			t.Errorf("round %d: handlers began %d times for %d POSTs", round, n, visitors)
		}
		c.answers(t, "demo", home)
		if err := home.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAPausedHomeIsReplacedAndComesBack(t *testing.T) {
	t.Parallel()
	c := start(t)
	serve(t, c, "demo", echo)
	c.answers(t, "demo", nil)
	home := c.home(t)
	home.Pause()
	c.answers(t, "demo", home)
	home.Resume()
	c.answers(t, "demo", nil)
	until(t, "one node keeps the claim", func() bool { return c.claims(nil) == 1 })
}
