package reversehttp

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestAPatienceEndsAfterASilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		over := make(chan time.Duration, 2)
		p := newPatience(time.Minute, func() { over <- time.Since(begun) })
		time.Sleep(50 * time.Second)
		p.renew(20 * time.Second)
		time.Sleep(15 * time.Second)
		p.renew(30 * time.Second)
		if got, want := <-over, 95*time.Second; got != want {
			t.Errorf("over after %v, want %v", got, want)
		}
		p.renew(time.Second)
		if p.stop() {
			t.Error("stop = true after it was over")
		}
		q := newPatience(time.Minute, func() { over <- 0 })
		if !q.stop() {
			t.Error("stop = false before it was over")
		}
		q.renew(time.Second)
		time.Sleep(time.Hour)
		if len(over) > 0 {
			t.Error("over is called again, or after stop")
		}
	})
}

// While no goroutine can run, silence does not count.
func TestAPatienceWaitsWhileGoroutinesAreStarved(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var over, done atomic.Bool
	var busy sync.WaitGroup
	for range 10 {
		busy.Go(func() {
			for !done.Load() {
			}
		})
	}
	p := newPatience(8*time.Millisecond, func() { over.Store(true) })
	for range 10 {
		runtime.Gosched() // returns when all others have run
		p.renew(8 * time.Millisecond)
	}
	done.Store(true)
	busy.Wait()
	if !p.stop() || over.Load() {
		t.Error("it is over, though there were signs of life whenever there could be")
	}
}
