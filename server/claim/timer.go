package claim

import "time"

// lazyTimer is a timer that is not stopped and started for each event: when it
// fires, its function looks whether there is anything to do, and arms it again
// where it fired early. The owner's mutex guards it.
type lazyTimer struct {
	timer *time.Timer
	armed bool
	due   time.Time // when it is to fire
	fire  func()
}

// arm starts it, unless it runs.
func (t *lazyTimer) arm(d time.Duration) {
	if !t.armed {
		t.after(d)
	}
}

// after starts it anew.
func (t *lazyTimer) after(d time.Duration) {
	d = max(d, 0)
	t.armed, t.due = true, time.Now().Add(d)
	if t.timer == nil {
		t.timer = time.AfterFunc(d, t.fire)
	} else {
		t.timer.Reset(d)
	}
}

// disarm notes that it fired and does not run.
func (t *lazyTimer) disarm() { t.armed = false }

// stop ends it.
func (t *lazyTimer) stop() {
	if t.timer != nil {
		t.timer.Stop()
	}
	t.armed = false
}
