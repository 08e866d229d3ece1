package reversehttp

import (
	"io"
	"runtime"
	"sync"
	"time"
)

// Slowness is not death. What is dead gives no sign of life, and nothing else is taken for that: no bound is on how long
// a whole request takes, only on how long none of it moves.
//
// A machine that is too busy to run this program is too busy to run what would hear a sign. So the time is counted in
// steps, and each step lets all other goroutines run before it counts.

const (
	patienceSteps = 8
	// How often a step gives way. What came has to be read, and often a second goroutine has to hear of it.
	stepRounds = 2
	// How slowly what was sent may arrive, in bytes a second: as slowly as the gateway lets it. What the system holds of
	// it on its way may be all of a request.
	leastRate = 1 << 10
)

// patience calls over when there was no sign of life for a time.
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

// begin counts anew. The caller holds p.mu.
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

// giveWay lets all that can run do so.
func giveWay() {
	for range stepRounds {
		runtime.Gosched()
	}
}

// count counts a step. It reports whether it was the last.
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

// renew notes a sign of life. The next one may take so long.
func (p *patience) renew(most time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		p.begin(most)
	}
}

// stop has over never called. It reports false if it was.
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

// moving is content whose reading is a sign of life.
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
