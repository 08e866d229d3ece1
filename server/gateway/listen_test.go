package gateway

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/schema"
	"reversehttp/server/claim"
)

// A program that keeps its stream open but reads nothing is lost, however much is to be written to it.
func TestASessionThatReadsNothingIsLost(t *testing.T) {
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
		w.movesOn()
	})
}

// movesOn sends a visitor's request that the polling session of demo does not take; another session answers
// it once the first is lost.
func (w *world) movesOn() {
	w.t.Helper()
	v := w.visit(requestTo("PUT", host, "/", "Content-Length: 60000") + strings.Repeat("x", 60_000))
	again, start := w.claim("demo"), time.Now()
	r := again.next()
	if took := time.Since(start); r.Attempt != 2 || took > 30*time.Second {
		w.t.Errorf("attempt %d after %s, want the second once the session is lost", r.Attempt, took)
	}
	again.respond(schema.Response{ID: r.ID, Status: 204})
	if got := v.await(); got.Status != 204 {
		w.t.Errorf("answer = %d, want that of the other session", got.Status)
	}
}

// A program that reads a batch slowly is alive, however long that takes.
func TestASessionThatReadsABatchSlowlyIsAlive(t *testing.T) {
	inWorld(t, Options{Times: claim.Times{Answer: 10 * time.Minute}}, func(w *world) {
		p := w.claim("demo")
		v := w.visit(requestTo("POST", host, "/", "Content-Length: 60000") + strings.Repeat("x", 60_000))
		synctest.Wait()
		poll := p.dial(visitorAddr)
		poll.sendNow(get("localhost:8080", strings.TrimPrefix(p.Requests, p.origin()), "Accept: application/json", "Authorization: Bearer "+p.Token, "Last-Event-ID: "+p.Cursor))
		head, err := http.ReadResponse(poll.in, nil)
		if err != nil || head.StatusCode != 200 {
			t.Fatalf("poll: %v %v, want 200", head, err)
		}
		start, content := time.Now(), []byte(nil)
		for piece := make([]byte, 4<<10); err == nil; {
			var n int
			time.Sleep(4 * time.Second)
			n, err = head.Body.Read(piece)
			content = append(content, piece[:n]...)
		}
		if len(content) < 60_000 || err != io.EOF || time.Since(start) < time.Minute {
			t.Fatalf("%d bytes and %v after %s, want a batch of 60,000 after a minute", len(content), err, time.Since(start))
		}
		var b struct{ Messages []schema.Request }
		if err := json.Unmarshal(content, &b); err != nil || len(b.Messages) != 1 {
			t.Fatalf("batch: %v %+v", err, b)
		}
		r := b.Messages[0]
		p.respond(schema.Response{ID: r.ID, Status: 204})
		if got := v.await(); got.Status != 204 || r.Attempt != 1 {
			t.Errorf("answer = %d at attempt %d, want 204 at the first", got.Status, r.Attempt)
		}
	})
}
