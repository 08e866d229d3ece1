package family

import (
	"context"
	"net/http"
	"time"
)

// Programs of 2008 to 2016 know no gateway that stops. They take a 503 for the end, and
// never come back. So what they wait for ends as it does when nobody came, and those that
// ask again meanwhile wait for a moment first, so that they do not ask without end.

// linger is how long a program that asks while the gateway stops is held back.
const linger = time.Second

// pause waits for d, and reports whether ctx goes on.
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

// holdBack holds a program back that asked since a time, while the gateway stops. It does
// not return where the program has gone.
func holdBack(r *http.Request, since time.Time) {
	if !pause(r.Context(), linger-time.Since(since)) {
		panic(http.ErrAbortHandler) // nobody is there to be answered
	}
}
