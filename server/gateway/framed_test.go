package gateway

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
	"reversehttp/server/claim"
)

// frames begins a POST {responses} in the framed form; the returned function writes its content.
func (p *program) frames() (*visitor, func(chunk string)) {
	p.t.Helper()
	return p.raw(p.Responses, "Content-Type: "+envelope.MediaFramed)
}

// results returns the results of a POST {responses}.
func (v *visitor) results() []schema.ResultStatus {
	v.world.t.Helper()
	got := v.read("POST")
	if got.Err != nil || got.Status != 202 {
		v.world.t.Fatalf("results: %d %s %v", got.Status, got.Content, got.Err)
	}
	var list []schema.ResultStatus
	for _, r := range into[schema.Results](v.world.t, got).Results {
		list = append(list, r.Status)
	}
	return list
}

// over reports whether the connection ends without another byte.
func (v *visitor) over() bool {
	rest, err := io.ReadAll(v.in)
	return err == nil && len(rest) == 0
}

// long returns the line of a message with more content than a partBytes of 8.
func long(kind, id, members string, length int) string {
	return fmt.Sprintf(`{"type":%q,"id":%q,%s,"contentLength":%d}`+"\n", kind, id, members, length)
}

func TestLongContentIsRelayedAsItComes(t *testing.T) {
	for name, more := range map[string]bool{"whole": false, "with more": true} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, Options{PartBytes: 8}, func(w *world) {
				p := w.claim("demo")
				v := p.dial(visitorAddr)
				v.write([]byte(get(host, "/")))
				r := p.next()
				post, send := p.frames()
				head := long("response", r.ID, fmt.Sprintf(`"status":203,"headers":[["X-A","b"]],"more":%t`, more), 12)
				send(head + "first")
				resp := v.head("GET")
				if resp.StatusCode != 203 || resp.Header.Get("X-A") != "b" || (resp.ContentLength == 12) == more {
					t.Errorf("head = %d %v, length %d", resp.StatusCode, resp.Header, resp.ContentLength)
				}
				v.take(resp.Body, "first")
				time.Sleep(40 * time.Second) // the request itself keeps the session
				send("\nsecond\n")
				send("")
				if !more {
					if rest, err := io.ReadAll(resp.Body); err != nil || string(rest) != "\nsecond" {
						t.Errorf("rest = %q %v", rest, err)
					}
					if got := post.results(); len(got) != 1 || got[0] != schema.ResultAccepted {
						t.Errorf("results = %v, want accepted", got)
					}
					again, send := p.frames()
					send(head + "first\nsecond\n")
					if got := again.results(); len(got) != 1 || got[0] != schema.ResultDuplicate {
						t.Errorf("the same again = %v, want a duplicate", got)
					}
					return
				}
				v.take(resp.Body, "\nsecond")
				if got := post.results(); len(got) != 1 || got[0] != schema.ResultAccepted {
					t.Errorf("results = %v, want accepted", got)
				}
				again, send := p.frames()
				send(head + "first\nsecond\n")
				if got := again.results(); got[0] != schema.ResultDuplicate {
					t.Errorf("the same again = %v, want a duplicate", got)
				}
				// Another part that is relayed, one that is not, and a long last one.
				for seq, part := range []string{"long part", "short", "the last one"} {
					post, send := p.frames()
					send(long("part", r.ID, fmt.Sprintf(`"seq":%d,"more":%t`, seq+1, seq < 2), len(part)) + part + "\n")
					send("")
					v.take(resp.Body, part)
					if got := post.results(); len(got) != 1 || got[0] != schema.ResultAccepted {
						t.Errorf("part %d = %v, want accepted", seq+1, got)
					}
					again, send := p.frames()
					send(long("part", r.ID, fmt.Sprintf(`"seq":%d`, seq+1), len(part)) + part + "\n")
					if len(part) <= 8 { // otherwise the content has to be read
						send("")
					}
					if got := again.results(); got[0] != schema.ResultDuplicate {
						t.Errorf("part %d again = %v, want a duplicate", seq+1, got)
					}
				}
				if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
					t.Errorf("rest = %q %v, want a clean end", rest, err)
				}
			})
		})
	}
}

func TestLongContentThatEndsEarlyCutsTheAnswer(t *testing.T) {
	for name, end := range map[string]string{"torn": "", "too short": "0\r\n\r\n", "no LF": "1\r\nx\r\n0\r\n\r\n", "a message follows": "3\r\n\n{}\r\n0\r\n\r\n"} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, Options{PartBytes: 8}, func(w *world) {
				p := w.claim("demo")
				v := p.dial(visitorAddr)
				v.write([]byte(get(host, "/")))
				r := p.next()
				post, send := p.frames()
				content := "twelve bytes"
				if end == "" || strings.HasPrefix(end, "0") {
					content = "twelve"
				}
				send(long("response", r.ID, `"status":200`, 12) + content)
				resp := v.head("GET")
				if end == "" {
					synctest.Wait()
					_ = post.conn.Close()
				} else {
					post.sendNow(end)
					if got := post.read("POST"); got.Status != 400 || got.code() != schema.CodeBadJSON || !post.over() {
						t.Errorf("answer = %d %s, want 400 bad_json and the end of the connection", got.Status, got.Content)
					}
				}
				if end == "" || strings.HasPrefix(end, "0") {
					if rest, err := io.ReadAll(resp.Body); err == nil || !strings.HasPrefix("twelve", string(rest)) {
						t.Errorf("content = %q %v, want a cut", rest, err)
					}
				}
				again, send := p.frames()
				send(long("response", r.ID, `"status":200`, 12) + "twelve bytes\n")
				if got := again.results(); len(got) != 1 || got[0] != schema.ResultConflict {
					t.Errorf("the same again = %v, want a conflict", got)
				}
			})
		})
	}
}

func TestLongContentOfAnInvalidMessageIsNotRead(t *testing.T) {
	inWorld(t, Options{PartBytes: 8}, func(w *world) {
		p := w.claim("demo")
		v := p.visit(get(host, "/"))
		r := p.next()
		for _, line := range []string{
			long("response", r.ID, `"status":99`, 9), long("response", r.ID, `"status":204`, 9), long("part", r.ID, `"seq":1`, 9), long("part", r.ID, `"seq":0`, 9),
			long("response", r.ID, `"status":200,"headers":[["Content-Length","8"]]`, 9), long("response", r.ID, `"status":200,"body":""`, 9),
			long("response", r.ID, `"status":101,"more":true`, 9), long("future", r.ID, `"status":200`, 9), long("response", "", `"status":200`, 9),
			long("response", r.ID, `"status":200,"headers":[["A","b"],["C"]]`, 9), long("response", r.ID, `"status":200,"headers":[[" ","b"]]`, 9),
		} {
			post, send := p.frames()
			send(line) // and nothing of the content
			got := post.read("POST")
			if got.Status != 202 || !post.over() {
				t.Fatalf("%s: %d %s, want 202 and the end of the connection", line, got.Status, got.Content)
			}
			if results := into[schema.Results](t, got).Results; len(results) != 1 || results[0].Status != schema.ResultInvalid {
				t.Errorf("%s: %+v, want invalid", line, results)
			}
		}
		p.framed = true
		p.respond(schema.Response{ID: r.ID, Status: 200, Body: new("8 bytes.")})
		if got := v.await(); got.Status != 200 || string(got.Content) != "8 bytes." {
			t.Errorf("answer = %d %q", got.Status, got.Content)
		}
	})
}

func TestFramedAnswersHaveBounds(t *testing.T) {
	inWorld(t, Options{Limits: claim.Limits{Batch: 2}}, func(w *world) {
		p := w.claim("demo")
		abort := `{"type":"abort","id":"none"}` + "\n"
		if got := p.posts([]byte(abort + abort)); got.Status != 202 || strings.Count(string(got.Content), "unknown") != 2 {
			t.Errorf("two = %d %s", got.Status, got.Content)
		}
		if got := p.posts([]byte(abort + abort + abort)); got.Status != 400 || got.code() != schema.CodeBadMember {
			t.Errorf("three = %d %s, want 400 bad_member", got.Status, got.Content)
		}
		if got := p.posts(bytes.Repeat([]byte("a"), envelope.MostLine+1)); got.Status != 400 || got.code() != schema.CodeBadJSON {
			t.Errorf("a long line = %d %s, want 400 bad_json", got.Status, got.Content)
		}
		if got := p.posts(nil); got.Status != 202 || string(got.Content) != `{"results":[]}`+"\n" {
			t.Errorf("nothing = %d %s, want no results", got.Status, got.Content)
		}
	})
}

// Content between both bounds is beside its message in the framed form, and has a bodyUrl for a session that polls in
// another form.
func TestContentIsInlineIfTheFormOfThePollAllowsIt(t *testing.T) {
	inWorld(t, Options{InlineBytes: 4, FramedInlineBytes: 8}, func(w *world) {
		p := w.claim("demo")
		ask := func(content string) *visitor {
			return w.visit(requestTo("PUT", host, "/", fmt.Sprint("Content-Length: ", len(content))) + content)
		}
		check := func(content, want string) {
			t.Helper()
			v := ask(content)
			r := p.next()
			got := "bodyUrl"
			if r.Body != nil {
				got = *r.Body
			} else if fetched := p.fetched(r); fetched.Status != 200 || string(fetched.Content) != content || fetched.Header.Get("Content-Length") != fmt.Sprint(len(content)) {
				t.Errorf("content = %d %q, want %q", fetched.Status, fetched.Content, content)
			}
			if got != want {
				t.Errorf("%q came by %q, want %q", content, got, want)
			}
			p.respond(schema.Response{ID: r.ID, Status: 204})
			v.await()
		}
		check("four", "four")
		check("longer", "bodyUrl")
		p.framed = true
		p.poll()
		check("longer", "longer")
		check("a\nb\n\n{}", "a\nb\n\n{}")
		check("more than 8", "bodyUrl")
		// It was read for the session in the framed form, and goes to another.
		v := ask("longer")
		synctest.Wait()
		p.framed = false
		r := p.next()
		if r.Body != nil || r.BodyURL == "" {
			t.Fatalf("a batch has %+v, want a bodyUrl", r)
		}
		if got := p.fetched(r); string(got.Content) != "longer" {
			t.Errorf("content = %d %q", got.Status, got.Content)
		}
		if got := p.fetched(r); got.code() != schema.CodeContentTaken {
			t.Errorf("content again = %d %s, want content_taken", got.Status, got.Content)
		}
		p.respond(schema.Response{ID: r.ID, Status: 204})
		v.await()
	})
}

// A stream in the framed form may have several times as much unacknowledged content as a batch.
func TestAFramedStreamCarriesMore(t *testing.T) {
	for form, most := range map[string]int{envelope.MediaFramed: 4 << 20, "application/x-ndjson": 1 << 20} {
		inWorld(t, Options{Times: claim.Times{Answer: 10 * time.Minute}}, func(w *world) {
			p := w.claim("demo")
			const size = 64 << 10
			for range most/size + 4 {
				w.visit(requestTo("PUT", host, "/", fmt.Sprint("Content-Length: ", size)) + strings.Repeat("x", size))
			}
			synctest.Wait()
			got := p.send("GET", p.Requests, p.Token, nil, schema.Field{"Accept", form}, schema.Field{"Last-Event-ID", p.Cursor})
			if n := bytes.Count(got.Content, []byte(`"attempt":1`)); n < most/size || n > most/size+1 {
				t.Errorf("%s: %d requests of 64 KiB, want %d", form, n, most/size)
			}
		})
	}
}
