package gateway

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/schema"
)

func TestAVisitorWhoTakesNothingHoldsABoundedAnswerForAWhile(t *testing.T) {
	inWorld(t, Options{HeldBytes: 35_000}, func(w *world) {
		p := w.claim("demo")
		body := strings.Repeat("a", 20_000)
		deaf := w.dial(visitorAddr)
		deaf.write([]byte(get(host, "/deaf")))
		p.respond(schema.Response{ID: p.next().ID, Status: 200, Body: &body})
		synctest.Wait()
		if held := w.gateway.answers.held.Load(); held != 20_000 {
			t.Errorf("held = %d bytes, want 20000", held)
		}

		v := w.visit(get(host, "/"))
		r := p.next()
		answer := schema.Response{Type: schema.TypeResponse, ID: r.ID, Status: 200, Body: &body}
		got := p.send("POST", p.Responses, p.Token, answer)
		if got.Status != 503 || got.code() != schema.CodeQueueFull || got.Header.Get("Retry-After") == "" {
			t.Errorf("answer beyond the bound = %d %s, want 503 queue_full", got.Status, got.Content)
		}

		go p.keep()
		time.Sleep(55 * time.Second)
		if held := w.gateway.answers.held.Load(); held != 0 {
			t.Errorf("held = %d bytes after the visitor took nothing for a while, want 0", held)
		}
		p.respond(answer)
		if got := v.await(); got.Status != 200 || len(got.Content) != len(body) {
			t.Errorf("visitor got %d and %d bytes, want 200 and %d", got.Status, len(got.Content), len(body))
		}
		synctest.Wait()
		if held := w.gateway.answers.held.Load(); held != 0 {
			t.Errorf("held = %d bytes at the end, want 0", held)
		}
	})
}

func TestTooManyMessagesAreCountedBeforeTheyAreKept(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		for _, one := range []string{"0,", "{},"} {
			raw := `{"messages":[` + strings.Repeat(one, 100_000) + `0]}`
			if allocated := testing.AllocsPerRun(1, func() { _, _ = decode([]byte(raw), 64) }); allocated > 5_000 {
				t.Errorf("%d bytes of %s made %.0f allocations, want few", len(raw), one, allocated)
			}
			got := p.send("POST", p.Responses, p.Token, json.RawMessage(raw))
			if got.Status != 400 || got.code() != schema.CodeBadMember {
				t.Errorf("%s = %d %s, want 400 bad_member", one, got.Status, got.Content)
			}
		}
	})
}
