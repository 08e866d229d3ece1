package reversehttp

import (
	"io"
	"runtime"
	"sync"
	"time"
)

// Slowness is not death. Only the absence of any sign of life counts as death: there is no bound on
// how long a request takes, only on how long nothing of it moves.
//
// A machine that is too busy to run this program is also too busy to notice a sign of life. So the
// time is counted in steps, and before each step counts all other goroutines may run.

const (
	patienceSteps = 8
	// How often a step yields. What came has to be read, and often passed to a second goroutine.
	stepRounds = 2
	// The least rate in bytes a second at which sent content may arrive, as for the gateway. The
	// system may hold a whole request on its way.
	leastRate = 1 << 10
)

// patience calls over after a time without a sign of life.
type patience struct {
	over func()

	mu    sync.Mutex // guards what follows
	timer *time.Timer
	step  time.Duration
	due   time.Time // the next step
	left  int       // steps
	ended bool      // over was called, or is never to be
}

func newPatience(most time.Duration, over func()) *patience {
	p := &patience{over: over}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer = time.AfterFunc(most, p.tick)
	p.begin(most)
	return p
}

// begin restarts the count. The caller holds p.mu.
func (p *patience) begin(most time.Duration) {
	p.step, p.left = most/patienceSteps, patienceSteps
	p.next()
}

// next waits for the next step. The caller holds p.mu.
func (p *patience) next() {
	p.due = time.Now().Add(p.step)
	p.timer.Reset(p.step)
}

func (p *patience) tick() {
	giveWay()
	if p.count() {
		p.over()
	}
}

// giveWay lets all other runnable goroutines run.
func giveWay() {
	for range stepRounds {
		runtime.Gosched()
	}
}

// count counts a step and reports whether it was the last.
func (p *patience) count() (over bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended || time.Now().Before(p.due) { // it was renewed meanwhile
		return false
	}
	if p.left--; p.left > 0 {
		p.next()
		return false
	}
	p.ended = true
	return true
}

// renew notes a sign of life. The next one may take most.
func (p *patience) renew(most time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		p.begin(most)
	}
}

// stop prevents the call of over. It reports false if over was called.
func (p *patience) stop() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left <= 0 {
		return false
	}
	p.ended = true
	p.timer.Stop()
	return true
}

// moving is content of which every read is a sign of life.
type moving struct {
	io.ReadCloser
	moved func()
}

func (m moving) Read(p []byte) (int, error) {
	n, err := m.ReadCloser.Read(p)
	if n > 0 {
		m.moved()
	}
	return n, err
}
