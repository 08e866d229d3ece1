package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/schema"
)

// head reads the head of an answer whose content comes later.
func (v *visitor) head(method string) *http.Response {
	v.world.t.Helper()
	for {
		resp, err := http.ReadResponse(v.in, &http.Request{Method: method})
		if err != nil {
			v.world.t.Fatalf("head: %v", err)
		}
		if resp.StatusCode >= 200 {
			return resp
		}
	}
}

// take reads content, which must be want.
func (v *visitor) take(from io.Reader, want string) {
	v.world.t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(from, got); err != nil || string(got) != want {
		v.world.t.Errorf("content = %q %v, want %q", got, err, want)
	}
}

// part posts a part and checks its result.
func (p *program) part(part schema.Part, want schema.ResultStatus) {
	p.t.Helper()
	part.Type = schema.TypePart
	if got := p.answer(part); got.Status != want {
		p.t.Errorf("part %d = %s %s, want %s", part.Seq, got.Status, got.Detail, want)
	}
}

// begun returns a visitor whose answer has begun.
func (p *program) begun(raw string, a schema.Response) (*visitor, schema.Request, *http.Response) {
	p.t.Helper()
	v := p.dial(visitorAddr)
	v.write([]byte(raw))
	r := p.next()
	a.ID, a.More = r.ID, true
	p.respond(a)
	method, _, _ := strings.Cut(raw, " ")
	return v, r, v.head(method)
}

func TestEachPartIsFlushed(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		v, r, resp := p.begun(get(host, "/"), schema.Response{Status: 201, Headers: []schema.Field{{"X-A", "b"}}, Body: new("first")})
		if resp.StatusCode != 201 || resp.Header.Get("X-A") != "b" || resp.Header["Content-Type"] != nil {
			t.Errorf("head = %d %v", resp.StatusCode, resp.Header)
		}
		v.take(resp.Body, "first")
		p.part(schema.Part{ID: r.ID, Seq: 1, Body: new("second"), More: true}, schema.ResultAccepted)
		v.take(resp.Body, "second")
		time.Sleep(50 * time.Second) // longer than a write may take
		p.part(schema.Part{ID: r.ID, Seq: 2, BodyBase64: new("/w=="), Trailers: []schema.Field{{"x-sum", "é"}, {"X-Sum", "2"}}}, schema.ResultAccepted)
		v.take(resp.Body, "\xff")
		if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
			t.Errorf("rest = %q %v, want a clean end", rest, err)
		}
		if got := resp.Trailer["X-Sum"]; !slices.Equal(got, []string{"\xe9", "2"}) {
			t.Errorf("trailers = %q", resp.Trailer)
		}
		if got := w.counted("reversehttp_content_bytes_total"); !slices.Contains(got, `reversehttp_content_bytes_total{of="response"} 12`) {
			t.Errorf("bytes: %v", got)
		}
	})
}

func TestAnAnswerThatEndsLateEndsCleanly(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		v, r, resp := p.begun(get(host, "/"), schema.Response{Status: 200, Body: new("a")})
		v.take(resp.Body, "a")
		go p.keep()
		time.Sleep(55 * time.Second)
		p.part(schema.Part{ID: r.ID, Seq: 1, Trailers: []schema.Field{{"X-Sum", "1"}}}, schema.ResultAccepted)
		if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 || len(resp.Trailer["X-Sum"]) != 1 {
			t.Errorf("rest = %q %v %v, want a clean end and one trailer", rest, err, resp.Trailer)
		}
		w.send("DELETE", p.Claim, "t0", nil)
	})
}

func TestAWholeAnswerHasTrailers(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		v := p.dial(visitorAddr)
		v.write([]byte(get(host, "/")))
		p.respond(schema.Response{ID: p.next().ID, Status: 200, Body: new("hello"), Trailers: []schema.Field{{"X-Sum", "5"}}})
		resp := v.head("GET")
		if got, err := io.ReadAll(resp.Body); err != nil || string(got) != "hello" || !slices.Equal(resp.Trailer["X-Sum"], []string{"5"}) {
			t.Errorf("answer = %q %v %v", got, err, resp.Trailer)
		}
	})
}

func TestABrokenStreamHasNoCleanEnd(t *testing.T) {
	for name, end := range map[string]func(p *program, id string){
		"abort":       func(p *program, id string) { p.answer(schema.Abort{Type: "abort", ID: id}) },
		"lost":        func(p *program, _ string) { p.send("DELETE", p.Session, "t0", nil) },
		"silence":     func(p *program, _ string) { go p.keep(); time.Sleep(time.Minute); p.send("DELETE", p.Claim, "t0", nil) },
		"torn stream": func(p *program, id string) { p.tear(id, "x") },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, Options{}, func(w *world) {
				p := w.claim("demo")
				v, r, resp := p.begun(get(host, "/"), schema.Response{Status: 200, Body: new("first")})
				v.take(resp.Body, "first")
				end(p, r.ID)
				if rest, err := io.ReadAll(resp.Body); err != io.ErrUnexpectedEOF || len(rest) > 1 {
					t.Errorf("rest = %q %v, want no clean end", rest, err)
				}
			})
		})
	}
}

func TestAStatedLengthIsEnforced(t *testing.T) {
	for name, c := range map[string]struct {
		first, part, want string
		err               error
	}{
		"exact":          {"ab", "cde", "abcde", nil},
		"short":          {"ab", "cd", "abcd", io.ErrUnexpectedEOF},
		"long":           {"ab", "cdef", "ab", io.ErrUnexpectedEOF},
		"long beginning": {"abcdefgh", "", "", io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, Options{}, func(w *world) {
				p := w.claim("demo")
				v := p.dial(visitorAddr)
				v.write([]byte(get(host, "/")))
				r := p.next()
				p.respond(schema.Response{ID: r.ID, Status: 200, Body: &c.first, More: true, Headers: []schema.Field{{"Content-Length", "5"}}})
				got := make(chan *reply, 1)
				go func() { got <- v.read("GET") }()
				synctest.Wait()
				p.answer(schema.Part{Type: "part", ID: r.ID, Seq: 1, Body: &c.part})
				a := <-got
				if c.first != "abcdefgh" && (a.Header.Get("Content-Length") != "5" || string(a.Content) != c.want || a.Err != c.err) ||
					c.first == "abcdefgh" && a.Err == nil {
					t.Errorf("answer = %q %v %v, want %q %v", a.Content, a.Header, a.Err, c.want, c.err)
				}
				if c.want == "ab" {
					if got := w.counted("reversehttp_exchanges_total"); !slices.Contains(got, `reversehttp_exchanges_total{code="handler_failed",outcome="failed"} 1`) {
						t.Errorf("counted %v, want the handler's fault", got)
					}
				}
			})
		})
	}
}

func TestVisitorsOfEveryKindGetAStream(t *testing.T) {
	for name, c := range map[string]struct{ raw, want string }{
		"HEAD":     {requestTo("HEAD", host, "/"), ""},
		"HTTP/1.0": {"GET / HTTP/1.0\r\nHost: " + host + "\r\n\r\n", "firstlast"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, Options{}, func(w *world) {
				p := w.claim("demo")
				v, r, resp := p.begun(c.raw, schema.Response{Status: 200, Body: new("first")})
				p.part(schema.Part{ID: r.ID, Seq: 1, Body: new("last"), Trailers: []schema.Field{{"A", "b"}}}, schema.ResultAccepted)
				if got, err := io.ReadAll(resp.Body); err != nil || string(got) != c.want || resp.TransferEncoding != nil {
					t.Errorf("content = %q %v %v, want %q", got, err, resp.TransferEncoding, c.want)
				}
				if rest := v.rest(); len(rest) > 0 {
					t.Errorf("%q came after it", rest)
				}
			})
		})
	}
}

func TestAConnectionIsKeptAfterAStream(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		v, r, resp := p.begun("GET / HTTP/1.1\r\nHost: "+host+"\r\n\r\n", schema.Response{Status: 200})
		p.part(schema.Part{ID: r.ID, Seq: 1, Body: new("x")}, schema.ResultAccepted)
		v.take(resp.Body, "x")
		_, _ = io.Copy(io.Discard, resp.Body)
		v.send(get(host, "/next"))
		again := p.next()
		p.respond(schema.Response{ID: again.ID, Status: 204})
		if got := v.await(); got.Status != 204 || again.Target != "/next" {
			t.Errorf("the next request %s got %d", again.Target, got.Status)
		}
	})
}

func TestASlowVisitorHoldsTheSenderBack(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		v, r, resp := p.begun(get(host, "/"), schema.Response{Status: 200})
		big := strings.Repeat("a", 128<<10)
		var posts []*call
		for i := range 3 { // one is written to the visitor, one waits, the next is held back
			posts = append(posts, w.begin(w.request("POST", p.Responses, "t0", schema.Part{Type: "part", ID: r.ID, Seq: i + 1, Body: &big, More: i < 2})))
			synctest.Wait()
		}
		select {
		case <-posts[2].done:
			t.Fatal("the third part was not held back")
		default:
		}
		got := 0
		for buf := make([]byte, 1<<10); got < 3*len(big); { // this takes longer than a session may be silent
			n, err := resp.Body.Read(buf)
			if err != nil {
				t.Fatalf("after %d bytes: %v", got, err)
			}
			got += n
			time.Sleep(50 * time.Millisecond)
		}
		for i, c := range posts {
			<-c.done
			if c.got.Err != nil || !strings.Contains(string(c.got.Content), `"accepted"`) {
				t.Errorf("part %d: %s %v", i+1, c.got.Content, c.got.Err)
			}
		}
		v.take(resp.Body, "")
	})
}

func TestAVisitorWhoLeavesFreesTheSender(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		v, r, _ := p.begun(get(host, "/"), schema.Response{Status: 200})
		big := strings.Repeat("a", 200<<10)
		p.part(schema.Part{ID: r.ID, Seq: 1, Body: &big, More: true}, schema.ResultAccepted)
		held := w.begin(w.request("POST", p.Responses, "t0", schema.Part{Type: "part", ID: r.ID, Seq: 2, Body: &big, More: true}))
		synctest.Wait()
		start := time.Now()
		_ = v.conn.Close()
		<-held.done
		if took := time.Since(start); took > time.Second || !strings.Contains(string(held.got.Content), `"late"`) {
			t.Errorf("the sender heard %s after %s, want late at once", held.got.Content, took)
		}
		p.part(schema.Part{ID: r.ID, Seq: 3, More: true}, schema.ResultLate)
	})
}

func TestURLsOfStreamsNeedTheTokenOfTheClaim(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p, other := w.claim("demo"), w.claim("other")
		v, size := p.dial(visitorAddr), 100_000
		v.write([]byte(requestTo("POST", host, "/", fmt.Sprint("Content-Length: ", size))))
		r := p.next()
		w.send("PATCH", other.Claim, "t0", map[string]any{"token": "t1"})
		for _, c := range []struct{ method, url string }{{"GET", r.BodyURL}, {"POST", r.ResponseURL}} {
			for as, want := range map[string]schema.Code{"": schema.CodeTokenNeeded, "t1": schema.CodeTokenWrong} {
				if got := w.send(c.method, c.url, as, nil); got.code() != want {
					t.Errorf("%s %s as %q = %d %s, want %s", c.method, c.url, as, got.Status, got.Content, want)
				}
			}
			moved := strings.Replace(c.url, p.Session, other.Session, 1)
			if got := w.send(c.method, moved, "t1", nil); got.code() != schema.CodeNoExchange {
				t.Errorf("%s %s = %d %s, want no_exchange", c.method, moved, got.Status, got.Content)
			}
			got := w.ask(requestTo("OPTIONS", "localhost:8080", strings.TrimPrefix(c.url, w.origin()), "Origin: null",
				"Access-Control-Request-Method: "+c.method, "Access-Control-Request-Headers: authorization,content-type,reversehttp-field-x,reversehttp-status"))
			if got.Status/100 != 2 || got.Header.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(got.Header.Get("Access-Control-Allow-Headers"), "reversehttp-field-x") {
				t.Errorf("preflight = %d %v", got.Status, got.Header)
			}
		}
		p.respond(schema.Response{ID: r.ID, Status: 200})
		if got := newReply(http.ReadResponse(bufio.NewReader(v.conn), nil)); got.Status != 200 {
			t.Errorf("answer = %d %v", got.Status, got.Err)
		}
	})
}

func TestAVisitorWhoLeavesAfterTheStatedLengthCountsAsServed(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		v := w.visit(get(host, "/"))
		r := p.next()
		body := "hello"
		p.respond(schema.Response{ID: r.ID, Status: 200, Headers: []schema.Field{{"Content-Length", "5"}}, Body: &body, More: true})
		if got := v.await(); string(got.Content) != body {
			t.Fatalf("visitor got %q, want %q", got.Content, body)
		}
		_ = v.conn.Close()
		synctest.Wait()
		if got := p.answer(schema.Part{Type: schema.TypePart, ID: r.ID, Seq: 1}); got.Status != schema.ResultAccepted {
			t.Errorf("last part = %s, want accepted, because the visitor had everything", got.Status)
		}
		synctest.Wait()
		if got := w.counted(`reversehttp_exchanges_total{code="",outcome="done"}`); len(got) != 1 {
			t.Errorf("counted as done: %v, want one", got)
		}
	})
}
