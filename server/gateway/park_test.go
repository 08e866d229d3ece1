package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
	"reversehttp/server/budget"
	"reversehttp/server/claim"
)

// polling returns the head of a poll of p, with more fields.
func (p *program) polling(fields ...string) string {
	head := "GET " + strings.TrimPrefix(p.Requests, p.origin()) + " HTTP/1.1\r\nHost: localhost:8080\r\nAuthorization: Bearer " + p.Token + "\r\n"
	for _, f := range fields {
		head += f + "\r\n"
	}
	return head + "\r\n"
}

const (
	soon  = 50 * time.Millisecond // a moment before a poll is parked
	later = 2 * time.Second       // a moment when it is
)

// detached returns how many connections are detached from net/http.
func detached(w *world) int { return w.gateway.Detached() }

// unlike matches what differs between two equal answers.
var unlike = regexp.MustCompile(`(Date: )[^\r]*|("id":"|id: |"traceparent":"|"cursor":"|exchanges/|sessions/)[^"/\n]*`)

func TestAnswersAreTheSameOnceAPollIsParked(t *testing.T) {
	forms := map[string]string{"batch": "application/json", "NDJSON": "application/x-ndjson", "server-sent events": "text/event-stream", "framed": envelope.MediaFramed}
	last := "GET /healthz HTTP/1.1\r\nHost: localhost:8080\r\nConnection: close\r\n\r\n"
	ways := []struct {
		name, fields            string
		ahead, meanwhile, after string // the next request
	}{
		{"the connection closes", "Connection: close", "", "", ""},
		{"the next request comes with the poll", "Accept-Language: en", last, "", ""},
		{"the next request comes while it is parked", "Accept-Language: en", "", last, ""},
		{"the next request comes after it", "Accept-Language: en", "", "", last},
	}
	for form, media := range forms {
		for _, how := range ways {
			t.Run(form+", "+how.name, func(t *testing.T) {
				answer := func(visits time.Duration) (raw string, apart int) {
					inBothWorlds(t, Options{}, func(w *world) {
						p := w.claim("demo")
						v := w.dial(visitorAddr)
						v.write([]byte(p.polling("Accept: "+media, "Origin: https://page.example", "Prefer: wait=4", "Last-Event-ID: "+p.Cursor, how.fields) + how.ahead))
						got := make(chan string)
						go func() {
							b, _ := io.ReadAll(v.in)
							got <- string(b)
						}()
						time.Sleep(visits)
						synctest.Wait()
						apart = detached(w)
						if how.meanwhile != "" {
							v.write([]byte(how.meanwhile))
							synctest.Wait()
						}
						visit := w.visit(get(host, "/a", "X-Field: "+strings.Repeat("x", 100)))
						time.Sleep(5 * time.Second)
						if how.after != "" {
							v.write([]byte(how.after))
						}
						again := unlike.ReplaceAllString(<-got, "$1$2")
						if raw != "" && raw != again {
							t.Errorf("over TLS:\n%s\nin the clear:\n%s", again, raw)
						}
						raw = again
						_ = visit.conn.Close()
					})
					return raw, apart
				}
				before, apart := answer(soon)
				if apart != 0 {
					t.Fatalf("after %s it is parked", soon)
				}
				parked, apart := answer(later)
				if apart != 1 {
					t.Fatalf("after %s it is not parked", later)
				}
				if before != parked {
					t.Errorf("before it is parked:\n%s\nparked:\n%s", before, parked)
				}
				if statuses := strings.Count(parked, "HTTP/1.1 20"); !strings.Contains(parked, `"target":"/a"`) || statuses != 1 && how.fields != "Connection: close" && statuses != 2 {
					t.Errorf("the request, and what comes after it, are missing in\n%s", parked)
				}
			})
		}
	}
}

func TestAParkedPollEndsLikeOthers(t *testing.T) {
	inBothWorlds(t, Options{}, func(w *world) {
		p := w.claim("demo")
		v := w.dial(visitorAddr)
		for _, want := range []struct {
			status int
			code   schema.Code
			event  func()
		}{
			{204, "", func() {}},
			{410, schema.CodeClaimDeleted, func() { p.send("DELETE", w.origin()+"/claims/demo", p.Token, nil) }},
		} {
			v.write([]byte(p.polling("Prefer: wait=3")))
			time.Sleep(later)
			synctest.Wait()
			if detached(w) != 1 {
				t.Fatal("it is not parked")
			}
			want.event()
			if got := v.read("GET"); got.Status != want.status || got.code() != want.code {
				t.Errorf("the poll got %d %s, want %d %s", got.Status, got.Content, want.status, want.code)
			}
		}
		synctest.Wait()
		if held := w.gateway.registry.Options().Budget.Held(budget.Memory); held > 16<<10 {
			t.Errorf("%d bytes are held after it, want those of the claim", held)
		}
	})
}

func TestAParkedPollWhosePeerLeftGetsNothing(t *testing.T) {
	inBothWorlds(t, Options{}, func(w *world) {
		p, other := w.claim("demo"), w.claim("demo")
		v := w.dial(visitorAddr)
		v.write([]byte(p.polling()))
		time.Sleep(later)
		synctest.Wait()
		second := w.begin(w.request("GET", other.Requests, other.Token, nil))
		synctest.Wait()
		_ = v.conn.Close()
		synctest.Wait()
		if n := w.gateway.registry.Stats().Polls; n != 1 {
			t.Errorf("%d polls are open, want that of the other session", n)
		}
		visit := w.visit(get(host, "/"))
		<-second.done
		if second.got.Status != 200 {
			t.Fatalf("the other session got %d", second.got.Status)
		}
		var r schema.Request
		if err := json.Unmarshal(into[schema.Batch](t, second.got).Messages[0], &r); err != nil {
			t.Fatal(err)
		}
		other.respond(schema.Response{ID: r.ID, Status: 204})
		if got := visit.await(); got.Status != 204 || r.Attempt != 1 {
			t.Errorf("the visitor got %d at attempt %d, want 204 at the first", got.Status, r.Attempt)
		}
	})
}

func TestAParkedStreamThatReadsNothingIsLost(t *testing.T) {
	inBothWorlds(t, Options{Times: claim.Times{Answer: 10 * time.Minute}}, func(w *world) {
		p := w.claim("demo")
		frozen := w.dial(visitorAddr)
		frozen.write([]byte(p.polling("Accept: application/x-ndjson", "Last-Event-ID: "+p.Cursor)))
		head, err := http.ReadResponse(frozen.in, nil)
		if err != nil || head.StatusCode != 200 {
			t.Fatalf("stream: %v %v, want 200", head, err)
		}
		if _, err := head.Body.Read(make([]byte, 1)); err != nil {
			t.Fatalf("heartbeat: %v", err)
		}
		time.Sleep(later)
		synctest.Wait()
		if detached(w) != 1 {
			t.Fatal("it is not parked")
		}
		w.movesOn()
		synctest.Wait()
		if n := detached(w); n != 0 {
			t.Errorf("%d connections are detached, want that of the lost session closed", n)
		}
	})
}

func TestANewerPollReplacesAParkedOne(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		older := w.dial(visitorAddr)
		older.send(p.polling())
		time.Sleep(later)
		synctest.Wait()
		newer := w.begin(w.request("GET", p.Requests, p.Token, nil))
		if got := older.await(); got.Status != 204 {
			t.Errorf("the older poll got %d, want 204", got.Status)
		}
		w.visit(get(host, "/"))
		if <-newer.done; newer.got.Status != 200 {
			t.Errorf("the newer poll got %d, want 200", newer.got.Status)
		}
	})
}

func TestParkedPollsEndWhenTheGatewayStops(t *testing.T) {
	inBothWorlds(t, Options{}, func(w *world) {
		var idle []*visitor
		for _, fields := range []string{"Accept: application/json", "Accept: application/x-ndjson"} {
			v := w.dial(visitorAddr)
			v.write([]byte(w.claim("demo").polling(fields)))
			idle = append(idle, v)
			if strings.Contains(fields, "ndjson") {
				if _, err := v.in.Peek(1); err != nil {
					t.Fatal(err)
				}
			}
		}
		// One already sent a byte of the next request, so it cannot wait in a read.
		piped := w.dial(visitorAddr)
		piped.write([]byte(w.claim("demo").polling() + "G"))
		idle = append(idle, piped)
		time.Sleep(later)
		synctest.Wait()
		if detached(w) != len(idle) {
			t.Fatalf("%d are parked, want %d", detached(w), len(idle))
		}
		start := time.Now()
		w.gateway.Drain(context.Background())
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("polls ended within %s, want 2s", took)
		}
		for _, v := range idle {
			got := v.read("GET")
			if got.Status != 200 && got.code() != schema.CodeDraining || got.Err != nil {
				t.Errorf("a parked poll got %d %s %v, want 503 draining, or the end of its stream", got.Status, got.Content, got.Err)
			}
		}
		synctest.Wait()
		if got := detached(w); got != 2 {
			t.Errorf("%d connections are idle, want those without a next request", got)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		w.gateway.Settle(ctx)
		_ = w.server.Shutdown(ctx)
		for _, v := range idle[:2] {
			if _, err := v.in.ReadByte(); err != io.EOF {
				t.Errorf("the connection continues with %v, want its end", err)
			}
		}
	})
}

func TestPollsOfHTTP10AreNotDetached(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		v := w.dial(visitorAddr)
		v.send(strings.Replace(p.polling(), "HTTP/1.1", "HTTP/1.0", 1))
		time.Sleep(later)
		synctest.Wait()
		if n := detached(w); n != 0 {
			t.Errorf("%d are detached from net/http, want none", n)
		}
		w.visit(get(host, "/"))
		if got := v.await(); got.Status != 200 {
			t.Errorf("it got %d, want 200", got.Status)
		}
	})
}

// On a real port, one connection parks and resumes many times.
func TestAConnectionParksAgainAndAgain(t *testing.T) {
	onBothPorts(t, Options{}, func(t *testing.T, g *Gateway, dial func() net.Conn) {
		ask := func(c net.Conn, in *bufio.Reader, raw string) *reply {
			if _, err := c.Write([]byte(raw)); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(in, nil)
			return newReply(resp, err)
		}
		c := dial()
		defer func() { _ = c.Close() }()
		in := bufio.NewReader(c)
		body := `{"label":"demo","token":"t0"}`
		made := ask(c, in, fmt.Sprintf("POST /claims HTTP/1.1\r\nHost: localhost:8080\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
		p := &program{world: &world{t: t, gateway: g}, ClaimAnswer: into[schema.ClaimAnswer](t, made)}
		for range 2 {
			if got := ask(c, in, p.polling("Prefer: wait=2")); got.Status != 204 {
				t.Fatalf("poll = %d %s %v, want 204", got.Status, got.Content, got.Err)
			}
			if got := ask(c, in, "GET /%zz HTTP/1.1\r\nHost: localhost:8080\r\n\r\n"); got.Status != 404 {
				t.Fatalf("after it = %d %v, want 404", got.Status, got.Err)
			}
		}
	})
}
