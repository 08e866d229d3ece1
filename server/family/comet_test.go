package family

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/server/claim"
	"reversehttp/server/gateway"
)

// queued is a POST of a program of 2008 to the queue of demo.
func queued(content string) string {
	return fmt.Sprintf("POST /comet/demo HTTP/1.1\r\nHost: localhost:8080\r\nAuthorization: Bearer t0\r\nContent-Length: %d\r\n\r\n%s", len(content), content)
}

// eventIn reads an event.
func eventIn(t *testing.T, h *heard) event {
	t.Helper()
	var e event
	if h.err != nil || h.StatusCode != 200 || h.Header.Get("Content-Type") != "application/json" || json.Unmarshal([]byte(h.body), &e) != nil {
		t.Fatalf("got %d %q %v, want an event", h.StatusCode, h.body, h.err)
	}
	return e
}

func TestAnEventIsAnsweredByTheNextPost(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		poll := b.begin(queued(""))
		v := b.visit("demo", "POST", "/a%2Fb?x=%zz", "X-Raw: caf\xe9\r\nContent-Length: 5\r\n", "<é>\n")
		got := poll.wait()
		e := eventIn(t, got)
		want := `{"message-id":"` + e.ID + `","method":"POST","request-uri":"/a%2Fb?x=%zz","http-version":"PTTH/0.9","headers":[["Host","demo.localhost:8080"],["Cdn-Loop","demo.localhost:8080"],["Content-Length","5"],`
		if !strings.HasPrefix(got.body, want) || !strings.HasSuffix(got.body, `["X-Raw","cafÃ©"]],"body":"<é>\n"}`) && !strings.HasSuffix(got.body, `["X-Raw","caf`+"é"+`"]],"body":"<é>\n"}`) {
			t.Errorf("event = %s", got.body)
		}
		poll = b.begin(queued(`{"message-id":"` + e.ID + `","http-version":"PTTH/0.9","status":201,"reason":"Made","headers":[["Set-Cookie","a"],["Set-Cookie","b"]],"body":"<é>"}`))
		answer := v.wait()
		answer.is(t, 201, "<é>")
		if len(answer.Header["Set-Cookie"]) != 2 || answer.ContentLength != 4 {
			t.Errorf("answer = %q", answer.head)
		}
		poll.pending()
		time.Sleep(25 * time.Second)
		poll.wait().is(t, 200, "{}")
	})
}

func TestResponsesToEventsAreAcceptedInEveryForm(t *testing.T) {
	for name, c := range map[string]struct {
		rest, body string
		status     int
	}{
		"number":            {`"status":200,"body":"x"`, "x", 200},
		"string":            {`"status":"404","body":"x"`, "x", 404},
		"status line":       {`"status":"200 OK","body":"x"`, "x", 200},
		"an object":         {`"status":200,"headers":{"X-A":"1","X-B":["2","3"],"Content-Length":1},"body":"x"`, "x", 200},
		"no fields":         {`"status":200,"headers":null,"body":null`, "", 200},
		"base64":            {`"status":200,"body":"","body-base64":"AP/+"`, "\x00\xff\xfe", 200},
		"base64 alone":      {`"status":200,"body-base64":"AP/+"`, "\x00\xff\xfe", 200},
		"unknown members":   {`"status":200,"later":{"a":[1]},"body":"x"`, "x", 200},
		"no content at all": {`"status":204`, "", 204},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, gateway.Options{}, func(b *bubble) {
				poll := b.begin(queued(" \n"))
				v := b.visit("demo", "GET", "/")
				poll = b.begin(queued(`{"message-id":"` + eventIn(t, poll.wait()).ID + `",` + c.rest + "}"))
				got := v.wait()
				got.is(t, c.status, c.body)
				if name == "an object" && (got.Header.Get("X-A") != "1" || len(got.Header["X-B"]) != 2) {
					t.Errorf("fields = %q", got.head)
				}
				poll.pending()
			})
		})
	}
}

func TestAnInvalidResponseToAnEventIsABadAnswer(t *testing.T) {
	for name, c := range map[string]struct{ rest, code string }{
		"no status":      {`"body":"x"`, "bad_answer"},
		"status 99":      {`"status":99`, "bad_answer"},
		"status 999":     {`"status":999`, "bad_answer"},
		"status 2e2":     {`"status":2e2`, "bad_answer"},
		"status words":   {`"status":"OK"`, "bad_answer"},
		"status list":    {`"status":[200]`, "bad_answer"},
		"101":            {`"status":101`, "bad_answer"},
		"body number":    {`"status":200,"body":5`, "bad_answer"},
		"both":           {`"status":200,"body":"x","body-base64":"eA=="`, "bad_answer"},
		"bad base64":     {`"status":200,"body-base64":"x"`, "bad_answer"},
		"base64 lines":   {`"status":200,"body-base64":"eA=\n="`, "bad_answer"},
		"half a pair":    {`"status":200,"headers":[["a"]]`, "bad_answer"},
		"three":          {`"status":200,"headers":[["a","b","c"]]`, "bad_answer"},
		"a flat list":    {`"status":200,"headers":["a","b"]`, "bad_answer"},
		"a string":       {`"status":200,"headers":"a: b"`, "bad_answer"},
		"nested":         {`"status":200,"headers":{"a":{"b":"c"}}`, "bad_answer"},
		"nested lists":   {`"status":200,"headers":{"a":[["b"]]}`, "bad_answer"},
		"NUL":            {`"status":200,"headers":{"a":"b\u0000"}`, "bad_answer"},
		"CRLF":           {`"status":200,"headers":[["a","b\r\nX: y"]]`, "bad_answer"},
		"many fields":    {`"status":200,"headers":[` + strings.Repeat(`["a","b"],`, 20_000) + `["a","b"]]`, "bad_answer"},
		"wrong length":   {`"status":200,"headers":[["Content-Length","9"]],"body":"x"`, "bad_answer"},
		"coded":          {`"status":200,"headers":[["Transfer-Encoding","chunked"]]`, "bad_answer"},
		"204 and body":   {`"status":204,"body":"x"`, "bad_answer"},
		"a member twice": {`"status":200,"status":201`, "bad_json"},
		"truncated":      {`"status":200,"body":"x`, "bad_json"},
		"not UTF-8":      {`"status":200,"body":"` + "\xff" + `"`, "bad_json"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, gateway.Options{}, func(b *bubble) {
				poll := b.begin(queued(""))
				v := b.visit("demo", "GET", "/")
				id := eventIn(t, poll.wait()).ID
				if got := b.ask(queued(`{"message-id":"` + id + `",` + c.rest + "}")); got.StatusCode != 400 || got.code() != c.code {
					t.Errorf("program got %d %s, want 400 %s", got.StatusCode, got.body, c.code)
				}
				if c.code == "bad_json" { // so its event is unknown
					v.pending()
					b.begin(queued(`{"message-id":"` + id + `","status":200}`))
					v.wait().is(t, 200, "")
					return
				}
				if got := v.wait(); got.StatusCode != 502 || got.code() != "handler_failed" {
					t.Errorf("visitor got %d %s, want 502", got.StatusCode, got.body)
				}
			})
		})
	}
	inBubble(t, gateway.Options{}, func(b *bubble) {
		for content, code := range map[string]string{
			"[]": "bad_json", "null": "bad_json", `"x"`: "bad_json", "{'message-id': 'x'}": "bad_json",
			`{"status":200}`: "bad_answer", `{"message-id":5,"status":200}`: "bad_answer", `{"message-id":"","status":200}`: "bad_answer",
		} {
			if got := b.ask(queued(content)); got.StatusCode != 400 || got.code() != code {
				t.Errorf("%s: %d %s, want %s", content, got.StatusCode, got.body, code)
			}
		}
	})
}

func TestAResponseToAnUnknownEventIsAPoll(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		b.ask(queued(`{"message-id":"x","status":200}`)).is(t, 200, "{}")
		poll := b.begin(queued(`{}`))
		v := b.visit("demo", "GET", "/")
		id := eventIn(t, poll.wait()).ID
		answer := queued(`{"message-id":"` + id + `","status":200,"body":"x"}`)
		b.begin(answer)
		v.wait().is(t, 200, "x")
		b.begin(answer).pending() // again
		// After a restart the program responds to an event that the gateway does not know.
		b.restart(gateway.Options{}, false)
		poll = b.begin(answer)
		b.visit("demo", "GET", "/2")
		if e := eventIn(t, poll.wait()); e.Target != "/2" {
			t.Errorf("event = %+v", e)
		}
	})
}

func TestSeveralEventsAreInFlightBySeveralPolls(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		var polls, vs []*later
		for range 3 {
			polls = append(polls, b.begin(queued("")))
		}
		for i := range 3 {
			vs = append(vs, b.visit("demo", "GET", fmt.Sprintf("/%d", i)))
		}
		var events []event
		for _, p := range polls {
			events = append(events, eventIn(t, p.wait()))
		}
		polls = nil
		for i := range 3 { // the last is answered first
			e := events[2-i]
			polls = append(polls, b.begin(queued(`{"message-id":"`+e.ID+`","status":200,"body":"`+e.Target+`"}`)))
		}
		for i, v := range vs {
			v.wait().is(t, 200, fmt.Sprintf("/%d", i))
		}
		for _, p := range polls {
			p.pending()
		}
		if n := b.g.Registry().Stats(); n.Sessions != 3 || n.Polls != 3 {
			t.Errorf("%+v, want 3 sessions that are polled", n)
		}
		for range 4 { // sessions are reused
			time.Sleep(25 * time.Second)
			synctest.Wait()
			for range 3 {
				b.begin(queued(""))
			}
		}
		if n := b.g.Registry().Stats(); n.Sessions != 3 {
			t.Errorf("%+v, want 3 sessions", n)
		}
	})
}

func TestAPollBeyondTheBoundIsRefused(t *testing.T) {
	inBubble(t, gateway.Options{Limits: claim.Limits{Sessions: 2}}, func(b *bubble) {
		b.begin(queued(""))
		b.begin(queued(""))
		if got := b.ask(queued("")); got.StatusCode != 429 || got.code() != "quota_exceeded" {
			t.Errorf("third poll = %d %s, want 429", got.StatusCode, got.body)
		}
	})
}

func TestAQueueNeedsTheTokenOfItsOwner(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		b.begin(queued(""))
		for auth, want := range map[string]string{
			"": "token_needed", "Authorization: Bearer t1\r\n": "label_taken", "Authorization: Basic eDp0MQ==\r\n": "label_taken", "Authorization: Basic !\r\n": "token_needed",
		} {
			if got := b.ask("POST /comet/demo HTTP/1.1\r\nHost: localhost:8080\r\n" + auth + "Content-Length: 0\r\n\r\n"); got.code() != want {
				t.Errorf("%q: %d %s, want %s", auth, got.StatusCode, got.body, want)
			}
		}
		// "x:t0" in the form of RFC 7617.
		b.begin("POST /comet/demo HTTP/1.1\r\nHost: localhost:8080\r\nAuthorization: Basic eDp0MA==\r\nContent-Length: 0\r\n\r\n").pending()
		if got := b.ask(strings.Replace(queued(""), "/demo", "/a_b", 1)); got.code() != "bad_label" {
			t.Errorf("bad label = %d %s", got.StatusCode, got.body)
		}
		if got := b.ask(get("/comet/demo")); got.StatusCode != 405 {
			t.Errorf("GET = %d, want 405", got.StatusCode)
		}
	})
}

func TestEventsCarryBinaryAndStreamedContent(t *testing.T) {
	large := strings.Repeat("x", 100_000)
	for name, c := range map[string]struct{ fields, sent, body, coded string }{
		"binary":       {"Content-Length: 3\r\n", "\x00\xff\xfe", "", "AP/+"},
		"NUL":          {"Content-Length: 1\r\n", "\x00", "\x00", ""},
		"chunked":      {"Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n", "abc", ""},
		"large":        {"Content-Length: 100000\r\n", large, large, ""},
		"expects":      {"Content-Length: 3\r\nExpect: 100-continue\r\n", "abc", "abc", ""},
		"none":         {"", "", "", ""},
		"a WebSocket?": {"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, gateway.Options{}, func(b *bubble) {
				method := "POST"
				if c.sent == "" {
					method = "GET"
				}
				poll := b.begin(queued(""))
				v := b.dial(visitorAt)
				v.say(method + " / HTTP/1.1\r\nHost: demo.localhost:8080\r\n" + c.fields + "\r\n" + c.sent)
				if name == "expects" {
					if got := v.hear("POST"); got.StatusCode != 100 && got.StatusCode != 0 {
						t.Errorf("interim = %d", got.StatusCode)
					}
				}
				got := poll.wait()
				e := eventIn(t, got)
				if e.Body != c.body || e.Base64 != c.coded || (c.coded == "") == strings.Contains(got.body, "body-base64") {
					t.Errorf("event = %.300s", got.body)
				}
				b.begin(queued(`{"message-id":"` + e.ID + `","status":200,"body":"ok"}`))
				v.hear(method).is(t, 200, "ok")
			})
		})
	}
}

func TestContentThatIsTooLargeForAnEventIsRefused(t *testing.T) {
	for name, raw := range map[string]string{
		"length":  "Content-Length: 1048577\r\n\r\n" + strings.Repeat("x", 1<<20+1),
		"chunked": "Transfer-Encoding: chunked\r\n\r\n100001\r\n" + strings.Repeat("x", 1<<20+1) + "\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, gateway.Options{}, func(b *bubble) {
				poll := b.begin(queued(""))
				v := b.begin("POST / HTTP/1.1\r\nHost: demo.localhost:8080\r\n" + raw)
				if got := v.wait(); got.StatusCode != 413 || got.code() != "content_too_large" {
					t.Errorf("visitor got %d %s, want 413", got.StatusCode, got.body)
				}
				poll.pending()
				b.visit("demo", "GET", "/2")
				if e := eventIn(t, poll.wait()); e.Target != "/2" {
					t.Errorf("event = %+v", e)
				}
			})
		})
	}
}

func TestARequestWhoseContentBreaksOffBecomesNoEvent(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		poll := b.begin(queued(""))
		v := b.begin("POST / HTTP/1.1\r\nHost: demo.localhost:8080\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
		v.l.Close()
		poll.pending()
		w := b.visit("demo", "GET", "/2")
		if e := eventIn(t, poll.wait()); e.Target != "/2" {
			t.Errorf("event = %+v", e)
		}
		_ = w
	})
}

func TestDeletingEndsAPollOfAQueue(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		poll := b.begin(queued(""))
		b.g.Registry().Lookup("demo").Delete()
		if got := poll.wait(); got.StatusCode != 410 || got.code() != "claim_deleted" {
			t.Errorf("poll = %d %s, want 410", got.StatusCode, got.body)
		}
	})
}

func TestAChangeOfTheTokenEndsAPollOfAQueue(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		poll := b.begin(queued(""))
		token := "t1"
		if err := b.g.Registry().Lookup("demo").Change(claim.Settings{Token: &token}); err != nil {
			t.Fatal(err)
		}
		if got := poll.wait(); got.StatusCode != 403 || got.code() != "label_taken" {
			t.Errorf("poll = %d %s, want 403", got.StatusCode, got.body)
		}
	})
}
