package gateway

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
	"reversehttp/server/claim"
)

// unread makes visitors request 240 KiB each and read nothing, and returns how many got an answer.
func (l *linked) unread(visitors int) (taken int) {
	l.t.Helper()
	conflicts := map[string]bool{}
	for range visitors {
		v := l.dial(visitorAddr)
		v.write([]byte(get(host, "/")))
		r := l.next("request")
		l.sendFramed(begin(r), part(r, 1, strings.Repeat("x", 240<<10), true))
	}
	l.visit(get(host, "/quick"))
	last := l.next("request")
	l.sendFramed(respond(last, "here"))
	for r := l.result(); r.ID != last.ID; r = l.result() {
		if r.Status == schema.ResultConflict {
			conflicts[r.ID] = true
		}
	}
	return visitors - len(conflicts)
}

// Neither content beyond the window of a link nor invalid content widens it.
func TestTheWindowOfALinkStays(t *testing.T) {
	for name, before := range map[string]func(*linked){
		"after too much": func(*linked) {},
		"after what is invalid": func(l *linked) {
			for range 30 {
				l.sendFramed(envelope.FramedAnswers.Part("nobody", 1, make([]byte, 180<<10), envelope.Tail{Trailers: envelope.Pairs(nil).Append("A", strings.Repeat("x", 66<<10))}))
				if r := l.result(); r.Status != schema.ResultInvalid {
					l.t.Fatalf("%+v", r)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, Options{LinkWindow: 1 << 20}, func(w *world) {
				l, _ := w.claim("demo").link()
				before(l)
				if got := l.unread(16); got != 4 {
					t.Errorf("%d visitors have 240 KiB that they did not take, of a window of 1 MiB, want 4", got)
				}
			})
		})
	}
}

// Parts without content count in no window, so their number is bounded, and each has a weight.
func TestEmptyPartsOnALinkAreBounded(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		l, _ := w.claim("demo").link()
		v := w.dial(visitorAddr)
		v.write([]byte(get(host, "/")))
		r := l.next("request")
		l.sendFramed(begin(r), part(r, 1, "x", true))
		synctest.Wait()
		held, seq := w.held(), 1
		for seq < 4_000 {
			var b bytes.Buffer
			for range 1_000 {
				seq++
				b.Write(part(r, seq, "", true))
			}
			l.sendFramed(b.Bytes())
		}
		synctest.Wait()
		if more := w.held() - held; more < 4_000*100 {
			t.Errorf("4,000 parts without content weigh %d bytes", more)
		}
		var b bytes.Buffer
		for range 200 {
			seq++
			b.Write(part(r, seq, "", true))
		}
		l.sendFramed(b.Bytes())
		for {
			if r := l.result(); r.Status == schema.ResultConflict {
				break
			}
		}
	})
}

// upgradeOf returns a request for a link with some fields.
func (p *program) upgradeOf(fields ...string) string {
	path := strings.TrimPrefix(strings.Replace(p.Link, "ws:", "http:", 1), p.origin())
	fields = append(fields, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: reversehttp.1", "Last-Event-ID: "+p.Cursor)
	return "GET " + path + " HTTP/1.1\r\nHost: localhost:8080\r\n" + strings.Join(fields, "\r\n") + "\r\n\r\n"
}

const linkKey = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="

// opened opens a link and returns its connection.
func (p *program) opened(fields ...string) *visitor {
	p.t.Helper()
	v := p.dial(visitorAddr)
	v.write([]byte(p.upgradeOf(append(fields, linkKey)...)))
	resp, err := http.ReadResponse(v.in, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		p.t.Fatalf("%v %v", resp, err)
	}
	return v
}

// A refused upgrade replaces no link.
func TestARefusedUpgradeReplacesNoLink(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		l, _ := p.link()
		if got := w.ask(p.upgradeOf("Authorization: Bearer t0")); got.code() != schema.CodeUpgradeNeeded {
			t.Errorf("%d %s, want that a key is needed", got.Status, got.Content)
		}
		w.visit(get(host, "/"))
		l.next("request")
	})
}

// A stopping gateway waits for no program that neither reads nor closes its link, and notifies those whose
// link is being opened.
func TestALinkDoesNotDelayTheEndOfTheGateway(t *testing.T) {
	for name, open := range map[string]func(*world, *program){
		"that reads nothing": func(_ *world, p *program) { p.link() },
		"that is mute": func(_ *world, p *program) {
			v := p.opened("Authorization: Bearer t0")
			go func() { _, _ = io.Copy(io.Discard, v.in) }()
		},
		"that is being opened": func(w *world, p *program) {
			v := w.dial(visitorAddr)
			v.write([]byte(p.upgradeOf("Authorization: Bearer t0", linkKey)))
			synctest.Wait() // the poll is open, and the 101 is being written
			time.AfterFunc(time.Second, func() { _, _ = io.Copy(io.Discard, v.in) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, Options{}, func(w *world) {
				open(w, w.claim("demo"))
				synctest.Wait()
				began := time.Now()
				<-w.stops()
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("the end took %v", took)
				}
			})
		})
	}
}

// When the gateway ends a link, its program may still be there.
func TestTheEndOfALinkByTheGatewayIsNotAHangup(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		raw := w.claim("demo").opened("Authorization: Bearer t0")
		go func() { _, _ = io.Copy(io.Discard, raw.in) }()
		v := w.visit(get(host, "/"))
		synctest.Wait()
		_, _ = raw.conn.Write([]byte{0xF1, 0x80, 0, 0, 0, 0}) // reserved bits
		began := time.Now()
		if v.await(); time.Since(began) < 9*time.Second {
			t.Errorf("the visitor was answered after %v, as if the program had hung up", time.Since(began))
		}
	})
}

// A hello is read like every message: its members must be named exactly, and once.
func TestTheRulesOfMessagesHoldForAHello(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		for hello, code := range map[string]schema.Code{
			`{"type":"hello","token":"wrong","token":"t0"}`: schema.CodeBadJSON,
			`{"TYPE":"hello","ToKeN":"t0"}`:                 schema.CodeTokenNeeded,
			`{"type":"hello","token":"t0","cursor":7}`:      schema.CodeBadJSON,
			`[]`: schema.CodeBadJSON,
		} {
			l, err := p.dialLink(nil)
			if err != nil {
				t.Fatal(err)
			}
			l.say(hello)
			if m := l.read(); m.Type != "error" || m.Code != code {
				t.Errorf("%s: %+v, want %s", hello, m, code)
			}
			if got := l.end(); got != websocket.StatusPolicyViolation {
				t.Errorf("%s: closed with %d", hello, got)
			}
		}
	})
}

// A gateway with longer timeouts for its programs still sends its own messages in time.
func TestALinkGetsSignsOfLifeInTime(t *testing.T) {
	inWorld(t, Options{Times: claim.Times{Acknowledge: time.Minute}}, func(w *world) {
		l, _ := w.claim("demo").link()
		began := time.Now()
		for range 2 {
			for l.read().Type != "ping" {
			}
			l.say(`{"type":"pong"}`)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("the gateway was silent for %v", took)
		}
	})
}
