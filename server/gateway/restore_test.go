package gateway

import (
	"testing"
	"time"

	"reversehttp/schema"
	"reversehttp/server/claim"
)

func TestAVisitorWaitsWhileProgramsComeBackToARestartedGateway(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.gateway.Restore(claim.Record{Label: "demo", Token: claim.HashToken("t0"), Lease: time.Minute, Timeout: time.Minute, Redeliver: claim.RedeliverIdempotent})
		v := w.visit(get(host, "/"))
		time.Sleep(4 * time.Second)
		if !v.pending() {
			t.Fatalf("the visitor got %d %s, want them to wait", v.await().Status, v.await().Content)
		}
		one := w.claim("demo")
		one.respond(schema.Response{ID: one.next().ID, Status: 200})
		if got := v.await(); got.Status != 200 {
			t.Errorf("the visitor got %d %s, want 200", got.Status, got.Content)
		}
	})
}
