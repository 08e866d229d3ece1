package cluster

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"
)

func TestOneOfTwoProgramsGetsALabel(t *testing.T) {
	t.Parallel()
	c := start(t)
	const labels = 50
	var got [labels][2]int
	var racing sync.WaitGroup
	for i := range labels {
		label := fmt.Sprintf("label-%d", i)
		for racer := range 2 {
			racing.Go(func() {
				at := c.All[(i+racer)%len(c.All)]
				for range 600 {
					status, _, err := claimAt(t.Context(), at, label, fmt.Sprintf("token-of-racer-%d", racer), 600)
					if err != nil {
						t.Error(err)
					}
					if got[i][racer] = status; status != http.StatusServiceUnavailable {
						return
					}
					time.Sleep(100 * time.Millisecond) // NATS is busy
				}
			})
		}
	}
	racing.Wait()
	for i, both := range got {
		if both != [2]int{http.StatusCreated, http.StatusForbidden} && both != [2]int{http.StatusForbidden, http.StatusCreated} {
			t.Errorf("label-%d: %v, want one 201 and one 403", i, both)
		}
	}
	if n := c.claims(nil); n != labels {
		t.Errorf("the nodes keep %v claims, want %d", n, labels)
	}
}

func TestALeaseEndsThoughItsHomeIsDead(t *testing.T) {
	t.Parallel()
	c := start(t)
	home := c.All[0]
	const labels = 6 // so that each survivor inherits some
	for i := range labels {
		if status, code, err := claimAt(t.Context(), home, fmt.Sprintf("label-%d", i), token, 5); status != http.StatusCreated {
			t.Fatal(status, code, err)
		}
	}
	home.Kill()
	inherited := func() (n float64) {
		for _, other := range c.others(home) {
			n += other.takeovers("inherited")
		}
		return n
	}
	until(t, "the survivors inherit all claims", func() bool { return inherited() == labels })
	until(t, "the leases end", func() bool { return c.claims(home) == 0 })
	for i := range labels {
		at := c.others(home)[i%2]
		if status, code, err := claimAt(t.Context(), at, fmt.Sprintf("label-%d", i), "another-token-of-the-test", 60); status != http.StatusCreated {
			t.Errorf("label-%d after its lease, at %s: %d %s, %v, want 201", i, at.Name, status, code, err)
		}
	}
}
