package family

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/server/gateway"
)

// Rule 5: replies are relayed as they arrive.
func TestRepliesAreAcceptedInEveryFramingOfOldPrograms(t *testing.T) {
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

func TestAnInvalidReplyIsABadAnswer(t *testing.T) {
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
		// More follows, and the program waits.
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
		// The connection of the program can be used again.
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

func TestAReplyThatBreaksOffMayBeRepeated(t *testing.T) {
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

func TestASecondReplyWhileTheFirstStreamsIsLate(t *testing.T) {
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

func TestAPipelineIsDeliveredAndAnsweredInOrder(t *testing.T) {
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

func TestAPipelineOfRepliesMayFailMidway(t *testing.T) {
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
		next.pending() // the URL is used up; its poll is held back and redirected
		own := next.wait().link("next")
		b.ask(get(own)).is(t, 200, "*")
		if got := b.ask(post(own, "message/http", okay+okay)); got.StatusCode != 400 {
			t.Errorf("two replies to one request = %d, want 400", got.StatusCode)
		}
		v.wait().is(t, 200, "ok")
	})
}
