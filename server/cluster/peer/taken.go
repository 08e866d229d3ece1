package peer

import (
	"sync"
	"time"
)

// takenTime is how long an entry may take to say that it has the beginning of a response. It is longer than
// noteTime, since only a program that has sent its answer waits.
const takenTime = 5 * time.Second

// taken is whether an entry has the beginning of a response, as far as its home knows. The zero value is
// that this is not known.
type taken struct {
	mu    sync.Mutex // guards below
	known bool
	is    bool
	waits []func(bool)
	late  *time.Timer // nil until somebody waits
}

// await calls f once it is known whether the entry has the beginning. After a while, silence is a no.
func (t *taken) await(f func(bool)) {
	t.mu.Lock()
	known, is := t.known, t.is
	if !known {
		t.waits = append(t.waits, f)
		if t.late == nil {
			t.late = time.AfterFunc(takenTime, func() { t.settle(false) })
		}
	}
	t.mu.Unlock()
	if known {
		f(is)
	}
}

// settle makes it known. Only the first call counts.
func (t *taken) settle(is bool) {
	t.mu.Lock()
	if t.known {
		t.mu.Unlock()
		return
	}
	t.known, t.is = true, is
	waits := t.waits
	t.waits = nil
	if t.late != nil {
		t.late.Stop()
	}
	t.mu.Unlock()
	for _, f := range waits {
		f(is)
	}
}
