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

// register claims a name and gives the path of the first Request URL.
func (b *bubble) register(form string) string {
	b.t.Helper()
	got := b.ask(post("/reversehttp", formMedia, form))
	if got.StatusCode != 201 && got.StatusCode != 204 {
		b.t.Fatalf("register: %d %s", got.StatusCode, got.body)
	}
	return got.link("first")
}

// reply posts a response message and fails the test unless that is taken.
func (b *bubble) reply(at, message string) {
	b.t.Helper()
	b.ask(post(at, "message/http", message)).is(b.t, 202, "")
}

const okay = "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"

func TestARegistrationIsAnsweredWithURLsAlone(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		got := b.ask(post("/reversehttp", formMedia, "name=Demo&token=s3cret&lease=30"))
		got.is(t, 201, "")
		if got.ContentLength != 0 || strings.Contains(got.head, "Transfer-Encoding") {
			t.Errorf("head = %q, want no content", got.head)
		}
		if want := "\r\nLink: <http://localhost:8080" + got.link("first") + `>; rel="first", <http://demo.localhost:8080/>; rel="related"` + "\r\n"; !strings.Contains(got.head, want) {
			t.Errorf("head = %q, want %q", got.head, want)
		}
		if want := "http://localhost:8080/reversehttp/demo/czNjcmV0"; got.Header.Get("Location") != want {
			t.Errorf("Location = %q, want %q", got.Header.Get("Location"), want)
		}
		again := b.ask(post("/reversehttp?name=demo", formMedia, "token=s3cret"))
		again.is(t, 204, "")
		if strings.Contains(again.head, "Content-Length") || again.link("first") == "" {
			t.Errorf("head = %q, want links and no Content-Length", again.head)
		}
		if wrong := b.ask(post("/reversehttp", formMedia, "name=demo&token=other")); wrong.StatusCode != 403 || wrong.code() != "label_taken" {
			t.Errorf("another token = %d %s, want 403", wrong.StatusCode, wrong.body)
		}
		if minted := b.ask(post("/reversehttp?name=minted", formMedia, "")); minted.StatusCode != 201 || len(minted.Header.Get("Location")) < 60 {
			t.Errorf("no token = %d %q, want one minted", minted.StatusCode, minted.Header.Get("Location"))
		}
	})
}

func TestARegistrationThatIsNoneIsRefused(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		for name, c := range map[string]struct {
			raw    string
			status int
			code   string
		}{
			"no name":     {post("/reversehttp", formMedia, "token=t"), 400, "bad_label"},
			"bad name":    {post("/reversehttp", formMedia, "name=a_b"), 400, "bad_label"},
			"bad lease":   {post("/reversehttp", formMedia, "name=a&lease=soon"), 400, "bad_lease"},
			"empty lease": {post("/reversehttp", formMedia, "name=a&lease="), 400, "bad_lease"},
			"bad token":   {post("/reversehttp", formMedia, "name=a&token=a+b"), 400, "bad_token"},
			"shared":      {post("/reversehttp", formMedia, "name=a&token=-"), 400, "bad_token"},
			"no form":     {post("/reversehttp", "application/json", "{}"), 415, "unsupported_media_type"},
			"malformed":   {post("/reversehttp", formMedia, "name=%zz"), 400, "bad_member"},
			"large":       {post("/reversehttp", formMedia, "name="+strings.Repeat("a", 20_000)), 413, "content_too_large"},
			"reserved":    {post("/reversehttp", formMedia, "name=www"), 403, "label_reserved"},
			"NUL":         {post("/reversehttp", formMedia, "name=a%00b"), 400, "bad_label"},
		} {
			if got := b.ask(c.raw); got.StatusCode != c.status || got.code() != c.code {
				t.Errorf("%s: %d %s, want %d %s", name, got.StatusCode, got.body, c.status, c.code)
			}
		}
		for lease, want := range map[string]string{"0": "1", "-7": "1", "99999999999999999999": "86400", "30": "30"} {
			at := b.ask(post("/reversehttp", formMedia, "name=lease"+want+"&token=t&lease="+lease)).Header.Get("Location")
			if got := b.ask(get(strings.TrimPrefix(at, "http://localhost:8080"))); !strings.Contains(got.body, "lease="+want+"&") {
				t.Errorf("lease %s = %q, want %s", lease, got.body, want)
			}
		}
	})
}

func TestTheSharedTokenNeedsAFlag(t *testing.T) {
	inBubble(t, gateway.Options{Doors: Doors(Options{SharedToken: true})}, func(b *bubble) {
		b.ask(post("/reversehttp", formMedia, "name=a&token=-")).is(t, 201, "")
	})
}

// Rules 1, 3, 4, 8 and 9.
func TestARequestIsAMessageAndItsReplyIsPostedWhereItCameFrom(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		first := b.register("name=demo&token=t0")
		poll := b.begin(get(first))
		v := b.visit("demo", "POST", "/a%2Fb;c?x=%zz&y", "X-Raw: caf\xe9\r\nContent-Length: 5\r\n", "h\x00llo")
		got := poll.wait()
		want := "POST /a%2Fb;c?x=%zz&y HTTP/1.1\r\nHost: demo.localhost:8080\r\nContent-Length: 5\r\n"
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

// Rule 2: an idle URL stays valid; and rule 6: its visitor waits for a program that
// sleeps after each 204.
func TestAnIdleURLCanBePolledAgain(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		first := b.register("name=demo&token=t0&lease=60")
		for range 3 {
			got := b.ask(get(first))
			got.is(t, 204, "")
			if strings.Contains(got.head, "Content-Length") || got.link("next") != first {
				t.Fatalf("head = %q, want the same URL as next", got.head)
			}
		}
		v := b.visit("demo", "GET", "/")
		time.Sleep(2 * time.Second)
		v.pending()
		b.ask(get(first)).is(t, 200, "*")
		b.reply(first, okay)
		v.wait().is(t, 200, "ok")
	})
}

// Rule 5: replies as they come.
func TestRepliesAreTakenInEveryFramingOfOldPrograms(t *testing.T) {
	for name, c := range map[string]struct{ message, body string }{
		"HTTP/1.0 to the end":       {"HTTP/1.0 200 OK\r\nServer: x\r\n\r\nall that follows\r\n", "all that follows\r\n"},
		"bare LF":                   {"HTTP/1.1 200 OK\nContent-Type: text/plain\n\nline\n", "line\n"},
		"no reason":                 {"HTTP/1.1 200\r\n\r\n", ""},
		"length":                    {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "abc"},
		"length, and end of line":   {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc\r\n", "abc"},
		"chunked":                   {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "abc"},
		"the same length twice":     {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "abc"},
		"lines before":              {"\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", "a"},
		"fields of the connection":  {"HTTP/1.1 200 OK\r\nConnection: close\r\nKeep-Alive: 5\r\n\r\nx", "x"},
		"after 100 and early hints": {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n\r\nz", "z"},
		"binary":                    {"HTTP/1.1 200 OK\r\n\r\n\x00\xff\xfe", "\x00\xff\xfe"},
	} {
		for _, media := range []string{"message/http", "text/plain", ""} {
			t.Run(name+" as "+media, func(t *testing.T) {
				inBubble(t, gateway.Options{}, func(b *bubble) {
					first := b.register("name=demo&token=t0")
					v := b.visit("demo", "GET", "/")
					b.ask(get(first)).is(t, 200, "*")
					b.ask(post(first, media, c.message)).is(t, 202, "")
					got := v.wait()
					if got.StatusCode == 103 {
						got = v.l.hear("GET")
					}
					got.is(t, 200, c.body)
					if got.Header.Get("Keep-Alive") != "" {
						t.Errorf("answer = %q", got.head)
					}
				})
			})
		}
	}
}

func TestAReplyThatIsNoneIsABadAnswer(t *testing.T) {
	for name, message := range map[string]string{
		"empty":             "",
		"no response":       "hello",
		"HTML":              "<html>\r\n\r\n",
		"a request":         "GET / HTTP/1.1\r\n\r\n",
		"truncated head":    "HTTP/1.1 200 OK\r\nContent-Le",
		"giant head":        "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 200_000) + "\r\n\r\n",
		"many fields":       "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: 1\r\n", 300) + "\r\n",
		"two lengths":       "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"early end":         "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc",
		"NUL in a field":    "HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n",
		"bad name":          "HTTP/1.1 200 OK\r\nX Y: a\r\n\r\n",
		"status 99":         "HTTP/1.1 099 Low\r\n\r\n",
		"status 700":        "HTTP/1.1 700 High\r\n\r\n",
		"an upgrade":        "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n",
		"only interim":      "HTTP/1.1 103 Early\r\n\r\n",
		"interim for ever":  strings.Repeat("HTTP/1.1 103 Early\r\n\r\n", 100),
		"205 with content":  "HTTP/1.1 205 Reset\r\nContent-Length: 1\r\n\r\na",
		"bad chunk":         "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: gzip\r\n\r\nabcde",
		"negative length":   "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nabcde",
		"line without end":  "HTTP/1.1 200 OK",
		"a version unknown": "HTTP/x.y 200 OK\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, gateway.Options{}, func(b *bubble) {
				first := b.register("name=demo&token=t0")
				v := b.visit("demo", "GET", "/")
				b.ask(get(first)).is(t, 200, "*")
				if got := b.ask(post(first, "message/http", message)); got.StatusCode != 400 || got.code() != "bad_answer" {
					t.Errorf("program got %d %s, want 400 bad_answer", got.StatusCode, got.body)
				}
				got := v.wait()
				for got.StatusCode == 103 {
					got = v.l.hear("GET")
				}
				if got.StatusCode != 502 || got.code() != "handler_failed" {
					t.Errorf("visitor got %d %s, want 502", got.StatusCode, got.body)
				}
			})
		})
	}
}

func TestAHeadThatDoesNotEndIsRefusedBeforeItsEnd(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		first := b.register("name=demo&token=t0")
		v := b.visit("demo", "GET", "/")
		b.ask(get(first)).is(t, 200, "*")
		// More is to come, and the program waits.
		start := time.Now()
		head := "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 100_000)
		got := b.begin("POST " + first + " HTTP/1.1\r\nHost: localhost:8080\r\nContent-Length: 99999999\r\n\r\n" + head)
		synctest.Wait()
		v.wait().is(t, 502, "*")
		if got := got.wait(); got.code() != "bad_answer" || time.Since(start) > time.Second {
			t.Errorf("program got %d %s after %v, want bad_answer at once", got.StatusCode, got.body, time.Since(start))
		}
	})
}

func TestChunkedContentThatFailsCutsTheAnswer(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		first := b.register("name=demo&token=t0")
		v := b.visit("demo", "GET", "/")
		b.ask(get(first)).is(t, 200, "*")
		if got := b.ask(post(first, "message/http", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz")); got.code() != "bad_answer" {
			t.Errorf("program got %d %s, want bad_answer", got.StatusCode, got.body)
		}
		if got := v.wait(); got.err == nil {
			t.Errorf("visitor got %q whole, want it cut", got.body)
		}
	})
}

func TestAReplyStreams(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		first := b.register("name=demo&token=t0")
		v := b.dial(visitorAt)
		v.say("GET / HTTP/1.1\r\nHost: demo.localhost:8080\r\n\r\n")
		b.ask(get(first)).is(t, 200, "*")
		p := b.dial(visitorAt)
		p.say("POST " + first + " HTTP/1.1\r\nHost: localhost:8080\r\nTransfer-Encoding: chunked\r\n\r\n1c\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\none\r\n")
		buf := make([]byte, 4096)
		seen := ""
		for !strings.Contains(seen, "one") {
			n, err := v.in.Read(buf)
			if err != nil {
				t.Fatalf("%q %v", seen, err)
			}
			seen += string(buf[:n])
		}
		time.Sleep(50 * time.Second)
		p.say("3\r\ntwo\r\n0\r\n\r\n")
		for !strings.Contains(seen, "two") {
			n, err := v.in.Read(buf)
			if err != nil {
				t.Fatalf("%q %v", seen, err)
			}
			seen += string(buf[:n])
		}
		p.hear("POST").is(t, 202, "")
		// The connection of the program serves on.
		next := b.begin(get("/healthz"))
		next.wait().is(t, 204, "")
	})
}

func TestAVisitorWhoLeavesEndsAStreamingReply(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		first := b.register("name=demo&token=t0")
		v := b.visit("demo", "GET", "/")
		b.ask(get(first)).is(t, 200, "*")
		p := b.begin("POST " + first + " HTTP/1.1\r\nHost: localhost:8080\r\nTransfer-Encoding: chunked\r\n\r\n1c\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\none\r\n")
		p.pending()
		v.l.Close()
		p.wait().is(t, 202, "")
	})
}

func TestAReplyThatBreaksOffMayComeAgain(t *testing.T) {
	for name, sent := range map[string]string{"in the head": okay[:20], "in the content": okay[:len(okay)-1]} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, gateway.Options{}, func(b *bubble) {
				first := b.register("name=demo&token=t0")
				v := b.visit("demo", "GET", "/")
				b.ask(get(first)).is(t, 200, "*")
				p := b.begin("POST " + first + " HTTP/1.1\r\nHost: localhost:8080\r\nContent-Length: " + fmt.Sprint(len(okay)) + "\r\n\r\n" + sent)
				p.pending()
				p.l.Close()
				v.pending()
				b.reply(first, okay)
				v.wait().is(t, 200, "ok")
			})
		})
	}
}

func TestASecondReplyWhileTheFirstStreamsIsTakenForLate(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		first := b.register("name=demo&token=t0")
		v := b.visit("demo", "GET", "/")
		b.ask(get(first)).is(t, 200, "*")
		p := b.begin("POST " + first + " HTTP/1.1\r\nHost: localhost:8080\r\nTransfer-Encoding: chunked\r\n\r\n1c\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\none\r\n")
		b.reply(first, okay)
		b.reply(first, "HTTP/1.0 200 OK\r\n\r\n"+strings.Repeat("other", 10_000))
		p.pending()
		p.l.say("3\r\ntwo\r\n0\r\n\r\n")
		v.wait().is(t, 200, "onetwo")
		p.wait().is(t, 202, "")
	})
}

func TestAConnectionServesAfterAReply(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		at := b.register("name=demo&token=t0")
		l := b.dial(visitorAt)
		for range 3 {
			v := b.visit("demo", "GET", "/")
			got := l.ask(get(at))
			got.is(t, 200, "*")
			l.ask(post(at, "message/http", okay)).is(t, 202, "")
			v.wait().is(t, 200, "ok")
			at = got.link("next")
		}
		l.ask(get(at)).is(t, 204, "") // a poll that waits sees its context end
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

func TestALostAnswerToAPollIsGivenAgain(t *testing.T) {
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
		// What it had is not given under the same URL again: it is spent.
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
		b.ask(get(first)).is(t, 200, "*") // and it is lost
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

func TestAnotherPollOfAURLTakesItsPlace(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		first := b.register("name=demo&token=t0")
		older := b.begin(get(first))
		newer := b.begin(get(first))
		got := older.wait()
		got.is(t, 204, "")
		own := got.link("next")
		if own == first || own == "" {
			t.Fatalf("next = %q, want a URL of its own", own)
		}
		newer.pending()
		older = b.begin(get(own))
		// They share in turn.
		v, w := b.visit("demo", "GET", "/1"), b.visit("demo", "GET", "/2")
		if one, two := newer.wait().body, older.wait().body; !strings.HasPrefix(one, "GET /1 ") || !strings.HasPrefix(two, "GET /2 ") {
			t.Errorf("got %.20q and %.20q", one, two)
		}
		b.reply(own, "HTTP/1.1 200 OK\r\n\r\ntwo")
		b.reply(first, "HTTP/1.1 200 OK\r\n\r\none")
		v.wait().is(t, 200, "one")
		w.wait().is(t, 200, "two")
	})
}

// Rule 7: the URLs of a program outlive its sessions, its claim and the gateway.
func TestOldURLsServeAfterTheLeaseAndARestart(t *testing.T) {
	for name, lose := range map[string]func(*bubble){
		"lease":           func(*bubble) { time.Sleep(2 * time.Minute) },
		"lease, long ago": func(*bubble) { time.Sleep(time.Hour) },
		"restart":         func(b *bubble) { b.restart(gateway.Options{}, false) },
		"restart, stored": func(b *bubble) { b.restart(gateway.Options{}, true) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, gateway.Options{}, func(b *bubble) {
				at := b.register("name=demo&token=t0")
				for i := range 2 {
					v := b.visit("demo", "GET", "/")
					got := b.ask(get(at))
					got.is(t, 200, "*")
					b.reply(at, fmt.Sprintf("HTTP/1.1 200 OK\r\n\r\n%d", i))
					v.wait().is(t, 200, fmt.Sprint(i))
					at = got.link("next")
				}
				lose(b)
				if got := b.ask(post(at, "message/http", okay)); got.StatusCode != 404 || got.code() != "no_exchange" {
					t.Errorf("reply to nothing = %d %s, want 404", got.StatusCode, got.body)
				}
				poll := b.begin(get(at))
				v := b.visit("demo", "GET", "/again")
				got := poll.wait()
				if !strings.HasPrefix(got.body, "GET /again ") || got.link("next") == at {
					t.Fatalf("got %d %q", got.StatusCode, got.body)
				}
				b.reply(at, okay)
				v.wait().is(t, 200, "ok")
				poll = b.begin(get(got.link("next")))
				v = b.visit("demo", "GET", "/more")
				poll.wait().is(t, 200, "*")
				b.reply(got.link("next"), okay)
				v.wait().is(t, 200, "ok")
				wrong := strings.Replace(at, "/demo/dDA/", "/demo/dDE/", 1)
				if got := b.ask(get(wrong)); got.StatusCode != 403 || got.code() != "label_taken" {
					t.Errorf("wrong token = %d %s", got.StatusCode, got.body)
				}
			})
		})
	}
}

func TestDeletingEndsPollsAndLetsWhatWasTakenBeAnswered(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		at := b.register("name=demo&token=t0")
		v := b.visit("demo", "GET", "/")
		got := b.ask(get(at))
		poll := b.begin(get(got.link("next")))
		b.ask("DELETE /reversehttp/demo/dDE HTTP/1.1\r\nHost: localhost:8080\r\n\r\n").is(t, 403, "*")
		b.ask("DELETE /reversehttp/demo/dDA HTTP/1.1\r\nHost: localhost:8080\r\n\r\n").is(t, 204, "")
		if end := poll.wait(); end.StatusCode != 410 || end.code() != "claim_deleted" {
			t.Errorf("parked poll = %d %s, want 410", end.StatusCode, end.body)
		}
		b.reply(at, okay)
		v.wait().is(t, 200, "ok")
		b.visit("demo", "GET", "/").wait().is(t, 404, "*")
		b.ask(get(got.link("next"))).is(t, 410, "*")
		b.ask(get("/reversehttp/demo/dDA")).is(t, 404, "*")
		time.Sleep(3 * time.Minute)
		b.ask(get(got.link("next"))).is(t, 204, "") // it claims again
		b.ask(get("/reversehttp/demo/dDA")).is(t, 200, "*")
	})
}

func TestThePrivateURLTellsAndChangesAClaim(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		at := b.register("name=demo&token=t0&lease=30")
		poll := b.begin(get(at))
		got := b.ask(get("/reversehttp/demo/dDA"))
		if got.Header.Get("Content-Type") != formMedia || !strings.Contains("&"+got.body+"&", "&name=demo&") || !strings.Contains(got.body, "lease=30&") {
			t.Errorf("state = %q %q", got.Header.Get("Content-Type"), got.body)
		}
		page := b.ask("GET /reversehttp/demo/dDA HTTP/1.1\r\nHost: localhost:8080\r\nAccept: text/html\r\n\r\n")
		if !strings.HasPrefix(page.Header.Get("Content-Type"), "text/html") || !strings.Contains(page.body, "<h1>demo</h1>") {
			t.Errorf("page = %q %q", page.Header.Get("Content-Type"), page.body)
		}
		form := "name=other&lease=90&token=t1"
		changed := b.ask(strings.Replace(post("/reversehttp/demo/dDA", formMedia, form), "POST", "PUT", 1))
		changed.is(t, 204, "")
		if changed.Header.Get("Location") != "http://localhost:8080/reversehttp/demo/dDE" || changed.link("first") == "" {
			t.Errorf("changed = %q", changed.head)
		}
		poll.wait().is(t, 403, "*") // its URL has the old token
		b.ask(get("/reversehttp/demo/dDA")).is(t, 403, "*")
		if got := b.ask(get("/reversehttp/demo/dDE")); !strings.Contains(got.body, "lease=90&") {
			t.Errorf("state = %q", got.body)
		}
		poll = b.begin(get(changed.link("first")))
		v := b.visit("demo", "GET", "/")
		poll.wait().is(t, 200, "*")
		b.reply(changed.link("first"), okay)
		v.wait().is(t, 200, "ok")
	})
}

func TestNamesAreShownToHoldersOfAKeyOnly(t *testing.T) {
	inBubble(t, gateway.Options{Keys: []string{"k"}}, func(b *bubble) {
		if got := b.ask(post("/reversehttp", formMedia, "name=demo&token=t0")); got.StatusCode != 401 || got.code() != "key_needed" {
			t.Errorf("without a key: %d %s", got.StatusCode, got.body)
		}
		got := b.ask(strings.Replace(post("/reversehttp", formMedia, "name=demo&token=t0"), "\r\n", "\r\nAuthorization: Bearer k\r\n", 1))
		got.is(t, 201, "")
		b.ask(get("/reversehttp")).is(t, 200, "claims=1&sessions=1")
		b.ask("GET /reversehttp HTTP/1.1\r\nHost: localhost:8080\r\nAuthorization: Bearer x\r\n\r\n").is(t, 200, "claims=1&sessions=1")
		b.ask("GET /reversehttp HTTP/1.1\r\nHost: localhost:8080\r\nAuthorization: Bearer k\r\n\r\n").is(t, 200, "claims=1&name=demo&sessions=1")
		page := b.ask("GET /reversehttp HTTP/1.1\r\nHost: localhost:8080\r\nAuthorization: Bearer k\r\nAccept: text/html,*/*\r\n\r\n")
		if !strings.Contains(page.body, "<li>demo") || !strings.Contains(page.body, "<form") {
			t.Errorf("page = %q", page.body)
		}
		// The program comes back with what it has, also where the claim is gone.
		b.ask(get(got.link("first"))).is(t, 204, "")
		time.Sleep(time.Hour)
		b.ask(get(got.link("first"))).is(t, 401, "*")
	})
}

func TestTheTwoTimeOutsAreToldApart(t *testing.T) {
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

func TestAPipelineIsGivenAndAnsweredInOrder(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		at := b.register("name=demo&token=t0")
		var vs []*later
		for i := range 3 {
			vs = append(vs, b.visit("demo", "POST", fmt.Sprintf("/%d", i), "Content-Length: 1\r\n", "x"))
		}
		accept := strings.Replace(get(at), "\r\n", "\r\nAccept: application/http, message/http\r\n", 1)
		got := b.ask(accept)
		if got.Header.Get("Content-Type") != "application/http" || strings.Count(got.body, "POST /") != 3 || !strings.HasSuffix(got.body, "\r\n\r\nx") {
			t.Fatalf("pipeline = %q %q", got.Header.Get("Content-Type"), got.body)
		}
		pipeline := "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n0\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n\r\nHTTP/1.0 200 OK\r\n\r\n2"
		b.ask(post(at, "application/http", pipeline)).is(t, 202, "")
		for i, v := range vs {
			v.wait().is(t, 200, fmt.Sprint(i))
		}
		b.ask(post(at, "application/http", pipeline)).is(t, 202, "") // again
		b.ask(get(got.link("next"))).is(t, 204, "")
	})
}

func TestARepliersPipelineMayFailInTheMiddle(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		at := b.register("name=demo&token=t0")
		one, two, three := b.visit("demo", "GET", "/1"), b.visit("demo", "GET", "/2"), b.visit("demo", "GET", "/3")
		accept := strings.Replace(get(at), "\r\n", "\r\nAccept: application/http\r\n", 1)
		b.ask(accept).is(t, 200, "*")
		two.l.Close()
		synctest.Wait()
		got := b.ask(post(at, "application/http", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2garbage"))
		if got.StatusCode != 400 || got.code() != "bad_answer" {
			t.Errorf("program got %d %s, want 400", got.StatusCode, got.body)
		}
		one.wait().is(t, 200, "1")
		three.wait().is(t, 502, "*")
		v := b.visit("demo", "GET", "/4")
		next := b.begin(accept)
		next.pending() // the URL is spent; its poll is held back and sent elsewhere
		own := next.wait().link("next")
		b.ask(get(own)).is(t, 200, "*")
		if got := b.ask(post(own, "message/http", okay+okay)); got.StatusCode != 400 {
			t.Errorf("two replies to one request = %d, want 400", got.StatusCode)
		}
		v.wait().is(t, 200, "ok")
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
		if got.StatusCode == 204 { // the program began to have it: the URL is spent
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
		"empty content":  {"POST / HTTP/1.1\r\nHost: demo.localhost:8080\r\nContent-Length: 0\r\n\r\n", "POST / HTTP/1.1\r\nHost: demo.localhost:8080\r\nContent-Length: 0\r\n"},
		"no content":     {"POST / HTTP/1.1\r\nHost: demo.localhost:8080\r\n\r\n", "POST / HTTP/1.1\r\nHost: demo.localhost:8080\r\nForwarded: "},
		"odd targets":    {"GET //a/../%zz?%&\" HTTP/1.1\r\nHost: demo.localhost:8080\r\n\r\n", "GET //a/../%zz?%&\" HTTP/1.1\r\n"},
		"two slashes":    {"GET //a//b HTTP/1.1\r\nHost: demo.localhost:8080\r\n\r\n", "GET //a//b HTTP/1.1\r\n"},
		"options":        {"OPTIONS * HTTP/1.1\r\nHost: demo.localhost:8080\r\n\r\n", "OPTIONS * HTTP/1.1\r\n"},
		"content on GET": {"GET / HTTP/1.1\r\nHost: demo.localhost:8080\r\nContent-Length: 2\r\n\r\nhi", "GET / HTTP/1.1\r\nHost: demo.localhost:8080\r\nContent-Length: 2\r\n"},
		"odd method":     {"M-SEARCH /x HTTP/1.1\r\nHost: demo.localhost:8080\r\n\r\n", "M-SEARCH /x HTTP/1.1\r\n"},
		"a WebSocket":    {"GET / HTTP/1.1\r\nHost: demo.localhost:8080\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", "GET / HTTP/1.1\r\nHost: demo.localhost:8080\r\nForwarded: "},
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

func TestURLsThatAreNoneAre404(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		first := b.register("name=demo&token=t0")
		parts := strings.Split(first, "/")
		native := b.ask(strings.Replace(post("/claims", "application/json", `{"label":"demo","token":"t0"}`), "POST", "POST", 1))
		session := strings.Split(strings.Split(native.body, `"session":"`)[1], `"`)[0]
		session = session[strings.LastIndexByte(session, '/')+1:]
		for name, at := range map[string]string{
			"cursor of another": strings.Join(parts[:5], "/") + "/0-aaaaaa",
			"no cursor":         strings.Join(parts[:5], "/") + "/x",
			"leading zero":      strings.Join(parts[:5], "/") + "/0" + parts[5],
			"huge cursor":       strings.Join(parts[:5], "/") + "/99999999999999999999-" + parts[4][:6],
			"short session":     strings.Join(parts[:4], "/") + "/abc/0-abc",
			"native session":    strings.Join(parts[:4], "/") + "/" + session + "/0-" + session[:6],
			"token not base64":  "/reversehttp/demo/!!/" + parts[4] + "/" + parts[5],
		} {
			for _, raw := range []string{get(at), post(at, "message/http", okay)} {
				if got := b.ask(raw); got.StatusCode != 404 {
					t.Errorf("%s: %.20q = %d %s, want 404", name, raw, got.StatusCode, got.body)
				}
			}
		}
		if got := b.ask("HEAD " + first + " HTTP/1.1\r\nHost: localhost:8080\r\n\r\n"); got.StatusCode != 405 {
			t.Errorf("HEAD = %d, want 405: it is no poll", got.StatusCode)
		}
	})
}

func TestTheTargetIsAsItStandsInThePathShape(t *testing.T) {
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
	inBubble(t, gateway.Options{}, func(b *bubble) {
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
		// Programs that went without a word do not count for the whole lease.
		time.Sleep(61 * time.Second)
		b.register("name=demo&token=t0")
	})
}
