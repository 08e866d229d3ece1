package gateway

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/schema"
)

// raw begins a POST to a responseUrl; the returned function writes its content.
func (p *program) raw(url string, fields ...string) (*visitor, func(chunk string)) {
	p.t.Helper()
	v := p.dial(visitorAddr)
	target := strings.TrimPrefix(url, p.origin())
	v.sendNow(requestTo("POST", "localhost:8080", target, append(fields, "Authorization: Bearer "+p.Token, "Transfer-Encoding: chunked")...))
	return v, func(chunk string) {
		if chunk == "" {
			v.sendNow("0\r\n\r\n")
			return
		}
		v.sendNow(fmt.Sprintf("%x\r\n%s\r\n", len(chunk), chunk))
	}
}

func (v *visitor) sendNow(s string) {
	v.world.t.Helper()
	if _, err := v.conn.Write([]byte(s)); err != nil {
		v.world.t.Errorf("write: %v", err)
	}
}

// tear begins to stream and breaks off.
func (p *program) tear(id, content string) {
	v, send := p.raw(p.Session + "/exchanges/" + id + "/response")
	send(content)
	synctest.Wait()
	_ = v.conn.Close()
}

func TestContentStreamsUnchanged(t *testing.T) {
	for _, whole := range []bool{false, true} {
		inWorld(t, Options{}, func(w *world) {
			p := w.claim("demo")
			v := p.dial(visitorAddr)
			v.write([]byte(get(host, "/")))
			r := p.next()
			if !whole {
				p.respond(schema.Response{ID: r.ID, Status: 203, More: true, Headers: []schema.Field{{"X-A", "b"}, {"Content-Type", "text/plain"}}})
			}
			post, send := p.raw(r.ResponseURL, "Content-Type: text/plain", "Reversehttp-Status: 203", "Reversehttp-Field-X-A: b", "X-Not: 1", "Trailer: X-Sum")
			send("one")
			resp := v.head("GET")
			if h := resp.Header; resp.StatusCode != 203 || h.Get("X-A") != "b" || h.Get("Content-Type") != "text/plain" || h.Get("X-Not") != "" || h.Get("Authorization") != "" {
				t.Errorf("head = %d %v", resp.StatusCode, h)
			}
			v.take(resp.Body, "one")
			time.Sleep(40 * time.Second) // no poll: the request itself keeps the session
			send("two")
			v.take(resp.Body, "two")
			time.Sleep(40 * time.Second)
			post.sendNow("0\r\nX-Sum: 6\r\nContent-Length: 9\r\n\r\n")
			if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 || resp.Trailer.Get("X-Sum") != "6" || len(resp.Trailer) != 1 {
				t.Errorf("rest = %q %v %v, want a clean end with a trailer", rest, err, resp.Trailer)
			}
			if got := post.read("POST"); got.Status != 202 || into[schema.Result](t, got).Status != schema.ResultAccepted {
				t.Errorf("result = %d %s %v", got.Status, got.Content, got.Err)
			}
		})
	}
}

func TestAStreamIsFreedWhenItsVisitorLeaves(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		v, r, resp := p.begun(get(host, "/"), schema.Response{Status: 200})
		post, send := p.raw(r.ResponseURL)
		send("one")
		v.take(resp.Body, "one")
		start := time.Now()
		_ = v.conn.Close()
		if got := post.read("POST"); got.Status != 202 || into[schema.Result](t, got).Status != schema.ResultLate || time.Since(start) > time.Second {
			t.Errorf("result = %d %s after %s, want late at once", got.Status, got.Content, time.Since(start))
		}
		post, _ = p.raw(r.ResponseURL)
		post.write([]byte("0\r\n\r\n"))
		if got := post.read("POST"); got.Status != 202 || into[schema.Result](t, got).Status != schema.ResultLate {
			t.Errorf("a stream after that = %d %s, want late", got.Status, got.Content)
		}
	})
}

func TestAWholeAnswerOfFieldsIsChecked(t *testing.T) {
	for name, c := range map[string]struct {
		fields  []string
		content string
		status  int
		visitor int
	}{
		"no number":          {[]string{"Reversehttp-Status: abc"}, "", 400, 0},
		"status 99":          {[]string{"Reversehttp-Status: 99"}, "", 400, 0},
		"negative":           {[]string{"Reversehttp-Status: -200"}, "", 400, 0},
		"coding":             {[]string{"Reversehttp-Field-Transfer-Encoding: x"}, "", 400, 0},
		"204 with content":   {[]string{"Reversehttp-Status: 204"}, "x", 400, 0},
		"204":                {[]string{"Reversehttp-Status: 204"}, "", 202, 204},
		"304":                {[]string{"Reversehttp-Status: 304"}, "", 202, 304},
		"no status":          {nil, "", 202, 200},
		"its own type":       {[]string{"Content-Type: a/b", "Reversehttp-Field-Content-Type: c/d"}, "", 202, 200},
		"hop by hop dropped": {[]string{"Reversehttp-Field-Connection: x"}, "", 202, 200},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, Options{}, func(w *world) {
				p := w.claim("demo")
				v := p.visit(get(host, "/"))
				r := p.next()
				post, send := p.raw(r.ResponseURL, c.fields...)
				if c.content != "" {
					send(c.content)
				}
				go post.conn.Write([]byte("0\r\n\r\n"))
				got := post.read("POST")
				if got.Status != c.status || c.status == 400 && got.code() != schema.CodeBadMember {
					t.Errorf("result = %d %s %v, want %d", got.Status, got.Content, got.Err, c.status)
				}
				if c.visitor == 0 {
					if !v.pending() {
						t.Fatal("the visitor was answered")
					}
					p.respond(schema.Response{ID: r.ID, Status: 200})
					c.visitor = 200
				}
				a := v.await()
				if a.Status != c.visitor || name == "its own type" && !slices.Equal(a.Header["Content-Type"], []string{"c/d"}) {
					t.Errorf("visitor got %d %v", a.Status, a.Header)
				}
			})
		})
	}
}

func TestSecondStreamsAreRefused(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		v, r, resp := p.begun(get(host, "/"), schema.Response{Status: 200})
		first, send := p.raw(r.ResponseURL)
		send("a")
		v.take(resp.Body, "a")
		second, _ := p.raw(r.ResponseURL, "Reversehttp-Status: 201")
		if got := second.read("POST"); got.Status != 202 || into[schema.Result](t, got).Status != schema.ResultConflict {
			t.Errorf("second = %d %s, want conflict", got.Status, got.Content)
		}
		if got := p.answer(schema.Part{Type: "part", ID: r.ID, Seq: 1}); got.Status != schema.ResultInvalid || *got.Pointer != "/type" {
			t.Errorf("part = %+v, want invalid", got)
		}
		send("")
		if got := first.read("POST"); into[schema.Result](t, got).Status != schema.ResultAccepted {
			t.Errorf("first = %d %s, want accepted", got.Status, got.Content)
		}
		unknown, _ := p.raw(p.Session + "/exchanges/none/response")
		if got := unknown.read("POST"); got.Status != 404 || got.code() != schema.CodeNoExchange {
			t.Errorf("unknown = %d %s, want no_exchange", got.Status, got.Content)
		}
	})
}
