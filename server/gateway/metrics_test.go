package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/schema"
	"reversehttp/server/claim"
)

// counted returns the lines of a metric.
func (w *world) counted(name string) []string {
	w.t.Helper()
	var out []string
	figures := httptest.NewRecorder()
	w.gateway.Admin.Metrics.ServeHTTP(figures, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(figures.Body.String()) {
		if strings.HasPrefix(line, name) {
			out = append(out, strings.TrimSpace(line))
		}
	}
	slices.Sort(out)
	return out
}

func TestAGatesAnswerForAnAbsentProgramIsCountedAsOne(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.claim("demo") // nobody polls
		w.gateway.visits.Gates.Absent = func(_ *claim.Claim, r *claim.Request) *claim.Answer {
			if r.Target == "/nothing" {
				return nil
			}
			return &claim.Answer{Status: 200}
		}
		w.ask(get(host, "/"))        // queued first
		w.ask(get(host, "/nothing")) // refused at once, as the next
		w.ask(get(host, "/"))
		want := []string{
			`reversehttp_exchanges_total{code="",outcome="done"} 0`, `reversehttp_exchanges_total{code="",outcome="gate"} 2`, `reversehttp_exchanges_total{code="no_handler",outcome="failed"} 1`,
		}
		if got := w.counted("reversehttp_exchanges_total"); !slices.Equal(got, want) {
			t.Errorf("counted:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

func TestEveryOutcomeIsCountedOnce(t *testing.T) {
	inWorld(t, Options{Limits: claim.Limits{Queue: 1}, ContentBytes: 65_536}, func(w *world) {
		p := w.claim("demo")
		body := "hello"
		p.served(requestTo("POST", host, "/", "Content-Length: 3")+"abc", schema.Response{Status: 500, Body: &body}) // done: the handler's own error

		v := w.visit(get(host, "/")) // queue_full, handler_failed
		synctest.Wait()
		w.ask(get(host, "/"))
		p.answer(schema.Abort{Type: "abort", ID: p.next().ID})
		v.await()

		v = w.visit(get(host, "/")) // abandoned
		synctest.Wait()
		_ = v.conn.Close()
		synctest.Wait()

		w.ask(requestTo("POST", host, "/", "Content-Length: 65537")) // content_too_large
		w.ask(get(host, "/"))                                        // no_handler
		v = w.visit(get(host, "/"))                                  // handler_timeout
		p.next()
		go p.keep()
		v.await()
		w.ask(get("nobody.localhost", "/")) // no exchange: nobody's label

		want := []string{
			`reversehttp_exchanges_total{code="",outcome="abandoned"} 1`, `reversehttp_exchanges_total{code="",outcome="done"} 1`,
			`reversehttp_exchanges_total{code="content_too_large",outcome="failed"} 1`, `reversehttp_exchanges_total{code="handler_failed",outcome="failed"} 1`,
			`reversehttp_exchanges_total{code="handler_timeout",outcome="timed_out"} 1`, `reversehttp_exchanges_total{code="no_handler",outcome="failed"} 1`,
			`reversehttp_exchanges_total{code="queue_full",outcome="failed"} 1`,
		}
		if got := w.counted("reversehttp_exchanges_total"); !slices.Equal(got, want) {
			t.Errorf("counted:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if got := w.counted("reversehttp_exchanges_open"); !slices.Equal(got, []string{"reversehttp_exchanges_open 0"}) {
			t.Errorf("open: %v", got)
		}
		if got := w.counted("reversehttp_content_bytes_total"); !slices.Equal(got, []string{
			`reversehttp_content_bytes_total{of="request"} 3`, `reversehttp_content_bytes_total{of="response"} 5`,
		}) {
			t.Errorf("bytes: %v", got)
		}
		if got := w.counted("reversehttp_queue_seconds_count"); !slices.Equal(got, []string{"reversehttp_queue_seconds_count 7"}) {
			t.Errorf("queue times: %v", got)
		}
	})
}

// keep polls until the claim or the test ends, which keeps the session alive.
func (p *program) keep() {
	for {
		if got := newReply(p.client.Do(p.request("GET", p.Requests, p.Token, nil))); got.Err != nil || got.Status >= 400 {
			return
		}
	}
}

func TestStrangersAddNothingToTheMetrics(t *testing.T) {
	inWorld(t, Options{Limits: claim.Limits{AddressClaims: -1}}, func(w *world) {
		p := w.claim("demo")
		before := len(w.counted(""))
		for i := range 30 {
			target := fmt.Sprint("/stranger", i)
			p.served(requestTo(fmt.Sprint("STRANGER", i), host, target, fmt.Sprint("X-Stranger: ", i)), schema.Response{Status: 200 + i})
			w.ask(get(fmt.Sprint("stranger", i, ".localhost"), target))
			w.claim(fmt.Sprint("stranger", i))
		}
		lines := w.counted("")
		if n := len(lines); n > before {
			t.Errorf("%d lines of metrics became %d", before, n)
		}
		if all := strings.Join(lines, "\n"); regexp.MustCompile(`(?i)stranger`).MatchString(all) {
			t.Errorf("a stranger is in the metrics:\n%s", all)
		}
		if got := w.counted("reversehttp_claims"); !slices.Equal(got, []string{"reversehttp_claims 31"}) {
			t.Errorf("claims: %v", got)
		}
	})
}

// safeBuffer is a buffer that several goroutines write to.
type safeBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestSecretsStayOutOfLogsAndErrors(t *testing.T) {
	var log safeBuffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	secrets := []string{"key-secret", "token-secret-0123", "wrong-secret", "cookie-secret", "content-secret", "target-secret", "answer-secret", "new-secret-012345"}
	var seen strings.Builder // the errors that programs and visitors get
	inWorld(t, Options{Log: logger, Keys: []string{"key-secret"}}, func(w *world) {
		look := func(r *reply) *reply {
			if r.Status >= 400 {
				fmt.Fprintf(&seen, "%d %v %s\n", r.Status, r.Header, r.Content)
			}
			return r
		}
		look(w.send("POST", "/claims", "wrong-secret", nil))
		look(w.send("POST", "/claims", "key-secret", map[string]any{"label": "demo", "token": "token-secret token-secret"}))
		look(w.send("POST", "/claims", "key-secret", map[string]any{"label": "demo", "token": 5, "x": "content-secret"}))
		p := &program{world: w, ClaimAnswer: into[schema.ClaimAnswer](t, w.send("POST", "/claims", "key-secret", map[string]any{"label": "demo", "token": "token-secret-0123"}))}
		look(w.send("POST", "/claims", "key-secret", map[string]any{"label": "demo", "token": "wrong-secret"}))
		for _, url := range []string{p.Claim, p.Requests, p.Session} {
			look(w.send("GET", url, "wrong-secret", nil))
		}
		look(w.send("GET", p.Requests, "token-secret-0123", nil, schema.Field{"Last-Event-ID", "content-secret"}))
		post := requestTo("POST", host, "/target-secret?target-secret", "Cookie: cookie-secret", "Authorization: Bearer wrong-secret", "Content-Length: 14") + "content-secret"
		body := "answer-secret"
		p.served(post, schema.Response{Status: 200, Body: &body, Headers: []schema.Field{{"Set-Cookie", "cookie-secret"}}})
		v := w.visit(post)
		id := p.next().ID
		look(w.send("POST", p.Responses, "token-secret-0123", map[string]any{"type": "response", "id": id, "status": 99, "body": "answer-secret", "headers": [][]string{{"answer-secret\n", "x"}}}))
		p.answer(schema.Abort{Type: "abort", ID: id, Reason: "gave up"})
		look(v.await())
		look(w.send("PATCH", p.Claim, "token-secret-0123", map[string]any{"token": "new-secret-012345"}))
		look(w.send("GET", p.Claim, "token-secret-0123", nil))
		look(w.ask(requestTo("POST", "nobody.localhost", "/target-secret", "Cookie: cookie-secret")))
		look(w.send("DELETE", p.Claim, "new-secret-012345", nil))
		time.Sleep(3 * time.Minute)
	})
	if n := strings.Count(log.String(), "exchange ended"); n < 2 || !strings.Contains(log.String(), "claim ended") {
		t.Fatalf("the log lacks the conversation:\n%s", log.String())
	}
	if n := strings.Count(seen.String(), "\n"); n < 9 {
		t.Fatalf("only %d errors were seen:\n%s", n, seen.String())
	}
	for _, secret := range secrets {
		if strings.Contains(log.String(), secret) {
			t.Errorf("%s is in the log:\n%s", secret, log.String())
		}
		if strings.Contains(seen.String(), secret) {
			t.Errorf("%s is in an error:\n%s", secret, seen.String())
		}
	}
}

func TestMetricsDistinguishTheFailuresOfPromises(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		v := w.visit(get(host, "/"))
		first := p.send("GET", p.Requests, "t0", nil, schema.Field{"Last-Event-ID", p.Cursor}) // lost on its way
		again := p.send("GET", p.Requests, "t0", nil, schema.Field{"Last-Event-ID", p.Cursor})
		id := into[schema.Batch](t, again)
		if first.Status != 200 || len(id.Messages) != 1 {
			t.Fatalf("polls: %d, %s", first.Status, again.Content)
		}
		var r schema.Request
		if err := json.Unmarshal(id.Messages[0], &r); err != nil {
			t.Fatal(err)
		}
		p.respond(schema.Response{ID: r.ID, Status: 204})
		p.answer(schema.Response{Type: schema.TypeResponse, ID: r.ID, Status: 204}) // its 202 was lost
		p.answer(schema.Response{Type: schema.TypeResponse, ID: r.ID, Status: 200})
		p.answer(schema.Response{Type: schema.TypeResponse, ID: "nobody", Status: 200})
		v.await()
		time.Sleep(11 * time.Second) // the session is lost
		w.claim("demo").send("DELETE", p.Claim, "t0", nil)
		for name, want := range map[string][]string{
			"reversehttp_deliveries_total":     {`reversehttp_deliveries_total{time="again"} 1`, `reversehttp_deliveries_total{time="first"} 1`},
			"reversehttp_results_total":        {`reversehttp_results_total{status="accepted"} 1`, `reversehttp_results_total{status="conflict"} 1`, `reversehttp_results_total{status="duplicate"} 1`, `reversehttp_results_total{status="invalid"} 0`, `reversehttp_results_total{status="late"} 0`, `reversehttp_results_total{status="unknown"} 1`},
			"reversehttp_sessions_ended_total": {`reversehttp_sessions_ended_total{reason="claim_ended"} 1`, `reversehttp_sessions_ended_total{reason="left"} 0`, `reversehttp_sessions_ended_total{reason="lost"} 1`},
		} {
			if got := w.counted(name); !slices.Equal(got, want) {
				t.Errorf("counted %q, want %q", got, want)
			}
		}
	})
}
