package gateway

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/schema"
	"reversehttp/server/claim"
)

// stops drains the gateway, and returns a channel that is closed once it has stopped.
func (w *world) stops() (stopped chan struct{}) {
	stopped = make(chan struct{})
	go func() {
		defer close(stopped)
		w.gateway.Drain(context.Background())
	}()
	synctest.Wait()
	return stopped
}

func TestAGatewayStopsGently(t *testing.T) {
	closed := make(chan time.Time, 1)
	inWorld(t, Options{Limits: claim.Limits{Batch: 1}, ClosePort: func() { closed <- time.Now() }}, func(w *world) {
		one := w.claim("demo")
		running := w.visit(get(host, "/running"))
		synctest.Wait()
		waiting := w.visit(get(host, "/waiting"))
		synctest.Wait()
		r := one.next()
		if got := w.send("GET", "/readyz", "", nil); got.Status != 204 {
			t.Errorf("ready = %d, want 204", got.Status)
		}
		synctest.Wait()

		start := time.Now()
		stopped := w.stops()
		if got := w.send("GET", "/readyz", "", nil); got.Status != 503 || got.code() != schema.CodeDraining {
			t.Errorf("ready = %d %s, want 503 draining", got.Status, got.code())
		}
		if got := w.send("GET", "/healthz", "", nil); got.Status != 204 {
			t.Errorf("health = %d, want 204: the process runs", got.Status)
		}
		if got := w.send("POST", "/claims", "", nil); got.Status != 201 {
			t.Errorf("claim = %d %s, want 201 as long as visitors are accepted", got.Status, got.Content)
		}
		fresh := w.visit(get(host, "/new"))
		for _, v := range []*visitor{waiting, fresh} {
			r := one.next()
			one.respond(schema.Response{ID: r.ID, Status: 200})
			if got := v.await(); got.Status != 200 {
				t.Errorf("a visitor got %d %s, want 200 while the program is there", got.Status, got.Content)
			}
		}
		var polls []*call
		for range 5 {
			p := w.claim("other")
			polls = append(polls, w.begin(w.request("GET", p.Requests, "t0", nil)))
		}
		time.Sleep(20 * time.Second)
		if !running.pending() || len(closed) > 0 {
			t.Fatal("running exchanges, or the port, ended early")
		}
		one.respond(schema.Response{ID: r.ID, Status: 200})
		if got := running.await(); got.Status != 200 {
			t.Errorf("a running exchange got %d, want 200", got.Status)
		}
		for _, c := range polls {
			<-c.done
			if c.got.Status != 503 || c.got.code() != schema.CodeDraining || c.got.Header.Get("Retry-After") == "" {
				t.Errorf("a poll got %d %s, want 503 draining", c.got.Status, c.got.Content)
			}
		}
		<-stopped
		if took := time.Since(start); len(closed) != 1 || took < 20*time.Second || took > 20*time.Second+100*time.Millisecond {
			t.Errorf("the gateway stopped after %s, and closed its port %d times, want both once nothing runs", took, len(closed))
		}
		if got := w.ask(get(host, "/late")); got.Status != 503 || got.code() != schema.CodeDraining || got.handed() != "?0" || got.Header.Get("Retry-After") == "" {
			t.Errorf("a later visitor got %d %s %v, want 503 draining ?0", got.Status, got.Content, got.Header)
		}
		if got := w.send("POST", "/claims", "", nil); got.Status != 503 || got.code() != schema.CodeDraining {
			t.Errorf("claim = %d %s, want 503 draining", got.Status, got.code())
		}
	})
}

// A load balancer that polls every few seconds has time to see that the gateway is not ready.
func TestThePortStaysOpenForTheDelay(t *testing.T) {
	closed := make(chan time.Time, 1)
	inWorld(t, Options{DrainDelay: 10 * time.Second, ClosePort: func() { closed <- time.Now() }}, func(w *world) {
		p := w.claim("demo")
		start := time.Now()
		stopped := w.stops()
		time.Sleep(9 * time.Second)
		v := w.visit(get(host, "/"))
		r := p.next()
		p.respond(schema.Response{ID: r.ID, Status: 200})
		if got := v.await(); got.Status != 200 {
			t.Errorf("a visitor within the delay got %d", got.Status)
		}
		<-stopped
		if took := (<-closed).Sub(start); took < 10*time.Second || took > 11*time.Second {
			t.Errorf("the port closed after %s, want 10 s", took)
		}
	})
}

// When the port closes, part of the time to drain is left for running exchanges.
func TestThePortClosesBeforeTheEndOfTheTime(t *testing.T) {
	closed := make(chan time.Time, 1)
	inWorld(t, Options{ClosePort: func() { closed <- time.Now() }}, func(w *world) {
		p := w.claim("demo")
		v := w.visit(get(host, "/"))
		r := p.next()
		start := time.Now()
		stopped := w.stops()
		time.Sleep(29 * time.Second)
		p.respond(schema.Response{ID: r.ID, Status: 200})
		if got, took := v.await(), (<-closed).Sub(start); got.Status != 200 || took != 28*time.Second {
			t.Errorf("what ran got %d, and the port closed after %s, want 200 and 28 s", got.Status, took)
		}
		<-stopped
	})
}

// Visitors reconnect elsewhere, while programs keep their connections for answers.
func TestAnswersOfAGatewayThatStopsEndTheConnectionsOfVisitors(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		running := w.visit(get(host, "/"))
		first := p.next()
		stopped := w.stops()
		v := w.dial(visitorAddr)
		v.write([]byte("GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n"))
		r := p.next()
		p.respond(schema.Response{ID: r.ID, Status: 200})
		if got := v.read("GET"); got.Status != 200 {
			t.Errorf("a visitor got %d", got.Status)
		}
		v.rest()
		program := w.dial(visitorAddr)
		for range 2 {
			program.write([]byte("GET " + strings.TrimPrefix(p.Requests, w.origin()) + " HTTP/1.1\r\nHost: localhost:8080\r\nAuthorization: Bearer t0\r\nPrefer: wait=0\r\n\r\n"))
			if got := program.read("GET"); got.Status != 204 || got.Err != nil {
				t.Fatalf("a program got %d %v, want to keep its connection", got.Status, got.Err)
			}
		}
		p.respond(schema.Response{ID: first.ID, Status: 200})
		running.await()
		<-stopped
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
