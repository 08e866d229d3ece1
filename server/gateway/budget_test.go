package gateway

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/schema"
	"reversehttp/server/answer"
	"reversehttp/server/budget"
	"reversehttp/server/claim"
)

// held returns how many bytes the gateway holds.
func (w *world) held() int { return int(w.gateway.registry.Options().Budget.Held(budget.Memory)) }

func TestAVisitorWhoReadsNothingHoldsABoundedAnswerForAWhile(t *testing.T) {
	inWorld(t, Options{Limits: claim.Limits{Memory: 2 << 20}}, func(w *world) {
		p := w.claim("demo")
		synctest.Wait()
		body, before := strings.Repeat("a", 200_000), w.held()
		deaf := w.dial(visitorAddr)
		deaf.write([]byte(get(host, "/deaf")))
		p.respond(schema.Response{ID: p.next().ID, Status: 200, Body: &body})
		synctest.Wait()
		if held := w.held() - before; held < len(body) || held > len(body)+20_000 {
			t.Errorf("held = %d bytes, want %d and the weight of a request", held, len(body))
		}

		v := w.visit(get(host, "/"))
		r := p.next()
		huge := strings.Repeat("b", 900_000)
		answer := schema.Response{Type: schema.TypeResponse, ID: r.ID, Status: 200, Body: &huge}
		got := p.send("POST", p.Responses, p.Token, answer)
		if got.Status != 503 || got.code() != schema.CodeQueueFull || got.Header.Get("Retry-After") == "" {
			t.Errorf("answer beyond the bound = %d %s, want 503 queue_full", got.Status, got.Content)
		}

		go p.keep()
		time.Sleep(55 * time.Second)
		answer.Body = &body
		p.respond(answer)
		if got := v.await(); got.Status != 200 || len(got.Content) != len(body) {
			t.Errorf("visitor got %d and %d bytes, want 200 and %d", got.Status, len(got.Content), len(body))
		}
		time.Sleep(60 * time.Second)
		if held := w.held(); held > before+20_000 {
			t.Errorf("held = %d bytes at the end, want about %d", held, before)
		}
	})
}

func TestAnnouncedContentHoldsNothing(t *testing.T) {
	inWorld(t, Options{Limits: claim.Limits{Memory: 8 << 20}}, func(w *world) {
		hog, p := w.claim("hog"), w.claim("demo")
		for range 16 {
			v := w.dial("198.51.100.1:1")
			v.write([]byte("POST " + strings.TrimPrefix(hog.Responses, w.gateway.Public().Control[:len(w.gateway.Public().Control)-1]) + " HTTP/1.1\r\nHost: localhost:8080\r\nAuthorization: Bearer " + hog.Token +
				"\r\nContent-Type: application/json\r\nContent-Length: 16777216\r\n\r\n" + strings.Repeat(" ", 3_000)))
		}
		synctest.Wait()
		if held := w.held(); held > 16*(8<<10+64<<10+8<<10) {
			t.Errorf("held = %d bytes of 48,000 that came, want at most %d for each request", held, 64<<10)
		}
		v := w.visit(get(host, "/"))
		body := strings.Repeat("a", 100_000)
		p.respond(schema.Response{ID: p.next().ID, Status: 200, Body: &body})
		if got := v.await(); got.Status != 200 || len(got.Content) != len(body) {
			t.Errorf("visitor of another claim got %d and %d bytes, want 200 and %d", got.Status, len(got.Content), len(body))
		}
	})
}

func TestSlowVisitorsMakeRoomForOthers(t *testing.T) {
	for name, framing := range map[string]string{"stated": "Content-Length: 1000000", "chunked": "Transfer-Encoding: chunked", "inline": "Content-Length: 60000"} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, Options{Limits: claim.Limits{Queue: 4}}, func(w *world) {
				p := w.claim("demo")
				var slow []*visitor
				for i := range 4 {
					v := w.dial(fmt.Sprintf("198.51.100.%d:1", i))
					v.write([]byte(requestTo("POST", host, "/slow", framing) + "8\r\naaaaaaaa\r\n"))
					slow = append(slow, v)
					time.Sleep(time.Second)
				}
				if name != "inline" {
					for _, r := range p.poll() {
						fetched := p.fetch(r)
						_, _ = io.ReadFull(fetched.Body, make([]byte, 8))
						time.Sleep(time.Second)
					}
				}
				time.Sleep(2 * time.Second)
				v := w.visit(get(host, "/"))
				r := p.next()
				p.respond(schema.Response{ID: r.ID, Status: 200})
				if got := v.await(); got.Status != 200 {
					t.Fatalf("an honest visitor got %d %s, want 200", got.Status, got.Content)
				}
				got := slow[0].read("POST")
				if got.Err != nil || got.Status != 408 || got.code() != schema.CodeTooSlow {
					t.Errorf("the slowest got %d %s %v, want 408 too_slow", got.Status, got.Content, got.Err)
				}
				if n := w.gateway.registry.Stats().Exchanges; n != 3 {
					t.Errorf("%d exchanges are open, want the 3 others", n)
				}
			})
		})
	}
}

func TestMessagesAreCountedBeforeTheyAreAllocated(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		for _, one := range []string{"0,", "{},"} {
			raw := `{"messages":[` + strings.Repeat(one, 100_000) + `0]}`
			if allocated := testing.AllocsPerRun(1, func() { _, _ = answer.Decode([]byte(raw), 64, 256) }); allocated > 5_000 {
				t.Errorf("%d bytes of %s made %.0f allocations, want few", len(raw), one, allocated)
			}
			got := p.send("POST", p.Responses, p.Token, json.RawMessage(raw))
			if got.Status != 400 || got.code() != schema.CodeBadMember {
				t.Errorf("%s = %d %s, want 400 bad_member", one, got.Status, got.Content)
			}
		}
	})
}

func TestContentOfAPollIsHeldUntilItIsRead(t *testing.T) {
	for _, accept := range []string{"application/json", "application/x-ndjson"} {
		t.Run(accept, func(t *testing.T) {
			inWorld(t, Options{Limits: claim.Limits{Memory: 8 << 20}}, func(w *world) {
				p := w.claim("demo")
				content := strings.Repeat("a", 60_000)
				for i := range 4 {
					v := w.dial(fmt.Sprintf("198.51.100.%d:1", i))
					v.write([]byte(requestTo("POST", host, "/", "Content-Length: 60000") + content))
				}
				synctest.Wait()
				before := w.held()
				poll := w.dial(visitorAddr)
				path := strings.TrimPrefix(p.Requests, w.origin())
				poll.write([]byte("GET " + path + " HTTP/1.1\r\nHost: localhost:8080\r\nAccept: " + accept + "\r\nAuthorization: Bearer t0\r\nConnection: close\r\n\r\n"))
				synctest.Wait()
				if held := w.held() - before; accept == "application/json" && held < 4*len(content) {
					t.Errorf("a batch that nobody reads holds %d bytes, want its %d", held, 4*len(content))
				}
				if accept != "application/json" { // the head and the first heartbeat go first
					if _, err := io.ReadFull(poll.in, make([]byte, 300)); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
					if held := w.held() - before; held < len(content) {
						t.Errorf("a message that nobody reads holds %d bytes, want its %d", held, len(content))
					}
				}
				_ = poll.conn.Close()
				synctest.Wait()
				if held := w.held() - before; held > 0 {
					t.Errorf("a poll that has gone holds %d bytes", held)
				}
			})
		})
	}
}

func TestInterimResponsesAreHeldUntilTheyAreRelayed(t *testing.T) {
	inWorld(t, Options{Limits: claim.Limits{Memory: 8 << 20}}, func(w *world) {
		p := w.claim("demo")
		v := w.dial(visitorAddr)
		v.write([]byte(get(host, "/")))
		r := p.next()
		synctest.Wait()
		before := w.held()
		link := strings.Repeat("a", 50_000)
		for range 4 {
			if got := p.answer(schema.Interim{Type: schema.TypeInterim, ID: r.ID, Status: 103, Headers: []schema.Field{{"Link", link}}}); got.Status != schema.ResultAccepted {
				t.Fatalf("interim: %s", got.Status)
			}
		}
		synctest.Wait()
		if held := w.held() - before; held < 4*len(link) {
			t.Errorf("four unread ones hold %d bytes, want their %d", held, 4*len(link))
		}
		answer := make(chan *reply, 1)
		go func() { answer <- v.read("GET") }()
		p.respond(schema.Response{ID: r.ID, Status: 204})
		if got := <-answer; got.Status != 204 {
			t.Errorf("answer = %d %v", got.Status, got.Err)
		}
	})
}
