package family

import (
	"context"
	"net/http"
	"time"
)

// Programs of 2008 to 2016 do not know that a gateway may stop. They take a 503 for the end and
// never come back. So their polls end as if no request had come, and a program that polls again
// meanwhile is delayed a little, so that it does not poll in a tight loop.

// linger is how long a program that polls while the gateway stops is delayed.
const linger = time.Second

// pause waits for d and reports whether ctx is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// holdBack delays a program that has polled since a time, while the gateway stops. If the program
// has gone it panics with [http.ErrAbortHandler].
func holdBack(r *http.Request, since time.Time) {
	if !pause(r.Context(), linger-time.Since(since)) {
		panic(http.ErrAbortHandler) // nobody is there to be answered
	}
}
