package gateway

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/schema"
	"reversehttp/server/claim"
)

// A program that keeps its stream open and takes nothing in is lost, however much
// was to be written to it.
func TestASessionThatTakesNothingIsLost(t *testing.T) {
	inWorld(t, Options{Times: claim.Times{Answer: 10 * time.Minute}}, func(w *world) {
		p := w.claim("demo")
		frozen := p.dial(visitorAddr)
		frozen.sendNow(get("localhost:8080", strings.TrimPrefix(p.Requests, p.origin()), "Accept: application/x-ndjson", "Authorization: Bearer "+p.Token, "Last-Event-ID: "+p.Cursor))
		head, err := http.ReadResponse(frozen.in, nil)
		if err != nil || head.StatusCode != 200 {
			t.Fatalf("stream: %v %v, want 200", head, err)
		}
		if _, err := head.Body.Read(make([]byte, 1)); err != nil {
			t.Fatalf("heartbeat: %v", err)
		}
		synctest.Wait()
		v := w.visit(requestTo("PUT", host, "/", "Content-Length: 60000") + strings.Repeat("x", 60_000))
		again, start := w.claim("demo"), time.Now()
		r := again.next()
		if took := time.Since(start); r.Attempt != 2 || took > 30*time.Second {
			t.Errorf("attempt %d after %s, want the second once the session is lost", r.Attempt, took)
		}
		again.respond(schema.Response{ID: r.ID, Status: 204})
		if got := v.await(); got.Status != 204 {
			t.Errorf("answer = %d, want that of the other session", got.Status)
		}
	})
}
