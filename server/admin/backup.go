package admin

import (
	"net/http"

	"reversehttp/schema"
	"reversehttp/server/problem"
)

// backup answers GET /backup with the store as it is at one moment. One is made at a time.
func (a *API) backup(w http.ResponseWriter, r *http.Request) {
	if a.Backup == nil {
		problem.New(schema.CodeNotFound, "This gateway keeps nothing: it has no --data.").Write(w, r)
		return
	}
	if !a.copying.TryLock() {
		problem.New(schema.CodeRateLimited, "Another backup is being made. Try again when it is.").Write(w, r)
		return
	}
	defer a.copying.Unlock()
	to := &begun{w: w}
	if err := a.Backup(to); err != nil {
		a.Log.Error("no backup was made", "error", err)
		if to.is {
			panic(http.ErrAbortHandler) // no clean end
		}
		problem.New(schema.CodeUnavailable, "The gateway cannot copy what it keeps now. Its log says why.").Write(w, r)
	}
}

// begun is the content of an answer, which has begun with its first bytes.
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
