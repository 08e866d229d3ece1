package gateway

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/schema"
	"reversehttp/server/problem"
)

// echo answers every request of p with its target, until the test ends. It reads all content.
func (p *program) echo() {
	go func() {
		for {
			got := newReply(p.client.Do(p.request("GET", p.Requests, p.Token, nil)))
			if got.Err != nil || got.Status == 410 || got.Status == 503 {
				return
			}
			if got.Status == 204 {
				continue
			}
			for _, m := range into[schema.Batch](p.t, got).Messages {
				var r schema.Request
				if json.Unmarshal(m, &r) != nil || r.Type != schema.TypeRequest {
					continue
				}
				if r.BodyURL != "" {
					p.fetched(r)
				}
				body := r.Method + " " + r.Target
				// The visitor may end the test before this is answered.
				_ = newReply(p.client.Do(p.request("POST", p.Responses, p.Token, schema.Response{Type: schema.TypeResponse, ID: r.ID, Status: 200, Body: &body})))
			}
		}
	}()
	synctest.Wait()
}

// odd are targets that net/http refuses or would write differently.
var odd = []string{
	"/%", "/%z", "/%zz", "/a%2", "/100%/b%41%4", "/%?%", "/?%zz", "/a;b?c;d", "//x//../y", "/%2F%2e%2E", "/\\", "/a|b^c`{}\"<>",
	"/\xc3\xa9", "/\xff", "/a?", "/a??b", "/a%00", "/#", "*",
}

func TestTargetsAreRelayedByteForByte(t *testing.T) {
	for _, c := range []struct {
		name string
		send func(v *visitor, raw []string)
	}{
		{"one connection each", nil},
		{"one after another", func(v *visitor, raw []string) {
			for _, one := range raw {
				v.conn.Write([]byte(one))
				v.next()
			}
		}},
		{"byte by byte", func(v *visitor, raw []string) {
			for _, one := range raw {
				for i := range len(one) {
					v.conn.Write([]byte{one[i]})
				}
				v.next()
			}
		}},
		{"pipelined", func(v *visitor, raw []string) {
			// Each in a separate write, so that net/http reads one head at a time.
			go func() {
				for _, one := range raw {
					v.conn.Write([]byte(one))
				}
			}()
			for range raw {
				v.next()
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBothWorlds(t, Options{}, func(w *world) {
				w.claim("demo").echo()
				var raw, want []string
				for _, target := range odd {
					method := "GET"
					if target == "*" {
						method = "OPTIONS"
					}
					raw = append(raw, fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\n\r\n", method, target, host))
					want = append(want, method+" "+toString(target))
				}
				v := w.dial(visitorAddr)
				if c.send == nil {
					for i := range raw {
						v = w.dial(visitorAddr)
						v.write([]byte(raw[i]))
						v.next()
						v.saw(t, want[i:i+1])
					}
					return
				}
				c.send(v, raw)
				v.saw(t, want)
			})
		})
	}
}

// next reads the next answer and keeps it.
func (v *visitor) next() {
	got := v.read("GET")
	v.all = append(v.all, got)
}

// saw checks the contents of the answers that next read.
func (v *visitor) saw(t *testing.T, want []string) {
	t.Helper()
	for i, got := range v.all {
		if got.Err != nil || got.Status != 200 || string(got.Content) != want[i] {
			t.Errorf("answer %d = %d %q %v, want 200 %q", i, got.Status, got.Content, got.Err, want[i])
		}
	}
}

func TestALongMalformedTargetIsRelayed(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.claim("demo").echo()
		target := "/" + strings.Repeat("%4%%z", 1600) // more than net/http reads at once
		if got := w.ask(get(host, target)); got.Status != 200 || string(got.Content) != "GET "+target {
			t.Errorf("answer = %d, %d bytes; want the target of %d bytes", got.Status, len(got.Content), len(target))
		}
	})
}

func TestContentThatLooksLikeARequestLineIsUnchanged(t *testing.T) {
	inBothWorlds(t, Options{}, func(w *world) {
		p := w.claim("demo")
		v := w.dial(visitorAddr)
		content := "GET /%zz HTTP/1.1\r\n\r\n50 /%!\n"
		for range 3 {
			v.write(fmt.Appendf(nil, "POST /%%zz HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n", host, len(content)))
			synctest.Wait()
			v.write([]byte(content))
			r := p.next()
			if r.Target != "/%zz" || r.Body == nil || *r.Body != content {
				t.Errorf("the handler got %q and content %q, want %q", r.Target, quoted(r.Body), content)
			}
			p.respond(schema.Response{ID: r.ID, Status: 204})
			v.next()
		}
	})
}

func TestPipelinedContentIsNeverChanged(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		v := w.dial(visitorAddr)
		content := "x /%zz HTTP/1.1\r\n"
		post := fmt.Sprintf("POST /a HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n", host, 2*len(content))
		// The second head comes with the first request, so it is read before
		// its content is.
		v.write([]byte("GET /first HTTP/1.1\r\nHost: " + host + "\r\n\r\n" + post + content))
		r := p.next()
		p.respond(schema.Response{ID: r.ID, Status: 204})
		v.next()
		v.write([]byte(content))
		r = p.next()
		if r.Target != "/a" || r.Body == nil || *r.Body != content+content {
			t.Errorf("the handler got %q %s, want the content twice", r.Target, quoted(r.Body))
		}
		p.respond(schema.Response{ID: r.ID, Status: 204})
		v.next()
	})
}

func TestPipelinedPiecesAreRelayedUnchanged(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		v := w.dial(visitorAddr)
		for _, target := range []string{"/second", "/_"} {
			// The second head comes in two pieces, and the second piece looks like a request line.
			v.write([]byte("GET /first HTTP/1.1\r\nHost: " + host + "\r\n\r\nPOST " + target + " HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 4\r\nX: "))
			p.respond(schema.Response{ID: p.next().ID, Status: 204})
			v.next()
			synctest.Wait()
			v.write([]byte("a /%zz\r\n\r\nx /%"))
			r := p.next()
			if r.Target != target || r.Body == nil || *r.Body != "x /%" || values(r, "X")[0] != "a /%zz" {
				t.Errorf("the handler got %q %q %s, want %q and what was sent", r.Target, values(r, "X"), quoted(r.Body), target)
			}
			p.respond(schema.Response{ID: r.ID, Status: 204})
			v.next()
		}
	})
}

func TestThePieceThatEndsAPipelinedHeadIsUnchanged(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		v := w.dial(visitorAddr)
		v.write([]byte("GET /first HTTP/1.1\r\nHost: " + host + "\r\n\r\nPOST /_ HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 4\r\n"))
		p.respond(schema.Response{ID: p.next().ID, Status: 204})
		v.next()
		synctest.Wait()
		v.write([]byte("\r\nx /%"))
		if r := p.next(); r.Target != "/_" || r.Body == nil || *r.Body != "x /%" {
			t.Errorf("the handler got %q %s, want /_ and x /%%", r.Target, quoted(r.Body))
		}
	})
}

func TestARefusalByNetHTTPIsAProblem(t *testing.T) {
	for name, c := range map[string]struct {
		raw  string
		code schema.Code
		says string
	}{
		"no request line":        {"hello\r\n\r\n", schema.CodeBadRequest, "malformed"},
		"three spaces":           {"GET / x HTTP/1.1\r\nHost: " + host + "\r\n\r\n", schema.CodeBadRequest, "malformed"},
		"no host":                {"GET / HTTP/1.1\r\n\r\n", schema.CodeBadRequest, "missing required Host"},
		"two hosts":              {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", schema.CodeBadRequest, ""},
		"bad host":               {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", schema.CodeBadRequest, "malformed Host"},
		"bad field name":         {"GET / HTTP/1.1\r\nHost: " + host + "\r\na b: c\r\n\r\n", schema.CodeBadRequest, ""},
		"bad field value":        {"GET / HTTP/1.1\r\nHost: " + host + "\r\na: b\x00\r\n\r\n", schema.CodeBadRequest, ""},
		"lengths that differ":    {"POST / HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", schema.CodeBadRequest, ""},
		"invalid length":         {"POST / HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: +1\r\n\r\na", schema.CodeBadRequest, ""},
		"coding unknown":         {"POST / HTTP/1.1\r\nHost: " + host + "\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", schema.CodeBadRequest, "transfer coding"},
		"version unknown":        {"GET / HTTP/3.7\r\nHost: " + host + "\r\n\r\n", schema.CodeBadRequest, "unsupported protocol version"},
		"control in the target":  {"GET /\x01 HTTP/1.1\r\nHost: " + host + "\r\n\r\n", schema.CodeBadRequest, ""},
		"target without slash":   {"GET foo HTTP/1.1\r\nHost: " + host + "\r\n\r\n", schema.CodeBadRequest, ""},
		"giant head":             {"GET / HTTP/1.1\r\nHost: " + host + "\r\nX: " + strings.Repeat("a", 300_000) + "\r\n\r\n", schema.CodeFieldsTooLarge, ""},
		"expects something else": {"POST / HTTP/1.1\r\nHost: " + host + "\r\nExpect: a-miracle\r\nContent-Length: 1\r\n\r\na", schema.CodeBadRequest, "100-continue"},
	} {
		t.Run(name, func(t *testing.T) {
			inBothWorlds(t, Options{}, func(w *world) {
				w.claim("demo")
				v := w.visit(c.raw)
				got := v.await()
				status := problem.Status(c.code)
				if got.Status != status || got.code() != c.code || got.handed() != "?0" || got.Header.Get("Cache-Control") != "no-store" {
					t.Errorf("answer = %d %s %v, want %d %s ?0", got.Status, got.Content, got.Header, status, c.code)
				}
				if !strings.Contains(into[schema.Problem](t, got).Detail, c.says) {
					t.Errorf("detail = %s, want it to contain %q", got.Content, c.says)
				}
				if rest := v.rest(); len(rest) > 0 {
					t.Errorf("after the answer came %q", rest)
				}
			})
		})
	}
}

func TestAVisitorGetsARefusalEvenAfterALongSilence(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.claim("demo").echo()
		v := w.dial(visitorAddr)
		v.write([]byte("GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n"))
		v.next()
		time.Sleep(time.Minute) // the write deadline of the first answer has passed
		v.write([]byte("GET / HTTP/1.1\r\n\r\n"))
		v.next()
		if got := v.all[1]; got.Err != nil || got.code() != schema.CodeBadRequest {
			t.Errorf("answer = %d %v, want bad_request", got.Status, got.Err)
		}
	})
}

func TestAnAnswerThatLooksLikeARefusalIsRelayed(t *testing.T) {
	const refusal = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request"
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		for fill := range 8 { // wherever net/http cuts its writes
			body := strings.Repeat("x", 3900+fill*32) + strings.Repeat(refusal, 200)
			if _, got := p.served(get(host, "/"), schema.Response{Status: 400, Body: &body}); string(got.Content) != body {
				t.Errorf("content of %d bytes arrived as %d other bytes", len(body), len(got.Content))
			}
		}
	})
}

func TestASlowHeadGetsAnError(t *testing.T) {
	for _, head := range []string{"GE", "GET / HTTP/1.1\r\nHost: ", "GET / HTTP/1.1\r\nHost: " + host + "\r\n"} {
		inBothWorlds(t, Options{FieldTime: 3 * time.Second}, func(w *world) {
			start := time.Now()
			v := w.visit(head)
			got := v.await()
			if got.Status != 408 || got.code() != schema.CodeTooSlow || got.handed() != "?0" {
				t.Errorf("%q: answer = %d %s, want 408 too_slow", head, got.Status, got.Content)
			}
			if rest, took := v.rest(), time.Since(start); len(rest) > 0 || took != 3*time.Second {
				t.Errorf("%q: the connection ended after %s with %q, want 3s and nothing more", head, took, rest)
			}
		})
	}
}

func TestASilentConnectionEndsWithoutAnAnswer(t *testing.T) {
	inBothWorlds(t, Options{FieldTime: 3 * time.Second, Idle: 5 * time.Second}, func(w *world) {
		v := w.dial(visitorAddr)
		if rest := v.rest(); len(rest) > 0 {
			t.Errorf("a connection without a request got %q", rest)
		}
		w.claim("demo").echo()
		v = w.dial(visitorAddr)
		v.write([]byte("GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n"))
		v.next()
		if rest := v.rest(); v.all[0].Status != 200 || len(rest) > 0 {
			t.Errorf("an idle connection got %q", rest)
		}
	})
}

func quoted(s *string) string {
	if s == nil {
		return "absent"
	}
	return `"` + *s + `"`
}
