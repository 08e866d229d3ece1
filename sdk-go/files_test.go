package reversehttp_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"reversehttp/schema/vectors"
)

// Go programs have net/http for what serveFile does in sdk-js; the same cases show that the two agree.
func TestServeContentAnswersAsServeFileOfTheOtherSDK(t *testing.T) {
	for _, c := range vectors.Files() {
		if !c.In("net/http") {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			f := c.Served()
			r := httptest.NewRequest(c.Request.Method, "/", nil)
			for _, field := range c.Request.Headers {
				r.Header.Add(field[0], field[1])
			}
			w := httptest.NewRecorder()
			w.Header().Set("Content-Type", f.Type)
			if f.ETag != "" {
				w.Header().Set("ETag", f.ETag)
			}
			var modified time.Time
			if f.ModifiedMs != 0 {
				modified = time.UnixMilli(f.ModifiedMs)
			}
			http.ServeContent(w, r, "", modified, bytes.NewReader(f.Bytes()))
			if d := c.Received.Diff(w.Result()); d != "" {
				t.Errorf("%s: %s", c.Why, d)
			}
		})
	}
}
