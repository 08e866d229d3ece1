package control

import (
	"context"
	"io"
	"net/http"
	"strconv"

	"github.com/go-chi/chi/v5"

	"reversehttp/server/field"
	"reversehttp/server/problem"
	"reversehttp/server/wire"
)

// chunk is how many bytes of content are copied at a time.
const chunk = 32 << 10

// mostChunk is the most bytes that are copied at a time when much content comes.
const mostChunk = 128 << 10

// Fetch answers GET {bodyUrl}: the content of a request as the visitor sends it.
func Fetch(w http.ResponseWriter, r *http.Request) {
	s := SessionOf(r)
	content, err := s.Delivery(chi.URLParam(r, "exchange")).Fetch()
	if err != nil {
		problem.Of(err).Write(w, r)
		return
	}
	defer s.Work(r.Context())()
	in := content.Open()
	defer context.AfterFunc(r.Context(), func() { _ = in.Close() })()
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	// It is a stranger's content on the control origin.
	h.Set("Content-Type", "application/octet-stream")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "sandbox")
	// A proxy that buffers would delay a WebSocket's messages, and uploads.
	h.Set("X-Accel-Buffering", "no")
	h[field.Incremental] = []string{"?1"}
	if n := content.Length(); n >= 0 {
		h.Set("Content-Length", strconv.FormatInt(n, 10))
	}
	w.WriteHeader(http.StatusOK)
	rc := http.NewResponseController(w)
	_ = rc.Flush()
	buf := make([]byte, chunk)
	for {
		n, err := in.Read(buf)
		if n > 0 {
			wire.BoundWrite(w, n)
			if _, err := w.Write(buf[:n]); err != nil {
				return
			}
			_ = rc.Flush()
		}
		if n == len(buf) && n < mostChunk { // more is waiting
			buf = make([]byte, 2*n)
		}
		switch {
		case err == io.EOF:
			wire.BoundWrite(w, 0) // the content may have ended long after the last write
			for _, f := range content.Trailers() {
				h.Add(http.TrailerPrefix+f.Name, f.Value)
			}
			return
		case err != nil:
			panic(http.ErrAbortHandler) // no clean end
		}
	}
}
