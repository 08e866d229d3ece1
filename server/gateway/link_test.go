package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
	"reversehttp/server/claim"
)

// linked is a program on a link.
type linked struct {
	*program
	conn *websocket.Conn
	rest []byte          // the rest of a binary message
	got  []schema.Result // results that the test has not read
}

// linkMessage is a message of a gateway on a link.
type linkMessage struct {
	schema.Request
	Code           schema.Code     `json:"code"`
	Results        []schema.Result `json:"results"`
	Limits         schema.Limits   `json:"limits"`
	ExchangeWindow int             `json:"exchangeWindow"`
	LinkWindow     int             `json:"linkWindow"`
	content        string
}

// link opens a link with the token as a field, and reads the welcome.
func (p *program) link() (*linked, linkMessage) {
	p.t.Helper()
	l, err := p.dialLink(http.Header{"Authorization": {"Bearer " + p.Token}, "Last-Event-Id": {p.Cursor}})
	if err != nil {
		p.t.Fatal(err)
	}
	return l, l.next("welcome")
}

func (p *program) dialLink(h http.Header) (*linked, error) {
	conn, _, err := websocket.Dial(context.Background(), strings.Replace(p.Link, "ws:", "http:", 1), &websocket.DialOptions{
		HTTPClient: p.client, HTTPHeader: h, Subprotocols: []string{"reversehttp.1"},
	})
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(-1)
	p.t.Cleanup(func() { _ = conn.CloseNow() })
	return &linked{program: p, conn: conn}, nil
}

// next returns the next message of a type, and answers pings before it.
func (l *linked) next(kind string) linkMessage {
	l.t.Helper()
	for {
		m := l.read()
		switch {
		case m.Type == kind:
			return m
		case m.Type == "ping":
			l.say(`{"type":"pong"}`)
		case m.Type == "results":
			l.got = append(l.got, m.Results...)
		default:
			l.t.Fatalf("%+v, not %s", m, kind)
		}
	}
}

// result returns the next result.
func (l *linked) result() schema.Result {
	l.t.Helper()
	if len(l.got) == 0 {
		l.got = l.next("results").Results
	}
	r := l.got[0]
	l.got = l.got[1:]
	return r
}

// read reads one message.
func (l *linked) read() (m linkMessage) {
	l.t.Helper()
	for len(l.rest) == 0 {
		_, content, err := l.conn.Read(context.Background())
		if err != nil {
			l.t.Fatal(err)
		}
		l.rest = content
	}
	line, rest, _ := bytes.Cut(l.rest, []byte{'\n'})
	if err := json.Unmarshal(line, &m); err != nil {
		l.t.Fatalf("%s: %v", line, err)
	}
	if n := m.ContentLength; n > 0 {
		m.content, rest = string(rest[:n]), rest[n+1:]
	}
	l.rest = rest
	return m
}

// end reads to the end of the link, and returns its close code.
func (l *linked) end() websocket.StatusCode {
	l.t.Helper()
	for {
		_, _, err := l.conn.Read(context.Background())
		if err != nil {
			return websocket.CloseStatus(err)
		}
	}
}

// say sends a JSON message.
func (l *linked) say(text string) {
	l.t.Helper()
	if err := l.conn.Write(context.Background(), websocket.MessageText, []byte(text)); err != nil {
		l.t.Fatal(err)
	}
}

// sendFramed sends messages in the framed form.
func (l *linked) sendFramed(messages ...[]byte) {
	l.t.Helper()
	if err := l.conn.Write(context.Background(), websocket.MessageBinary, bytes.Join(messages, nil)); err != nil {
		l.t.Fatal(err)
	}
}

func TestALinkCarriesBothWays(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		l, welcome := w.claim("demo").link()
		if welcome.Limits.Batch != 64 || welcome.ExchangeWindow == 0 || welcome.LinkWindow < welcome.ExchangeWindow {
			t.Errorf("%+v", welcome)
		}
		v := w.visit("POST /a HTTP/1.1\r\nHost: demo.localhost:8080\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
		r := l.next("request")
		if r.content != "hello" || r.Target != "/a" || r.Cursor == "" || r.Attempt != 1 {
			t.Errorf("%+v", r)
		}
		l.sendFramed(respond(r, "world"))
		if got := v.await(); got.Status != 200 || string(got.Content) != "world" {
			t.Errorf("%d %q", got.Status, got.Content)
		}
		if got := l.result(); got.ID != r.ID || got.Status != schema.ResultAccepted {
			t.Errorf("%+v", got)
		}
	})
}

// respond returns a whole answer to a request.
func respond(r linkMessage, content string) []byte {
	return envelope.FramedAnswers.Response(r.ID, 200, nil, []byte(content), envelope.Tail{})
}

// begin returns the beginning of an answer, and part a further piece.
func begin(r linkMessage) []byte {
	return envelope.FramedAnswers.Response(r.ID, 200, nil, nil, envelope.Tail{More: true})
}

func part(r linkMessage, seq int, content string, more bool) []byte {
	return envelope.FramedAnswers.Part(r.ID, seq, []byte(content), envelope.Tail{More: more})
}

// A visitor who reads nothing delays neither other messages on the link nor acknowledgements, and unread
// content has no result.
func TestALinkWaitsForNoVisitor(t *testing.T) {
	inWorld(t, Options{LinkWindow: 4 << 20}, func(w *world) {
		l, welcome := w.claim("demo").link()
		slow := w.dial(visitorAddr)
		slow.write([]byte(get(host, "/slow")))
		big := l.next("request")
		l.sendFramed(begin(big))
		content := strings.Repeat("x", 200<<10)
		sent := 0
		for sent+len(content) <= welcome.ExchangeWindow {
			l.sendFramed(part(big, sent/len(content)+1, content, true))
			sent += len(content)
		}
		quick := w.visit(get(host, "/quick"))
		l.sendFramed(respond(l.next("request"), "here"))
		if got := quick.await(); string(got.Content) != "here" {
			t.Errorf("%d %q", got.Status, got.Content)
		}
		if got := l.result(); got.ID == big.ID {
			t.Errorf("%+v, though the visitor took nothing", got)
		}
		l.sendFramed(part(big, sent/len(content)+1, "", false))
		slow.done = make(chan struct{})
		go func() {
			defer close(slow.done)
			slow.got = slow.read("GET")
		}()
		if got := slow.await(); len(got.Content) != sent {
			t.Errorf("%d bytes, not %d", len(got.Content), sent)
		}
		for seq := range sent/len(content) + 2 {
			if got := l.result(); got.ID != big.ID || got.Seq != seq || got.Status != schema.ResultAccepted {
				t.Errorf("%+v, not part %d", got, seq)
			}
		}
	})
}

// Content beyond a window ends its own exchange only.
func TestALinkHasWindows(t *testing.T) {
	for name, window := range map[string]int{"of an exchange": 4 << 20, "of the link": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, Options{LinkWindow: window}, func(w *world) {
				l, _ := w.claim("demo").link()
				var slow []*visitor
				exceeded := map[string]bool{}
				for range 6 {
					v := w.dial(visitorAddr)
					v.write([]byte(get(host, "/")))
					slow = append(slow, v)
					r := l.next("request")
					l.sendFramed(begin(r))
					for seq := range 5 {
						l.sendFramed(part(r, seq+1, strings.Repeat("x", 250<<10), true))
					}
				}
				w.visit(get(host, "/quick"))
				last := l.next("request")
				l.sendFramed(respond(last, "here"))
				for {
					r := l.result()
					if r.ID == last.ID {
						break
					}
					if r.Status == schema.ResultConflict {
						exceeded[r.ID] = true
					}
				}
				if len(exceeded) == 0 {
					t.Error("no exchange was aborted")
				}
				for _, v := range slow {
					_ = v.conn.Close()
				}
				again := w.visit(get(host, "/again"))
				r := l.read()
				for r.Type != "request" { // another message may say that a visitor left
					r = l.read()
				}
				l.sendFramed(begin(r), part(r, 1, "fits", false))
				if got := again.await(); string(got.Content) != "fits" {
					t.Errorf("%d %q", got.Status, got.Content)
				}
			})
		})
	}
}

// A link whose program acknowledges nothing gets a bounded number of messages, and more as soon as it does.
func TestALinkIsGivenWhatItAcknowledges(t *testing.T) {
	inWorld(t, Options{Limits: claim.Limits{Batch: 2}}, func(w *world) {
		l, _ := w.claim("demo").link()
		var visits []*visitor
		for range 12 {
			visits = append(visits, w.visit(get(host, "/")))
		}
		var got []linkMessage
		for range 8 { // as many as a stream
			got = append(got, l.next("request"))
		}
		l.say(`{"type":"ack","cursor":"` + got[3].Cursor + `"}`)
		for range 4 {
			got = append(got, l.next("request"))
		}
		for _, r := range got {
			l.sendFramed(respond(r, "here"))
		}
		for _, v := range visits {
			if got := v.await(); got.Status != 200 {
				t.Errorf("%d %s", got.Status, got.Content)
			}
		}
	})
}

// A silent link is lost, one with messages is not, and the exchanges of the lost one move to the next session.
func TestALinkThatIsSilentIsLost(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		l, _ := p.link()
		for range 5 { // 20 s
			if m := l.read(); m.Type != "ping" {
				t.Fatalf("%+v", m)
			}
			l.say(`{"type":"pong"}`)
		}
		v := w.visit(get(host, "/"))
		l.next("request")
		if code := l.end(); code != websocket.StatusPolicyViolation {
			t.Errorf("closed with %d", code)
		}
		other, _ := w.claim("demo").link()
		r := other.next("request")
		if r.Attempt != 2 {
			t.Errorf("attempt %d", r.Attempt)
		}
		other.sendFramed(respond(r, "here"))
		if got := v.await(); got.Status != 200 {
			t.Errorf("%d %s", got.Status, got.Content)
		}
	})
}

// A link without a token in its upgrade ends unless its first message is a short and valid hello.
func TestALinkWithoutAToken(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		for name, test := range map[string]struct {
			say  string
			code schema.Code
			end  websocket.StatusCode
		}{
			"silent":  {"", schema.CodeTokenNeeded, websocket.StatusPolicyViolation},
			"another": {`{"type":"ack"}`, schema.CodeTokenNeeded, websocket.StatusPolicyViolation},
			"wrong":   {`{"type":"hello","token":"t1"}`, schema.CodeTokenWrong, websocket.StatusPolicyViolation},
			"no JSON": {`hello`, schema.CodeBadJSON, websocket.StatusPolicyViolation},
			"cursor":  {`{"type":"hello","token":"t0","cursor":"9-abcdef"}`, schema.CodeBadCursor, websocket.StatusPolicyViolation},
		} {
			l, err := p.dialLink(nil)
			if err != nil {
				t.Fatal(err)
			}
			if test.say != "" {
				l.say(test.say)
			}
			if m := l.read(); m.Type != "error" || m.Code != test.code {
				t.Errorf("%s: %+v, not %s", name, m, test.code)
			}
			if code := l.end(); code != test.end {
				t.Errorf("%s: closed with %d", name, code)
			}
		}
		l, err := p.dialLink(nil)
		if err != nil {
			t.Fatal(err)
		}
		l.say(`{"type":"hello","token":"` + strings.Repeat("t", 4_200) + `"}`)
		if code := l.end(); code != websocket.StatusMessageTooBig {
			t.Errorf("closed with %d", code)
		}
		l, err = p.dialLink(nil)
		if err != nil {
			t.Fatal(err)
		}
		l.say(`{"type":"hello","token":"t0","cursor":"` + p.Cursor + `"}`)
		l.next("welcome")
	})
}

// The gateway says why it ends a link.
func TestTheEndOfALinkHasItsReason(t *testing.T) {
	for name, test := range map[string]struct {
		end   func(*linked)
		code  schema.Code
		close websocket.StatusCode
	}{
		"drained":   {func(l *linked) { go l.gateway.Drain(context.Background()) }, schema.CodeDraining, websocket.StatusServiceRestart},
		"deleted":   {func(l *linked) { l.send("DELETE", l.Claim, "t0", nil) }, schema.CodeClaimDeleted, websocket.StatusPolicyViolation},
		"ended":     {func(l *linked) { l.send("DELETE", l.Session, "t0", nil) }, "", websocket.StatusNormalClosure},
		"replaced":  {func(l *linked) { l.program.link() }, "", websocket.StatusGoingAway},
		"polled":    {func(l *linked) { l.poll(schema.Field{"Prefer", "wait=0"}) }, "", websocket.StatusGoingAway},
		"malformed": {func(l *linked) { l.sendFramed([]byte("{}\n{\n")) }, schema.CodeBadJSON, websocket.StatusPolicyViolation},
		"cut":       {func(l *linked) { l.sendFramed([]byte(`{"type":"response","contentLength":5}` + "\nabc")) }, schema.CodeBadJSON, websocket.StatusPolicyViolation},
		"too long":  {func(l *linked) { l.say(strings.Repeat(" ", 256<<10+1)) }, "", websocket.StatusMessageTooBig},
		"a cursor":  {func(l *linked) { l.say(`{"type":"ack","cursor":"7-abcdef"}`) }, schema.CodeBadCursor, websocket.StatusPolicyViolation},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, Options{}, func(w *world) {
				l, _ := w.claim("demo").link()
				test.end(l)
				var code schema.Code
				for {
					_, content, err := l.conn.Read(context.Background())
					if err != nil {
						if got := websocket.CloseStatus(err); got != test.close {
							t.Errorf("closed with %d, not %d", got, test.close)
						}
						break
					}
					var m linkMessage
					if json.Unmarshal(content, &m) == nil && m.Type == "error" {
						code = m.Code
					}
				}
				if code != test.code {
					t.Errorf("%q, not %q", code, test.code)
				}
			})
		})
	}
}

// Requests that do not ask for a link, or have no valid token, are refused before the upgrade.
func TestALinkIsRefused(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		at := strings.Replace(p.Link, "ws:", "http:", 1)
		upgrade := []schema.Field{{"Connection", "Upgrade"}, {"Upgrade", "websocket"}, {"Sec-WebSocket-Version", "13"}, {"Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="}, {"Sec-WebSocket-Protocol", "reversehttp.1"}}
		for name, test := range map[string]struct {
			url, token string
			fields     []schema.Field
			code       schema.Code
		}{
			"no upgrade":     {at, "t0", nil, schema.CodeUpgradeNeeded},
			"no subprotocol": {at, "t0", upgrade[:4], schema.CodeUpgradeNeeded},
			"wrong token":    {at, "t1", upgrade, schema.CodeTokenWrong},
			"no session":     {strings.Replace(at, "/link", "x/link", 1), "t0", upgrade, schema.CodeNoSession},
			"bad cursor":     {at, "t0", append(upgrade, schema.Field{"Last-Event-ID", "nonsense"}), schema.CodeBadCursor},
		} {
			if got := w.send("GET", test.url, test.token, nil, test.fields...); got.code() != test.code {
				t.Errorf("%s: %d %s", name, got.Status, got.Content)
			}
		}
	})
}

// A killed program closes its link without a Close frame, and one that returns in another way sends one.
func TestALinkThatHangsUp(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(*linked)
		told time.Duration
	}{
		"killed":    {func(l *linked) { _ = l.conn.CloseNow() }, 2 * time.Second},
		"navigated": {func(l *linked) { _ = l.conn.Close(websocket.StatusGoingAway, "") }, 2 * time.Second},
		"gone over": {func(l *linked) { _ = l.conn.Close(websocket.StatusNormalClosure, "") }, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, Options{}, func(w *world) {
				l, _ := w.claim("demo").link()
				v := w.visit(get(host, "/"))
				l.next("request")
				test.end(l)
				began := time.Now()
				got := v.await()
				// If the session is lost, its request waits for another one.
				if took := time.Since(began); got.code() != schema.CodeNoHandler || took < test.told || took > test.told+6*time.Second {
					t.Errorf("%d %s after %v", got.Status, got.Content, took)
				}
			})
		})
	}
}

// A message that arrives too slowly ends its link, even if some of it arrives all the time.
func TestALinkWhoseMessageComesTooSlowly(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		l, _ := w.claim("demo").link()
		out, err := l.conn.Writer(context.Background(), websocket.MessageBinary)
		if err != nil {
			t.Fatal(err)
		}
		stop := make(chan struct{})
		defer close(stop)
		go func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(2 * time.Second):
				}
				if _, err := out.Write(make([]byte, 1<<10)); err != nil { // it is sent when there are four
					return
				}
			}
		}()
		m := l.read()
		for m.Type == "ping" { // the answer would have to wait for the end of the message
			m = l.read()
		}
		if m.Type != "error" || m.Code != schema.CodeTooSlow {
			t.Errorf("%+v", m)
		}
	})
}
