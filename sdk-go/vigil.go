package reversehttp

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// How many seconds a gateway may be silent on a connection on which it shows its life. It does every 4 s, whatever comes.
	quietSeconds = 10
	// A second in which the connection does not take what is written does not count: the line is busy with what is before
	// it. But no more than so many seconds are excused.
	excusedSeconds = 10
)

// vigil judges whether the gateway is silent on a connection. It calls over, once, after quietSeconds.
type vigil struct {
	over  func()
	heard atomic.Bool // in this second
	waits atomic.Bool // a write does

	mu    sync.Mutex // guards what follows
	timer *time.Timer
	ended bool
}

// begin begins to listen.
func (v *vigil) begin(over func()) {
	v.over = over
	v.listen(0, 0)
}

// end prevents further calls of over.
func (v *vigil) end() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.ended = true
	if v.timer != nil {
		v.timer.Stop()
	}
}

// listen listens for a second. So many seconds of silence have counted, and so many were excused.
func (v *vigil) listen(quiet, excused int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ended {
		return
	}
	v.timer = time.AfterFunc(time.Second, func() {
		giveWay() // as a patience does
		switch {
		case v.heard.Swap(false):
			quiet, excused = 0, 0
		case v.waits.Load() && excused < excusedSeconds:
			excused++
		default:
			quiet++
		}
		if quiet == quietSeconds {
			v.over()
			return
		}
		v.listen(quiet, excused)
	})
}
