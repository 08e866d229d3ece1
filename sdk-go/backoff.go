package reversehttp

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	backoffFirst = 200 * time.Millisecond
	backoffMost  = 30 * time.Second
	// The longest wait that a gateway may ask for; beyond an hour a person should look.
	askedMost = time.Hour
)

// backoff says how long to wait before the next try: a random time up to a bound that doubles from
// 0.2 s to 30 s, so that programs do not all come back at once after a restart of the gateway. The
// zero value is ready for use.
type backoff struct {
	bound time.Duration
}

// next returns the wait: at least what the gateway asks for, plus jitter.
func (b *backoff) next(asked time.Duration) time.Duration {
	if b.bound == 0 {
		b.bound = backoffFirst
	}
	jitter := rand.N(b.bound)
	b.bound = min(2*b.bound, backoffMost)
	return min(asked, askedMost) + jitter
}

// reset restarts the backoff after a success.
func (b *backoff) reset() { b.bound = 0 }

// pause waits for d. It reports false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
