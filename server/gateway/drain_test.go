package gateway

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/schema"
	"reversehttp/server/claim"
)

func TestAGatewayStopsGently(t *testing.T) {
	inWorld(t, Options{Limits: claim.Limits{Batch: 1}}, func(w *world) {
		one := w.claim("demo")
		running := w.visit(get(host, "/running"))
		synctest.Wait()
		waiting := w.visit(get(host, "/waiting"))
		synctest.Wait()
		r := one.next()
		var polls []*call
		for range 5 {
			p := w.claim("other")
			polls = append(polls, w.begin(w.request("GET", p.Requests, "t0", nil)))
		}
		if got := w.send("GET", "/readyz", "", nil); got.Status != 204 {
			t.Errorf("ready = %d, want 204", got.Status)
		}
		synctest.Wait()

		start := time.Now()
		stopped := make(chan time.Duration, 1)
		go func() {
			w.gateway.Drain(context.Background())
			stopped <- time.Since(start)
		}()
		synctest.Wait()
		if got := w.send("GET", "/readyz", "", nil); got.Status != 503 || got.code() != schema.CodeDraining {
			t.Errorf("ready = %d %s, want 503 draining", got.Status, got.code())
		}
		if got := w.send("GET", "/healthz", "", nil); got.Status != 204 {
			t.Errorf("health = %d, want 204: the process runs", got.Status)
		}
		for _, got := range []*reply{waiting.await(), w.ask(get(host, "/new"))} {
			if got.Status != 503 || got.code() != schema.CodeDraining || got.handed() != "?0" || got.Header.Get("Retry-After") == "" {
				t.Errorf("a visitor got %d %s %v, want 503 draining ?0", got.Status, got.Content, got.Header)
			}
		}
		if got := w.send("POST", "/claims", "", nil); got.Status != 503 || got.code() != schema.CodeDraining {
			t.Errorf("claim = %d %s, want 503 draining", got.Status, got.code())
		}
		for _, c := range polls {
			<-c.done
			if c.got.Status != 503 || c.got.code() != schema.CodeDraining || c.got.Header.Get("Retry-After") == "" {
				t.Errorf("a poll got %d %s, want 503 draining", c.got.Status, c.got.Content)
			}
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("polls ended within %s, want 2s", took)
		}
		time.Sleep(20 * time.Second)
		if !running.pending() {
			t.Fatal("what runs is ended early")
		}
		one.respond(schema.Response{ID: r.ID, Status: 200})
		if got := running.await(); got.Status != 200 {
			t.Errorf("what ran got %d, want 200", got.Status)
		}
		if took := <-stopped; took < 20*time.Second || took > 23*time.Second {
			t.Errorf("the gateway stopped after %s, want it once nothing runs", took)
		}
	})
}

func TestAGatewayDoesNotWaitForEver(t *testing.T) {
	for name, c := range map[string]struct {
		stop func(cancel context.CancelFunc)
		want time.Duration
	}{
		"its own time":    {func(context.CancelFunc) {}, 30 * time.Second},
		"a second signal": {func(cancel context.CancelFunc) { time.AfterFunc(3*time.Second, cancel) }, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, Options{}, func(w *world) {
				p := w.claim("demo")
				v := w.visit(get(host, "/"))
				p.next()
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				c.stop(cancel)
				start := time.Now()
				w.gateway.Drain(ctx)
				if took := time.Since(start); took != c.want {
					t.Errorf("drained after %s, want %s", took, c.want)
				}
				if got := v.await(); got.Status != 503 || got.code() != schema.CodeDraining || got.handed() != "" {
					t.Errorf("the visitor got %d %s %v, want 503 draining", got.Status, got.Content, got.Header)
				}
			})
		})
	}
}
