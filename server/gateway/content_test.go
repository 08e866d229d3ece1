package gateway

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/schema"
	"reversehttp/server/claim"
	"reversehttp/server/problem"
)

// refused checks that a visitor got a problem and that the handler got nothing.
func (p *program) refused(got *reply, code schema.Code) {
	p.t.Helper()
	if got.Err != nil || got.Status != problem.Status(code) || got.code() != code || got.handed() != "?0" {
		p.t.Errorf("answer = %d %s %v, want %d %s ?0", got.Status, got.Content, got.Err, problem.Status(code), code)
	}
	synctest.Wait()
	if rs := p.poll(schema.Field{"Prefer", "wait=0"}); rs != nil {
		p.t.Errorf("the handler got %v", rs)
	}
	if n := p.gateway.registry.Stats().Exchanges; n != 0 {
		p.t.Errorf("open exchanges = %d, want 0", n)
	}
}

func TestBoundsOfARequest(t *testing.T) {
	long := strings.Repeat("a", 16_384)
	many := strings.Repeat("X: 1\r\n", 256)
	for name, c := range map[string]struct {
		raw  string
		code schema.Code
	}{
		"target":  {get(host, "/"+long), schema.CodeTargetTooLong},
		"fields":  {get(host, "/", "X: "+strings.Repeat("a", 65_536)), schema.CodeFieldsTooLarge},
		"lines":   {get(host, "/", many+"Y: 1"), schema.CodeFieldsTooLarge},
		"content": {requestTo("POST", host, "/", "Content-Length: 65537") + strings.Repeat("a", 65_537), schema.CodeContentTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, Options{ContentBytes: 65_536}, func(w *world) {
				p := w.claim("demo")
				p.refused(w.ask(c.raw), c.code)
			})
		})
	}
	for name, raw := range map[string]string{
		"target":  get(host, "/"+long[1:]),
		"lines":   get(host, "/", strings.TrimSuffix(many, "X: 1\r\n")[6:]+"Y: 1"),
		"content": requestTo("POST", host, "/", "Content-Length: 65536") + strings.Repeat("a", 65_536),
	} {
		t.Run(name+" at the bound", func(t *testing.T) {
			inWorld(t, Options{}, func(w *world) {
				if _, got := w.claim("demo").served(raw, schema.Response{Status: 204}); got.Status != 204 {
					t.Errorf("answer = %d %s, want 204", got.Status, got.Content)
				}
			})
		})
	}
}

// upload writes size bytes of content before it reads, as a simple client does.
func (v *visitor) upload(head string, size int) *reply {
	v.world.t.Helper()
	if _, err := v.conn.Write([]byte(head)); err != nil {
		v.world.t.Fatalf("writing the head: %v", err)
	}
	sent := make(chan int, 1)
	go func() {
		chunk, n := make([]byte, 32<<10), 0
		for n < size {
			k, err := v.conn.Write(chunk[:min(len(chunk), size-n)])
			n += k
			if err != nil {
				break
			}
		}
		sent <- n
	}()
	got := v.read("POST")
	if n := <-sent; n != size {
		v.world.t.Errorf("%d bytes of %d were taken before the connection ended", n, size)
	}
	return got
}

func TestAVisitorWhoIsStillSendingGetsTheRefusal(t *testing.T) {
	const size = 5 << 20
	for name, c := range map[string]struct {
		host, target string
		code         schema.Code
		o            Options
	}{
		"too large":      {host, "/", schema.CodeContentTooLarge, Options{ContentBytes: 65_536}},
		"nobody's label": {"nobody.localhost:8080", "/", schema.CodeNoClaim, Options{}},
		"wrong host":     {"evil.example", "/", schema.CodeWrongHost, Options{}},
		"long target":    {host, "/" + strings.Repeat("a", 17_000), schema.CodeTargetTooLong, Options{}},
		"no session":     {host, "/", schema.CodeNoHandler, Options{}},
	} {
		t.Run(name, func(t *testing.T) {
			inBothWorlds(t, c.o, func(w *world) {
				p := w.claim("demo")
				if c.code == schema.CodeNoHandler {
					w.send("DELETE", p.Session, "t0", nil)
				}
				head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n", c.target, c.host, size)
				got := w.dial(visitorAddr).upload(head, size)
				if got.Err != nil || got.code() != c.code {
					t.Errorf("answer = %d %s %v, want %s", got.Status, got.Content, got.Err, c.code)
				}
			})
		})
	}
}

func TestTheGatewayReadsOnAfterARefusalForALimitedTime(t *testing.T) {
	inWorld(t, Options{ContentBytes: 65_536}, func(w *world) {
		w.claim("demo")
		v := w.dial(visitorAddr)
		v.write([]byte("POST / HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 99999999\r\n\r\n"))
		start := time.Now()
		if got := v.read("POST"); got.Err != nil || got.Status != 413 {
			t.Fatalf("answer = %d %v, want 413", got.Status, got.Err)
		}
		_, _ = io.Copy(io.Discard, v.in)
		if took := time.Since(start); took < lingerTime || took > lingerTime+time.Second {
			t.Errorf("the connection ended after %s, want about %s", took, lingerTime)
		}
	})
}

func TestSlowContentIsRefused(t *testing.T) {
	inWorld(t, Options{Times: claim.Times{Answer: 3 * time.Second}, ContentRate: 100}, func(w *world) {
		p := w.claim("demo")
		v := w.dial(visitorAddr)
		start := time.Now()
		v.write([]byte(requestTo("POST", host, "/", "Content-Length: 1000") + strings.Repeat("a", 200)))
		got := v.read("POST")
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("the refusal came after %s, want 5s: the time for an answer, and a second for each 100 bytes", took)
		}
		p.refused(got, schema.CodeTooSlow)
	})
}

func TestContentThatKeepsTheRateIsAccepted(t *testing.T) {
	inWorld(t, Options{Times: claim.Times{Answer: 3 * time.Second}, ContentRate: 100}, func(w *world) {
		p := w.claim("demo")
		v := w.dial(visitorAddr)
		v.write([]byte(requestTo("POST", host, "/", "Content-Length: 1000")))
		for range 10 {
			time.Sleep(time.Second)
			v.write([]byte(strings.Repeat("a", 100)))
		}
		r := p.next()
		if r.Body == nil || len(*r.Body) != 1000 {
			t.Errorf("content = %s, want 1000 bytes", quoted(r.Body))
		}
		time.Sleep(2 * time.Second) // the deadline of reading must not end the wait
		p.respond(schema.Response{ID: r.ID, Status: 200})
		if got := v.read("POST"); got.Err != nil || got.Status != 200 {
			t.Errorf("answer = %d %v, want 200", got.Status, got.Err)
		}
	})
}

// trickle sends a visitor's POST and then pieces of its content, one after each pause, and
// returns the answer.
func (w *world) trickle(fields, framed string, pieces int, pause time.Duration) (got *reply, took time.Duration) {
	v := w.dial(visitorAddr)
	start := time.Now()
	v.write([]byte(requestTo("POST", host, "/", fields)))
	stop := make(chan struct{})
	go func() {
		for range pieces {
			select {
			case <-time.After(pause):
			case <-stop:
				return
			}
			if _, err := v.conn.Write([]byte(framed)); err != nil {
				return
			}
		}
		if strings.HasPrefix(fields, "Transfer") {
			v.write([]byte("0\r\n\r\n"))
		}
	}()
	got = v.read("POST")
	close(stop)
	return got, time.Since(start)
}

func TestTheRateOfContentDoesNotDependOnItsFraming(t *testing.T) {
	for name, c := range map[string]struct {
		fields, piece string
		pieces        int
		pause         time.Duration
		status        int
	}{
		"small, stated":  {"Content-Length: 63", "aaaaaaa", 9, 4 * time.Second, 200},
		"small, chunked": {"Transfer-Encoding: chunked", "7\r\naaaaaaa\r\n", 9, 4 * time.Second, 200},
		"slow, inline":   {"Content-Length: 60000", "aaaaaaaa", 500, time.Second, 408},
		"slow, stated":   {"Content-Length: 1000000", "aaaaaaaa", 500, time.Second, 408},
		"slow, chunked":  {"Transfer-Encoding: chunked", "8\r\naaaaaaaa\r\n", 500, time.Second, 408},
		"a pause":        {"Content-Length: 63", "aaaaaaa", 9, 41 * time.Second, 408},
		"a pause, again": {"Transfer-Encoding: chunked", "7\r\naaaaaaa\r\n", 9, 41 * time.Second, 408},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, Options{}, func(w *world) {
				p := w.claim("demo")
				var program sync.WaitGroup
				defer program.Wait()
				program.Go(func() {
					if c.status == 408 && (name == "slow, inline" || name == "a pause") {
						return // it is refused before a program has it
					}
					r := p.next()
					if r.BodyURL != "" {
						go p.keep()
						if all := p.fetched(r); all.Err != nil {
							return
						}
					}
					p.respond(schema.Response{ID: r.ID, Status: 200})
				})
				got, took := w.trickle(c.fields, c.piece, c.pieces, c.pause)
				if got.Err != nil || got.Status != c.status || c.status == 408 && got.code() != schema.CodeTooSlow {
					t.Errorf("answer = %d %s %v after %s, want %d", got.Status, got.Content, got.Err, took, c.status)
				}
				if strings.HasPrefix(name, "slow") && (took < 60*time.Second || took > 62*time.Second) {
					t.Errorf("the refusal came after %s, want 60s and a second for each 1,024 bytes received", took)
				}
			})
		})
	}
}

func TestALiveUploadMayTrickle(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		v := w.dial(visitorAddr)
		v.write([]byte(requestTo("POST", host, "/", "Transfer-Encoding: chunked")))
		r := p.next()
		go p.keep()
		answer := make(chan *reply, 1)
		go func() { answer <- v.read("POST") }()
		p.respond(schema.Response{ID: r.ID, Status: 200, Body: new("begun"), More: true})
		fetched := p.fetch(r)
		for i := range 30 { // five minutes at a byte every ten seconds
			time.Sleep(10 * time.Second)
			v.write([]byte("1\r\na\r\n"))
			if _, err := io.ReadFull(fetched.Body, make([]byte, 1)); err != nil {
				t.Fatalf("byte %d: %v", i, err)
			}
			p.part(schema.Part{ID: r.ID, Seq: i + 1, More: true}, schema.ResultAccepted)
		}
		v.write([]byte("0\r\n\r\n"))
		if rest, err := io.ReadAll(fetched.Body); err != nil || len(rest) > 0 {
			t.Errorf("rest = %q %v", rest, err)
		}
		p.part(schema.Part{ID: r.ID, Seq: 31, Body: new(" ended")}, schema.ResultAccepted)
		if got := <-answer; got.Err != nil || string(got.Content) != "begun ended" {
			t.Errorf("answer = %q %v, want all of it", got.Content, got.Err)
		}
	})
}

func TestContentThatEndsEarlyIsRefused(t *testing.T) {
	for name, raw := range map[string]string{
		"bad chunk size": requestTo("POST", host, "/", "Transfer-Encoding: chunked") + "zz\r\n",
		"no chunk end":   requestTo("POST", host, "/", "Transfer-Encoding: chunked") + "1\r\nab\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, Options{}, func(w *world) {
				p := w.claim("demo")
				v := w.visit(raw)
				r := p.next()
				if got := p.fetched(r); got.Err == nil {
					t.Errorf("the handler got %q to a clean end", got.Content)
				}
				if got := v.await(); got.Status != 400 || got.code() != schema.CodeBadRequest || got.handed() == "?0" {
					t.Errorf("answer = %d %s %s, want 400 bad_request", got.Status, got.Content, got.handed())
				}
			})
		})
	}
}

func TestAVisitorWhoLeavesMidwayThroughContentLeavesNoExchange(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		v := w.dial(visitorAddr)
		v.write([]byte(requestTo("POST", host, "/", "Content-Length: 10") + "abc"))
		synctest.Wait()
		if n := w.gateway.registry.Stats().Exchanges; n != 1 {
			t.Fatalf("open exchanges = %d, want the one that is received", n)
		}
		_ = v.conn.Close()
		synctest.Wait()
		if n := w.gateway.registry.Stats().Exchanges; n != 0 {
			t.Errorf("open exchanges = %d, want 0", n)
		}
		if rs := p.poll(schema.Field{"Prefer", "wait=0"}); rs != nil {
			t.Errorf("the handler got %v", rs)
		}
	})
}

func TestExpectedContentIsAskedFor(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		v := w.dial(visitorAddr)
		v.write([]byte(requestTo("POST", host, "/", "Content-Length: 5", "Expect: 100-continue")))
		resp, err := http.ReadResponse(v.in, nil)
		if err != nil || resp.StatusCode != 100 {
			t.Fatalf("first answer = %v %v, want 100", resp, err)
		}
		v.write([]byte("hello"))
		r := p.next()
		if r.Body == nil || *r.Body != "hello" {
			t.Errorf("content = %s, want hello", quoted(r.Body))
		}
		p.respond(schema.Response{ID: r.ID, Status: 201})
		if got := v.read("POST"); got.Status != 201 {
			t.Errorf("answer = %d, want 201", got.Status)
		}
	})
}

func TestRefusedContentIsNotAskedFor(t *testing.T) {
	inWorld(t, Options{Limits: claim.Limits{Queue: 1}, ContentBytes: 65_536}, func(w *world) {
		p := w.claim("demo")
		for name, raw := range map[string]string{
			"too large": requestTo("POST", host, "/", "Content-Length: 65537", "Expect: 100-continue"),
			"no claim":  requestTo("POST", "nobody.localhost", "/", "Content-Length: 5", "Expect: 100-continue"),
		} {
			v := w.dial(visitorAddr)
			v.write([]byte(raw))
			start := time.Now()
			resp, err := http.ReadResponse(v.in, nil)
			if err != nil || resp.StatusCode < 400 {
				t.Errorf("%s: first answer = %v %v, want the refusal", name, resp, err)
				continue
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if rest := v.rest(); len(rest) > 0 || time.Since(start) > time.Second {
				t.Errorf("%s: the connection ended after %s with %q, want at once", name, time.Since(start), rest)
			}
		}
		if rs := p.poll(schema.Field{"Prefer", "wait=0"}); rs != nil {
			t.Errorf("the handler got %v", rs)
		}
	})
}
