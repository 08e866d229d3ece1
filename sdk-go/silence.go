package reversehttp

import (
	"context"
	"sync"
)

// silence is a time in which polls fail because nothing comes. Calls sent meanwhile may be on dead
// connections. The zero value is ready for use.
type silence struct {
	mu     sync.Mutex // guards what follows
	is     bool
	era    context.Context // ends with the allowed silence; nil if nothing was sent
	newEra context.CancelFunc
}

// begin notes that nothing comes.
func (q *silence) begin() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.is = true
}

// end notes that the gateway is there.
func (q *silence) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.is && q.era != nil {
		q.newEra()
		q.era, q.newEra = nil, nil
	}
	q.is = false
}

// sentNow returns the era of a call that may be sent twice.
func (q *silence) sentNow() context.Context {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.era == nil {
		q.era, q.newEra = context.WithCancel(context.Background())
	}
	return q.era
}
