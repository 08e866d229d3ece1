package claim

import "time"

// lazyTimer is a timer that is not reset for every event. When it fires, its function checks
// whether anything is due, and arms it again if it fired early. The owner's mutex guards it.
type lazyTimer struct {
	timer *time.Timer
	armed bool
	due   time.Time // when it is to fire
	fire  func()
}

// arm starts the timer unless it is running.
func (t *lazyTimer) arm(d time.Duration) {
	if !t.armed {
		t.after(d)
	}
}

// after restarts the timer.
func (t *lazyTimer) after(d time.Duration) {
	d = max(d, 0)
	t.armed, t.due = true, time.Now().Add(d)
	if t.timer == nil {
		t.timer = time.AfterFunc(d, t.fire)
	} else {
		t.timer.Reset(d)
	}
}

// disarm notes that the timer fired.
func (t *lazyTimer) disarm() { t.armed = false }

// stop stops the timer.
func (t *lazyTimer) stop() {
	if t.timer != nil {
		t.timer.Stop()
	}
	t.armed = false
}
