package gateway

import (
	"testing"
	"time"

	"reversehttp/schema"
	"reversehttp/server/claim"
)

func TestAVisitorWaitsWhileProgramsComeBackToARestartedGateway(t *testing.T) {
	records := claim.NewMemoryRecords()
	record := claim.Record{Label: "demo", Token: claim.HashToken("t0"), Terms: claim.Terms{Lease: time.Minute, Timeout: time.Minute, Redeliver: claim.RedeliverIdempotent}}
	revision, err := records.Create(t.Context(), record)
	if err != nil {
		t.Fatal(err)
	}
	inWorld(t, Options{Records: records, Kept: []claim.Kept{{Record: record, Revision: revision}}}, func(w *world) {
		v := w.visit(get(host, "/"))
		time.Sleep(4 * time.Second)
		if !v.pending() {
			t.Fatalf("the visitor got %d %s, want that they wait", v.await().Status, v.await().Content)
		}
		one := w.claim("demo")
		one.respond(schema.Response{ID: one.next().ID, Status: 200})
		if got := v.await(); got.Status != 200 {
			t.Errorf("the visitor got %d %s, want 200", got.Status, got.Content)
		}
	})
}
