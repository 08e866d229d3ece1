package gateway

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/schema"
	"reversehttp/server/problem"
)

// fetch begins to fetch the content of a request.
func (p *program) fetch(r schema.Request) *http.Response {
	p.t.Helper()
	resp, err := p.client.Do(p.request("GET", r.BodyURL, p.Token, nil))
	if err != nil || resp.StatusCode != 200 {
		p.t.Fatalf("fetch: %v %v", resp, err)
	}
	p.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// chunked frames content as chunks of different sizes.
func chunked(content []byte, trailer string) []byte {
	var b bytes.Buffer
	for n := 1; len(content) > 0; n = n*7%90_001 + 1 {
		n = min(n, len(content))
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, content[:n])
		content = content[n:]
	}
	fmt.Fprintf(&b, "0\r\n%s\r\n", trailer)
	return b.Bytes()
}

func random(n int) []byte {
	b := make([]byte, n)
	rnd := rand.NewChaCha8([32]byte{1})
	_, _ = rnd.Read(b)
	return b
}

func TestFetchedContentIsExact(t *testing.T) {
	content := random(3<<20 + 17)
	for name, raw := range map[string][]byte{
		"length":  append([]byte(requestTo("POST", host, "/", fmt.Sprint("Content-Length: ", len(content)))), content...),
		"chunked": append([]byte(requestTo("POST", host, "/", "Transfer-Encoding: chunked", "Trailer: X-Sum")), chunked(content, "X-Sum: 17\r\n")...),
	} {
		t.Run(name, func(t *testing.T) {
			inBothWorlds(t, Options{}, func(w *world) {
				p := w.claim("demo")
				v := p.dial(visitorAddr)
				v.write(raw)
				r := p.next()
				got := p.fetch(r)
				all, err := io.ReadAll(got.Body)
				if err != nil || !bytes.Equal(all, content) {
					t.Errorf("fetched %d bytes %v, want the %d", len(all), err, len(content))
				}
				if sized := got.ContentLength == int64(len(content)); sized != (name == "length") || (got.Trailer.Get("X-Sum") == "17") != (name == "chunked") {
					t.Errorf("length %d, trailers %v", got.ContentLength, got.Trailer)
				}
				if h := got.Header; h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Content-Security-Policy") != "sandbox" || h.Get("X-Accel-Buffering") != "no" {
					t.Errorf("fields = %v", h)
				}
				if got := p.fetched(r); got.Status != 409 || got.code() != schema.CodeContentTaken {
					t.Errorf("again = %d %s, want content_taken", got.Status, got.Content)
				}
				p.respond(schema.Response{ID: r.ID, Status: 200})
				if got := v.read("POST"); got.Status != 200 || got.Err != nil {
					t.Errorf("answer = %d %v", got.Status, got.Err)
				}
				if got := p.fetched(r); got.Status != 404 || got.code() != schema.CodeNoExchange {
					t.Errorf("after the end = %d %s, want no_exchange", got.Status, got.Content)
				}
				if got := w.counted(`reversehttp_content_bytes_total{of="request"}`); len(got) != 1 || !strings.HasSuffix(got[0], " 3.145745e+06") {
					t.Errorf("bytes: %v", got)
				}
			})
		})
	}
}

func TestASlowReaderHoldsTheVisitorBack(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		v := p.dial(visitorAddr)
		v.sendNow(requestTo("POST", host, "/", "Content-Length: 1048576"))
		var taken atomic.Int64
		go func() {
			for piece := make([]byte, 4<<10); taken.Load() < 1<<20; {
				n, err := v.conn.Write(piece)
				if taken.Add(int64(n)); err != nil {
					return
				}
			}
		}()
		r := p.next()
		synctest.Wait()
		if n := taken.Load(); n > 16<<10 {
			t.Errorf("%d bytes were read before the program asked", n)
		}
		got := p.fetch(r)
		read := 0
		for buf := make([]byte, 8<<10); read < 1<<20; {
			n, err := got.Body.Read(buf)
			read += n
			if err != nil && read < 1<<20 {
				t.Fatalf("after %d bytes: %v", read, err)
			}
			synctest.Wait()
			if ahead := taken.Load() - int64(read); ahead > 128<<10 {
				t.Fatalf("%d bytes are held for a slow reader", ahead)
			}
			time.Sleep(200 * time.Millisecond) // in total longer than a session may be silent
		}
		p.respond(schema.Response{ID: r.ID, Status: 200})
		if got := v.read("POST"); got.Status != 200 {
			t.Errorf("answer = %d %v", got.Status, got.Err)
		}
	})
}

func TestFaultsOfContentEndTheExchange(t *testing.T) {
	chunks := requestTo("POST", host, "/", "Transfer-Encoding: chunked") + "5\r\nhello\r\n"
	for name, c := range map[string]struct {
		raw  string
		code schema.Code
	}{
		"malformed": {chunks + "zz\r\n", schema.CodeBadRequest},
		"too slow":  {chunks, schema.CodeTooSlow},
		"too large": {chunks + "11170\r\n" + strings.Repeat("a", 70_000) + "\r\n0\r\n\r\n", schema.CodeContentTooLarge},
	} {
		for _, begun := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", answering ", begun), func(t *testing.T) {
				inWorld(t, Options{ContentBytes: 66_000}, func(w *world) {
					p := w.claim("demo")
					v := p.dial(visitorAddr)
					v.write([]byte(c.raw))
					r := p.next()
					if begun {
						p.respond(schema.Response{ID: r.ID, Status: 200, More: true})
					}
					answer := make(chan *reply, 1)
					go func() { answer <- v.read("POST") }()
					got := p.fetch(r)
					if all, err := io.ReadAll(got.Body); err == nil || len(all) > 66_000 || len(all) > 0 && !strings.HasPrefix(string(all), "hello") {
						t.Errorf("the handler got %d bytes, %v", len(all), err)
					}
					batch := string(w.send("GET", p.Requests, "t0", nil).Content)
					if !strings.Contains(batch, `"cancel"`) || !strings.Contains(batch, `visitor_gone`) {
						t.Errorf("batch = %s, want the cancellation", batch)
					}
					if got := p.answer(schema.Response{Type: "response", ID: r.ID, Status: 200}); got.Status != schema.ResultLate {
						t.Errorf("a late answer is %s", got.Status)
					}
					a := <-answer
					switch {
					case begun && a.Err == nil:
						t.Errorf("answer = %d %q, want no clean end", a.Status, a.Content)
					case !begun && (a.Status != problem.Status(c.code) || a.code() != c.code || a.handed() != "?1"):
						t.Errorf("answer = %d %s %v, want %s", a.Status, a.Content, a.Header, c.code)
					}
					if rest := v.rest(); len(rest) > 0 {
						t.Errorf("%q came after it", rest)
					}
				})
			})
		}
	}
}

func TestContentIsExpectedOnlyWhenItIsFetched(t *testing.T) {
	for _, asks := range []bool{true, false} {
		inWorld(t, Options{}, func(w *world) {
			p := w.claim("demo")
			v := p.dial(visitorAddr)
			v.sendNow("POST / HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 70000\r\nExpect: 100-continue\r\n\r\n")
			seen := make(chan int, 2)
			go func() {
				for range 2 {
					resp, err := http.ReadResponse(v.in, nil)
					if err != nil {
						break
					}
					seen <- resp.StatusCode
				}
				close(seen)
			}()
			r := p.next()
			time.Sleep(3 * time.Second)
			if len(seen) > 0 {
				t.Fatalf("the visitor got %d before the program asked", <-seen)
			}
			if asks {
				got := p.fetch(r)
				if n := <-seen; n != 100 {
					t.Fatalf("the visitor got %d, want 100", n)
				}
				v.write(make([]byte, 70_000))
				if all, err := io.ReadAll(got.Body); err != nil || len(all) != 70_000 {
					t.Errorf("fetched %d bytes, %v", len(all), err)
				}
			}
			p.respond(schema.Response{ID: r.ID, Status: 204})
			if n := <-seen; n != 204 {
				t.Errorf("the visitor got %d, want 204", n)
			}
		})
	}
}

// leftover is content that must not count as a request.
const leftover = "GET /leftover HTTP/1.1\r\nHost: " + host + "\r\n\r\n"

func TestAnEarlyAnswerEndsTheConnection(t *testing.T) {
	for _, more := range []bool{false, true} {
		for _, fetches := range []bool{false, true} {
			t.Run(fmt.Sprint("more ", more, ", fetches ", fetches), func(t *testing.T) {
				inWorld(t, Options{}, func(w *world) {
					p := w.claim("demo")
					v := p.dial(visitorAddr)
					v.write([]byte("POST / HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 90000\r\n\r\nabc"))
					r := p.next()
					var got *http.Response
					if fetches {
						got = p.fetch(r)
						v.take(got.Body, "abc")
					}
					time.Sleep(15 * time.Second) // the deadline of reading is over
					p.respond(schema.Response{ID: r.ID, Status: 200, Body: new("early"), More: more})
					resp := v.head("POST")
					v.take(resp.Body, "early")
					if more {
						p.part(schema.Part{ID: r.ID, Seq: 1, Body: new("end")}, schema.ResultAccepted)
						v.take(resp.Body, "end")
					}
					v.write([]byte(strings.Repeat(leftover, 100)))
					if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
						t.Errorf("rest = %q %v, want a clean end", rest, err)
					}
					if fetches {
						if all, err := io.ReadAll(got.Body); err == nil {
							t.Errorf("the handler got %d bytes to a clean end", len(all))
						}
					}
					if rest := v.rest(); len(rest) > 0 {
						t.Errorf("%q came after the answer", rest)
					}
					if rs := p.poll(schema.Field{"Prefer", "wait=1"}); rs != nil {
						t.Errorf("the handler got %v", rs)
					}
				})
			})
		}
	}
}

func TestAnEchoFlowsBothWays(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		v := p.dial(visitorAddr)
		v.write([]byte("POST / HTTP/1.1\r\nHost: " + host + "\r\nTransfer-Encoding: chunked\r\n\r\n"))
		r := p.next()
		got := p.fetch(r)
		p.respond(schema.Response{ID: r.ID, Status: 200, More: true})
		resp := v.head("POST")
		go p.keep() // otherwise the lease ends
		for i := range 20 {
			piece := fmt.Sprint("piece ", i)
			v.sendNow(fmt.Sprintf("%x\r\n%s\r\n", len(piece), piece))
			v.take(got.Body, piece)
			p.part(schema.Part{ID: r.ID, Seq: i + 1, Body: &piece, More: true}, schema.ResultAccepted)
			v.take(resp.Body, piece)
			time.Sleep(8 * time.Second)
		}
		v.sendNow("0\r\n\r\n")
		if rest, err := io.ReadAll(got.Body); err != nil || len(rest) > 0 {
			t.Errorf("rest of the request = %q %v", rest, err)
		}
		p.part(schema.Part{ID: r.ID, Seq: 21}, schema.ResultAccepted)
		if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
			t.Errorf("rest of the answer = %q %v", rest, err)
		}
		w.send("DELETE", p.Claim, "t0", nil)
		v.send(get(host, "/again"))
		if got := v.await(); got.code() != schema.CodeNoClaim {
			t.Errorf("the next request on the connection got %d %s", got.Status, got.Content)
		}
	})
}

func TestAConnectionIsKeptAfterContentWasFetched(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		v := p.dial(visitorAddr)
		for i := range 3 {
			v.send(fmt.Sprint("PUT /", i, " HTTP/1.1\r\nHost: ", host, "\r\nContent-Length: 70000\r\n\r\n", strings.Repeat("a", 70_000)))
			r := p.next()
			if all, err := io.ReadAll(p.fetch(r).Body); err != nil || len(all) != 70_000 {
				t.Errorf("fetched %d bytes, %v", len(all), err)
			}
			time.Sleep(45 * time.Second) // longer than any deadline of reading
			p.respond(schema.Response{ID: r.ID, Status: 200, Body: new("ok")})
			if got := v.await(); got.Status != 200 || r.Target != fmt.Sprint("/", i) {
				t.Errorf("request %d, %s, got %d", i, r.Target, got.Status)
			}
		}
	})
}

func TestAnExchangeContinuesAfterACutFetch(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		v := p.dial(visitorAddr)
		v.write(append([]byte(requestTo("POST", host, "/", "Content-Length: 1000000")), make([]byte, 1_000_000)...))
		r := p.next()
		got := p.fetch(r)
		v.take(got.Body, strings.Repeat("\x00", 1000))
		_ = got.Body.Close()
		synctest.Wait()
		if got := p.fetched(r); got.code() != schema.CodeContentTaken {
			t.Errorf("again = %d %s, want content_taken", got.Status, got.Content)
		}
		p.respond(schema.Response{ID: r.ID, Status: 500, Body: new("sorry")})
		if got := v.read("POST"); got.Status != 500 || string(got.Content) != "sorry" || got.Err != nil {
			t.Errorf("answer = %d %q %v", got.Status, got.Content, got.Err)
		}
	})
}

func TestAVisitorWhoLeavesWhileItsContentIsRead(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		v := p.dial(visitorAddr)
		v.write([]byte(requestTo("POST", host, "/", "Content-Length: 1000000") + "abc"))
		r := p.next()
		got := p.fetch(r)
		v.take(got.Body, "abc")
		start := time.Now()
		_ = v.conn.Close()
		if _, err := io.ReadAll(got.Body); err == nil || time.Since(start) > time.Second {
			t.Errorf("the fetch ended with %v after %s, want no clean end at once", err, time.Since(start))
		}
		synctest.Wait()
		if n := w.gateway.registry.Stats().Exchanges; n != 0 {
			t.Errorf("open exchanges = %d, want 0", n)
		}
	})
}
