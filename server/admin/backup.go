package admin

import (
	"net/http"

	"reversehttp/schema"
	"reversehttp/server/problem"
)

// backup answers GET /backup with a snapshot of the store. It makes one at a time.
func (a *API) backup(w http.ResponseWriter, r *http.Request) {
	if a.Backup == nil {
		problem.New(schema.CodeNotFound, "This gateway stores nothing: it runs without --data.").Write(w, r)
		return
	}
	if !a.copying.TryLock() {
		problem.New(schema.CodeRateLimited, "Another backup is in progress. Try again later.").Write(w, r)
		return
	}
	defer a.copying.Unlock()
	to := &begun{w: w}
	if err := a.Backup(to); err != nil {
		a.Log.Error("backup failed", "error", err)
		if to.is {
			panic(http.ErrAbortHandler) // no clean end
		}
		problem.New(schema.CodeUnavailable, "The gateway cannot make a backup now. Its log says why.").Write(w, r)
	}
}

// begun is the content of an answer. It notes whether the answer has begun.
type begun struct {
	w  http.ResponseWriter
	is bool
}

// Write writes content.
func (b *begun) Write(p []byte) (int, error) {
	if !b.is {
		b.w.Header().Set("Content-Type", "application/octet-stream")
		b.is = true
	}
	return b.w.Write(p)
}
