package claim

import (
	"sync"
	"time"
)

// waiter is what a visitor waits with: a timer that is stopped, and news, of one place, which says that
// something has happened to the exchange. Waiters are used again, so news may be of an exchange before.
type waiter struct {
	timer *time.Timer
	news  chan struct{}
}

// waiters are those that nobody waits with.
type waiters struct{ sync.Pool }

func (w *waiters) get() *waiter {
	if one, ok := w.Get().(*waiter); ok {
		return one
	}
	timer := time.NewTimer(ages)
	timer.Stop()
	return &waiter{timer, make(chan struct{}, 1)}
}

func (w *waiters) put(one *waiter) {
	one.timer.Stop()
	w.Put(one)
}
