package family

import (
	"errors"
	"time"

	"reversehttp/server/claim"
	"reversehttp/server/door"
)

// trusts returns how the connection may be used for a message. Only a message that may not be
// repeated needs a connection that is certainly open.
func (t *turned) trusts(m *claim.Message) trust {
	t.mu.Lock()
	last := t.last
	t.mu.Unlock()
	if !t.alone || last.IsZero() || m.MayRepeat {
		return use
	}
	return t.habit.trusts(time.Since(last))
}

// settles waits until settle has passed since the connection's last answer, and reports whether the
// connection is still open.
func (t *turned) settles(f *feed) bool {
	t.mu.Lock()
	last := t.last
	t.mu.Unlock()
	if !t.alone || last.IsZero() {
		return true
	}
	settled := make(chan struct{})
	timer := time.AfterFunc(time.Until(last.Add(settle)), func() { close(settled) })
	defer timer.Stop()
	if _, err := f.Next(t.broken, settled); err != nil {
		return false
	}
	t.habit.kept()
	return true
}

// begin notes that an exchange is handed over. It reports false if there is no room for it.
func (t *turned) begin() bool {
	t.mu.Lock()
	room := t.open < t.most
	if room {
		t.open++
	}
	t.mu.Unlock()
	if !room {
		return false
	}
	if t.client.Reserve() != nil {
		t.count(-1)
		return false
	}
	t.mu.Lock()
	t.resting = false
	t.mu.Unlock()
	return true
}

// rested notes that the connection has answered.
func (t *turned) rested() {
	if !t.alone {
		return
	}
	t.mu.Lock()
	again := !t.last.IsZero()
	t.last, t.resting = time.Now(), true
	parting := t.parting
	t.mu.Unlock()
	switch {
	case parting:
	case t.client.Err() != nil: // it may have been closed earlier
		t.habit.closed(0)
	case again:
		t.habit.kept()
	}
}

// part notes that the program or the gateway announced the end of the connection.
func (t *turned) part() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.parting = true
}

// lost notes that the connection takes no more requests.
func (t *turned) lost() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.resting && !t.parting {
		t.habit.closed(time.Since(t.last))
	}
}

// lostAgain notes that a connection which had answered before was lost with a request, before
// anything of its response came.
func (t *turned) lostAgain(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.alone && !t.last.IsZero() && !errors.Is(err, door.ErrGarbled) {
		t.habit.closed(0)
	}
}
