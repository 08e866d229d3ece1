package reversehttp

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// How many seconds a gateway may be silent on a connection on which it shows its life.
	quietSeconds = 10
	// A second in which something that was written may still be on its way, to be read before the gateway sees a need to
	// speak, does not count: so many bytes of it arrive in a second at least. But no more than so many seconds are excused.
	wireRate       = 16 << 10
	excusedSeconds = 60
)

// vigil judges whether the gateway is silent on a connection. It calls over, once, after quietSeconds.
type vigil struct {
	over  func()
	heard atomic.Bool  // in this second
	wrote atomic.Int64 // bytes in this second

	mu    sync.Mutex // guards what follows
	timer *time.Timer
	ended bool
}

// begin begins to listen.
func (v *vigil) begin(over func()) {
	v.over = over
	v.listen(0, 0, 0)
}

// end has over not called any more.
func (v *vigil) end() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.ended = true
	if v.timer != nil {
		v.timer.Stop()
	}
}

// listen listens for a second. So many seconds of silence have counted, so many were excused, and so many bytes may be on
// their way.
func (v *vigil) listen(quiet, excused int, owed int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ended {
		return
	}
	v.timer = time.AfterFunc(time.Second, func() {
		giveWay() // as a patience does
		owed = min(owed+v.wrote.Swap(0), wireRate*excusedSeconds)
		switch {
		case v.heard.Swap(false):
			quiet, excused = 0, 0
		case owed > 0 && excused < excusedSeconds:
			excused++
		default:
			quiet++
		}
		if quiet == quietSeconds {
			v.over()
			return
		}
		v.listen(quiet, excused, max(0, owed-wireRate))
	})
}
