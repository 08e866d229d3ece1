package claim

import (
	"sync"
	"time"
)

// waiter holds what a visitor waits with: a stopped timer, and news, a channel of capacity 1 that
// receives a value when something happens to the exchange. Waiters are reused, so news may hold a
// value of an earlier exchange.
type waiter struct {
	timer *time.Timer
	news  chan struct{}
}

// waiters is a pool of unused waiters.
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
