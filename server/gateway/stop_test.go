package gateway

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/schema"
)

func TestConnectionsEndWithTheAnswerOnceTheGatewayStops(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		running := w.visit(get(host, "/"))
		r := p.next()
		v := w.dial(visitorAddr)
		ask := func() *reply {
			v.write(fmt.Appendf(nil, "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n"))
			return v.read("GET")
		}
		if got := ask(); got.Status != 204 {
			t.Errorf("before = %d, want 204", got.Status)
		}
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			w.gateway.Drain(context.Background())
		}()
		synctest.Wait()
		start := time.Now()
		if got := ask(); got.code() != schema.CodeDraining {
			t.Errorf("while it stops = %d %v, want 503 draining", got.Status, got.Header)
		}
		v.rest()
		if took := time.Since(start); took > 0 {
			t.Errorf("the connection lived on for %s", took)
		}
		p.respond(schema.Response{ID: r.ID, Status: 200})
		running.await()
		<-stopped
	})
}

func TestSettlingWaitsForVisitorsThatMayWaitForAnAnswer(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		settled := func() time.Duration {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			start := time.Now()
			w.gateway.Settle(ctx)
			return time.Since(start)
		}
		if took := settled(); took > 0 {
			t.Errorf("without connections it takes %s", took)
		}
		v := w.dial(visitorAddr)
		synctest.Wait()
		if took := settled(); took > 0 || !w.gateway.Awaits() {
			t.Errorf("with one that has sent nothing it takes %s, want none, and that a request is awaited", took)
		}
		for range 2 { // first new, then idle
			v.write(fmt.Appendf(nil, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"))
			v.read("GET")
			synctest.Wait()
			if took := settled(); took > 0 {
				t.Errorf("with an idle one it takes %s", took)
			}
		}
		p := w.claim("demo")
		v.write(fmt.Appendf(nil, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", host))
		r := p.next()
		if took := settled(); took != time.Second {
			t.Errorf("with an exchange it takes %s, want all its time", took)
		}
		p.respond(schema.Response{ID: r.ID, Status: 200})
		v.read("GET")
		_ = v.conn.Close()
		synctest.Wait()
		if took := settled(); took > 0 {
			t.Errorf("in the end it takes %s", took)
		}
	})
}
