package family

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/server/claim"
	"reversehttp/server/gateway"
)

// post is a request with content, as a program of 2009 sends it.
func post(target, media, content string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost:8080\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", target, media, len(content), content)
}

func get(target string) string { return "GET " + target + " HTTP/1.1\r\nHost: localhost:8080\r\n\r\n" }

const formMedia = "application/x-www-form-urlencoded"

// register claims a name and returns the path of the first Request URL.
func (b *bubble) register(form string) string {
	b.t.Helper()
	got := b.ask(post("/reversehttp", formMedia, form))
	if got.StatusCode != 201 && got.StatusCode != 204 {
		b.t.Fatalf("register: %d %s", got.StatusCode, got.body)
	}
	return got.link("first")
}

// reply posts a response message, which must be accepted.
func (b *bubble) reply(at, message string) {
	b.t.Helper()
	b.ask(post(at, "message/http", message)).is(b.t, 202, "")
}

const okay = "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"

// Rules 1, 3, 4, 8 and 9.
func TestARequestIsAMessageAndItsReplyIsPostedWhereItCameFrom(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		first := b.register("name=demo&token=t0")
		poll := b.begin(get(first))
		v := b.visit("demo", "POST", "/a%2Fb;c?x=%zz&y", "X-Raw: caf\xe9\r\nContent-Length: 5\r\n", "h\x00llo")
		got := poll.wait()
		want := "POST /a%2Fb;c?x=%zz&y HTTP/1.1\r\nHost: demo.localhost:8080\r\nCdn-Loop: demo.localhost:8080\r\nContent-Length: 5\r\n"
		if !strings.HasPrefix(got.body, want) || !strings.HasSuffix(got.body, "\r\nX-Raw: caf\xe9\r\n\r\nh\x00llo") {
			t.Errorf("request = %q", got.body)
		}
		for _, line := range []string{"\r\nContent-Type: message/http\r\n", "\r\nRequesting-Client: 203.0.113.9:51234\r\n", "\r\nLink: <http://localhost:8080/reversehttp/demo/"} {
			if !strings.Contains(got.head, line) {
				t.Errorf("head = %q, want %q", got.head, line)
			}
		}
		next := got.link("next")
		if next == "" || next == first || strings.ContainsAny(next, "?,") {
			t.Errorf("next = %q, want another path without query and comma", next)
		}
		b.reply(first, "HTTP/1.1 201 Made\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 3\r\n\r\nyes")
		answer := v.wait()
		answer.is(t, 201, "yes")
		if len(answer.Header["Set-Cookie"]) != 2 || answer.ContentLength != 3 {
			t.Errorf("answer = %q", answer.head)
		}
		b.reply(first, "HTTP/1.1 201 Made\r\nContent-Length: 3\r\n\r\nyes") // its 202 was lost
		poll = b.begin(get(next))
		v = b.visit("demo", "GET", "/2")
		if got := poll.wait(); !strings.HasPrefix(got.body, "GET /2 HTTP/1.1\r\n") {
			t.Errorf("second request = %q", got.body)
		}
		b.reply(next, okay)
		v.wait().is(t, 200, "ok")
	})
}

// Rule 10, and HTTP/1.0.
func TestAProgramOfHTTP10IsServed(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		for _, keep := range []string{"", "Connection: keep-alive\r\n", "Connection: close\r\n"} {
			at := b.register("name=demo&token=t0")
			v := b.visit("demo", "POST", "/x", "Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n")
			got := b.ask("GET " + at + " HTTP/1.0\r\nHost: localhost:8080\r\n" + keep + "\r\n")
			got.is(t, 200, "*")
			if !strings.HasSuffix(got.body, "\r\nContent-Length: 3\r\n\r\nabc") || strings.Contains(got.body, "Transfer-Encoding") {
				t.Errorf("request = %q", got.body)
			}
			reply := b.ask("POST " + at + " HTTP/1.0\r\nHost: localhost:8080\r\n" + keep + "Content-Length: " + fmt.Sprint(len(okay)) + "\r\n\r\n" + okay)
			reply.is(t, 202, "")
			v.wait().is(t, 200, "ok")
		}
		at := b.register("name=demo&token=t0")
		l := b.dial(visitorAt)
		idle := l.ask("GET " + at + " HTTP/1.0\r\nHost: localhost:8080\r\nConnection: keep-alive\r\n\r\n")
		idle.is(t, 204, "")
		if strings.Contains(idle.head, "Content-Length") {
			t.Errorf("204 = %q", idle.head)
		}
	})
}

// Rule 3.
func TestRequestingClientLooksLikeIPv4(t *testing.T) {
	for addr, want := range map[string]string{
		"203.0.113.9:51234": "203.0.113.9:51234", "[::ffff:203.0.113.9]:7": "203.0.113.9:7",
		"[2001:db8::1]:443": "0.0.0.0:443", "198.51.100.1": "198.51.100.1:0", "2001:db8::1": "0.0.0.0:0", "unknown": "0.0.0.0:0",
	} {
		if got := requestingClient(addr); got != want {
			t.Errorf("%s = %q, want %q", addr, got, want)
		}
	}
	inBubble(t, gateway.Options{}, func(b *bubble) {
		first := b.register("name=demo&token=t0")
		v := b.beginFrom("[2001:db8::1]:443", "GET / HTTP/1.1\r\nHost: demo.localhost:8080\r\n\r\n")
		got := b.ask(get(first))
		host, port, _ := strings.Cut(got.Header.Get("Requesting-Client"), ":")
		if host != "0.0.0.0" || port != "443" || !strings.Contains(got.body, `Forwarded: for="[2001:db8::1]`) {
			t.Errorf("%q %q", got.Header.Get("Requesting-Client"), got.body)
		}
		b.reply(first, okay)
		v.wait()
	})
}

func TestALostAnswerToAPollIsSentAgain(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		first := b.register("name=demo&token=t0")
		v := b.visit("demo", "POST", "/", "Content-Length: 1\r\n", "x")
		one := b.ask(get(first))
		again := b.ask(get(first))
		if again.body != one.body || again.link("next") != one.link("next") {
			t.Errorf("again = %q %q, want the same", again.body, again.link("next"))
		}
		b.reply(first, okay)
		v.wait().is(t, 200, "ok")
		// Its request is not delivered again under the same URL, which is spent.
		spent := b.ask(get(first))
		spent.is(t, 204, "")
		if next := spent.link("next"); next == first || next == one.link("next") {
			t.Errorf("next = %q, want a URL of its own", next)
		}
	})
}

func TestARequestWhoseVisitorLeftMakesWayForAnother(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		first := b.register("name=demo&token=t0")
		v := b.visit("demo", "GET", "/1")
		b.ask(get(first)).is(t, 200, "*") // and its answer is lost
		v.l.Close()
		synctest.Wait()
		w := b.visit("demo", "GET", "/2")
		got := b.ask(get(first))
		if !strings.HasPrefix(got.body, "GET /2 ") {
			t.Errorf("request = %q, want /2", got.body)
		}
		b.reply(first, okay)
		w.wait().is(t, 200, "ok")
		b.ask(get(got.link("next"))).is(t, 204, "")
	})
}

func TestTheTwoTimeoutsAreDistinguished(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		at := b.register("name=demo&token=t0&lease=600")
		if got := b.visit("demo", "GET", "/").wait(); got.StatusCode != 503 || got.code() != "no_handler" {
			t.Errorf("nobody polls: %d %s, want 503 no_handler", got.StatusCode, got.body)
		}
		v := b.visit("demo", "GET", "/")
		b.ask(get(at)).is(t, 200, "*")
		if got := v.wait(); got.StatusCode != 504 || got.code() != "handler_timeout" {
			t.Errorf("nobody answers: %d %s, want 504 handler_timeout", got.StatusCode, got.body)
		}
		b.reply(at, okay) // late
	})
}

func TestARequestStreamsToAProgram(t *testing.T) {
	content := strings.Repeat("0123456789abcdef", 64<<10/16+1)
	inBubble(t, gateway.Options{}, func(b *bubble) {
		at := b.register("name=demo&token=t0")
		v := b.dial(visitorAt)
		v.say(fmt.Sprintf("POST /up HTTP/1.1\r\nHost: demo.localhost:8080\r\nContent-Length: %d\r\n\r\n", len(content)))
		synctest.Wait()
		after := b.visit("demo", "GET", "/after")
		// A pipeline ends with the request that streams.
		poll := b.begin(strings.Replace(get(at), "\r\n", "\r\nAccept: application/http\r\n", 1))
		poll.pending()
		v.say(content)
		got := poll.wait()
		body, err := io.ReadAll(parsed(t, got.body).Body)
		if err != nil || string(body) != content || strings.Count(got.body, " /after ") != 0 {
			t.Errorf("request with %d bytes %v, want %d", len(body), err, len(content))
		}
		b.reply(at, okay)
		v.hear("POST").is(t, 200, "ok")
		next := got.link("next")
		b.ask(get(next)).is(t, 200, "*")
		b.reply(next, okay)
		after.wait().is(t, 200, "ok")
	})
}

func TestAStreamingRequestThatBreaksOffIsCut(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		at := b.register("name=demo&token=t0")
		v := b.dial(visitorAt)
		v.say("POST /up HTTP/1.1\r\nHost: demo.localhost:8080\r\nContent-Length: 99999\r\n\r\nabc")
		poll := b.begin(get(at))
		poll.pending()
		v.Close()
		if got := poll.wait(); got.err == nil {
			t.Errorf("request %q came whole, want it cut", got.body)
		}
		w := b.visit("demo", "GET", "/2")
		got := b.ask(get(at))
		if got.StatusCode == 204 { // the program got a part of it, so the URL is used up
			got = b.ask(get(got.link("next")))
		}
		if !strings.HasPrefix(got.body, "GET /2 ") {
			t.Errorf("next request = %d %q", got.StatusCode, got.body)
		}
		_ = w
	})
}

// parsed reads a request message.
func parsed(t *testing.T, message string) *http.Request {
	t.Helper()
	req, err := http.ReadRequest(newReader(message))
	if err != nil {
		t.Fatalf("%.200q: %v", message, err)
	}
	return req
}

func TestVisitorsRequestsAreExactMessages(t *testing.T) {
	for name, c := range map[string]struct{ sent, start string }{
		"HTTP/1.0":       {"GET / HTTP/1.0\r\nHost: demo.localhost:8080\r\n\r\n", "GET / HTTP/1.0\r\nHost: demo.localhost:8080\r\n"},
		"empty content":  {"POST / HTTP/1.1\r\nHost: demo.localhost:8080\r\nContent-Length: 0\r\n\r\n", "POST / HTTP/1.1\r\nHost: demo.localhost:8080\r\nCdn-Loop: demo.localhost:8080\r\nContent-Length: 0\r\n"},
		"no content":     {"POST / HTTP/1.1\r\nHost: demo.localhost:8080\r\n\r\n", "POST / HTTP/1.1\r\nHost: demo.localhost:8080\r\nCdn-Loop: demo.localhost:8080\r\nForwarded: "},
		"odd targets":    {"GET //a/../%zz?%&\" HTTP/1.1\r\nHost: demo.localhost:8080\r\n\r\n", "GET //a/../%zz?%&\" HTTP/1.1\r\n"},
		"two slashes":    {"GET //a//b HTTP/1.1\r\nHost: demo.localhost:8080\r\n\r\n", "GET //a//b HTTP/1.1\r\n"},
		"options":        {"OPTIONS * HTTP/1.1\r\nHost: demo.localhost:8080\r\n\r\n", "OPTIONS * HTTP/1.1\r\n"},
		"content on GET": {"GET / HTTP/1.1\r\nHost: demo.localhost:8080\r\nContent-Length: 2\r\n\r\nhi", "GET / HTTP/1.1\r\nHost: demo.localhost:8080\r\nCdn-Loop: demo.localhost:8080\r\nContent-Length: 2\r\n"},
		"odd method":     {"M-SEARCH /x HTTP/1.1\r\nHost: demo.localhost:8080\r\n\r\n", "M-SEARCH /x HTTP/1.1\r\n"},
		"a WebSocket":    {"GET / HTTP/1.1\r\nHost: demo.localhost:8080\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", "GET / HTTP/1.1\r\nHost: demo.localhost:8080\r\nCdn-Loop: demo.localhost:8080\r\nForwarded: "},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, gateway.Options{}, func(b *bubble) {
				at := b.register("name=demo&token=t0")
				v := b.begin(c.sent)
				got := b.ask(get(at))
				if !strings.HasPrefix(got.body, c.start) {
					t.Errorf("request = %q, want %q", got.body, c.start)
				}
				b.reply(at, okay)
				v.wait().is(t, 200, "ok")
			})
		})
	}
}

func TestHEADAndStatusesWithoutContent(t *testing.T) {
	for name, c := range map[string]struct {
		method, message string
		status          int
		length          int64
	}{
		"HEAD with a length":  {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", 200, 7},
		"HEAD with content":   {"HEAD", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, 2},
		"HEAD to the end":     {"HEAD", "HTTP/1.0 200 OK\r\n\r\nok", 200, -1},
		"304":                 {"GET", "HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n", 304, 0},
		"304 with a length":   {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, 9},
		"204 with length 0":   {"GET", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 204, 0},
		"204 and end of line": {"DELETE", "HTTP/1.0 204 No Content\r\n\r\n\r\n", 204, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, gateway.Options{}, func(b *bubble) {
				at := b.register("name=demo&token=t0")
				v := b.visit("demo", c.method, "/")
				b.ask(get(at)).is(t, 200, "*")
				b.reply(at, c.message)
				got := v.wait()
				got.is(t, c.status, "")
				if got.ContentLength != c.length && c.status != 304 {
					t.Errorf("head = %q, want length %d", got.head, c.length)
				}
			})
		})
	}
}

func TestTheTargetIsUnchangedInThePathShape(t *testing.T) {
	inBubble(t, gateway.Options{PublicURL: "http://localhost:8080/at/{label}/"}, func(b *bubble) {
		got := b.ask(post("/reversehttp", formMedia, "name=demo&token=t0"))
		if got.link("related") != "/at/demo/" {
			t.Errorf("head = %q", got.head)
		}
		first := got.link("first")
		v := b.begin(get("/at/demo/x"))
		if got := b.ask(get(first)); !strings.HasPrefix(got.body, "GET /at/demo/x HTTP/1.1\r\nHost: localhost:8080\r\n") {
			t.Errorf("request = %q", got.body)
		}
		b.reply(first, okay)
		v.wait().is(t, 200, "ok")
	})
}

func TestPagesMayUseItAcrossOrigins(t *testing.T) {
	inBubble(t, gateway.Options{AllowOrigins: []string{"http://example.com"}}, func(b *bubble) {
		first := b.register("name=demo&token=t0")
		got := b.ask("OPTIONS " + first + " HTTP/1.1\r\nHost: localhost:8080\r\nOrigin: http://example.com\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n\r\n")
		got.is(t, 204, "")
		if got.Header.Get("Access-Control-Allow-Origin") != "*" || got.Header.Get("Access-Control-Allow-Methods") != "POST" || got.Header.Get("Access-Control-Allow-Headers") != "content-type" {
			t.Errorf("preflight = %q", got.head)
		}
		v := b.visit("demo", "GET", "/")
		got = b.ask(strings.Replace(get(first), "\r\n", "\r\nOrigin: http://example.com\r\n", 1))
		exposed := got.Header.Get("Access-Control-Expose-Headers")
		for _, name := range []string{"Link", "Location", "Requesting-Client"} {
			if !strings.Contains(exposed, name) {
				t.Errorf("exposed = %q, want %s", exposed, name)
			}
		}
		b.reply(first, okay)
		v.wait().is(t, 200, "ok")
	})
}

func TestSessionsOfALabelAreBounded(t *testing.T) {
	inBubble(t, gateway.Options{Limits: claim.Limits{Sessions: 3}}, func(b *bubble) {
		for range 3 {
			b.register("name=demo&token=t0&lease=3600")
		}
		if got := b.ask(post("/reversehttp", formMedia, "name=demo&token=t0")); got.StatusCode != 429 || got.code() != "quota_exceeded" {
			t.Errorf("fourth = %d %s, want 429", got.StatusCode, got.body)
		}
		// Programs that left without notice do not count for the whole lease.
		time.Sleep(61 * time.Second)
		b.register("name=demo&token=t0")
	})
}

func TestSessionsOfADoorAreUnknownToTheControlAPI(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		parts := strings.Split(b.register("name=demo&token=t0"), "/")
		session := "/claims/demo/sessions/" + parts[len(parts)-2]
		for _, ask := range []string{"DELETE " + session, "GET " + session + "/requests"} {
			got := b.ask(ask + " HTTP/1.1\r\nHost: localhost:8080\r\nAuthorization: Bearer t0\r\n\r\n")
			if got.StatusCode != 404 || !strings.Contains(got.body, `"no_session"`) {
				t.Errorf("%s: %d %s, want 404 no_session", ask, got.StatusCode, got.body)
			}
		}
	})
}
