package reversehttp_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
	reversehttp "reversehttp/sdk-go"
)

// gate is a gateway whose links a test controls, in fake time.
type gate struct {
	t     *testing.T
	links chan *gateLink // the opened links
	// refuses answers the upgrade in place of the gate; nil means that it opens a link.
	refuses http.HandlerFunc
	// exchangeWindow is the window in the welcome; 0 means gateExchangeWindow.
	exchangeWindow int
	// cut ends a stream; nil if no test does.
	cut chan bool
	// posting is how long a POST takes.
	posting time.Duration

	mu    sync.Mutex // guards the fields below
	polls []string   // the forms of the polls, or "link", with their cursors
	posts []string   // the posted messages, in the form of gateLink.hear
	left  []string   // the cursors with which the session was ended
}

// gateLink is the gateway's end of a link.
type gateLink struct {
	t    *testing.T
	conn *websocket.Conn
	head http.Header
	in   *bufio.Reader // the rest of a message
}

// overGate runs a test with a session that has a link at a gate and serves h.
func overGate(t *testing.T, o reversehttp.Options, h http.HandlerFunc, run func(t *testing.T, g *gate, s *reversehttp.Session)) {
	overGateOf(t, 0, o, h, run)
}

// overGateOf is overGate with an exchangeWindow.
func overGateOf(t *testing.T, window int, o reversehttp.Options, h http.HandlerFunc, run func(t *testing.T, g *gate, s *reversehttp.Session)) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{t: t, links: make(chan *gateLink, 16), exchangeWindow: window, cut: make(chan bool)}
		if o.Transport == "" {
			o.Transport = reversehttp.TransportLink
		}
		s, served := begin(t, listen(t, g), o, h)
		run(t, g, s)
		s.Close()
		if err := served(); err != reversehttp.ErrClosed {
			t.Errorf("Serve = %v, want ErrClosed", err)
		}
		time.Sleep(time.Minute) // parked polls notice
	})
}

const (
	gateExchangeWindow = 256 << 10
	gateLinkWindow     = 1 << 20
)

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/.well-known/reversehttp":
		give(w, 200, map[string]any{"version": 1, "claims": "/claims", "transports": []string{"json", "ndjson", "framed"}})
	case "/claims":
		var limits schema.Limits
		limits.InlineBytes, limits.FramedInlineBytes, limits.PartBytes, limits.AnswerBytes = 64<<10, 1<<20, 1<<20, 8<<20
		limits.WaitSeconds, limits.StreamSeconds, limits.HeartbeatSeconds, limits.Batch = 25, 300, 15, 64
		give(w, 201, schema.ClaimAnswer{Label: "demo", URL: demo, Token: "t0", Cursor: "0-x", Limits: limits, Claim: testOrigin + "/claims/demo",
			Session: testOrigin + "/session", Requests: testOrigin + "/requests", Responses: testOrigin + "/responses", Link: "ws://gateway.test/link"})
	case "/requests":
		form, _, _ := strings.Cut(r.Header.Get("Accept"), ",")
		g.note(&g.polls, form+" "+r.Header.Get("Last-Event-ID"))
		if form == "application/json" {
			parked(w, r)
			return
		}
		w.Header().Set("Content-Type", form)
		for r.Context().Err() == nil {
			io.WriteString(w, "\n")
			w.(http.Flusher).Flush()
			select {
			case <-g.cut:
				return
			case <-time.After(time.Second):
			}
		}
	case "/responses":
		content, _ := io.ReadAll(r.Body)
		in := bufio.NewReader(bytes.NewReader(content))
		var results []map[string]any
		for {
			a, content, err := readAnswer(in)
			if err != nil {
				break
			}
			g.note(&g.posts, heardText(a, content))
			results = append(results, map[string]any{"id": a.ID, "status": "accepted"})
		}
		time.Sleep(g.posting)
		give(w, 202, map[string]any{"results": results})
	case "/session":
		g.note(&g.left, r.Header.Get("Last-Event-ID"))
		w.WriteHeader(204)
	case "/link":
		g.note(&g.polls, "link "+r.Header.Get("Last-Event-ID"))
		if g.refuses != nil {
			g.refuses(w, r)
			return
		}
		g.open(w, r)
	default:
		w.WriteHeader(404)
	}
}

// open opens a link.
func (g *gate) open(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"reversehttp.1"}})
	if err != nil {
		g.t.Error(err)
		return
	}
	conn.SetReadLimit(256 << 10)
	l := &gateLink{t: g.t, conn: conn, head: r.Header}
	l.say(`{"type":"welcome","limits":{},"exchangeWindow":%d,"linkWindow":%d}`, cmp.Or(g.exchangeWindow, gateExchangeWindow), gateLinkWindow)
	g.links <- l
}

func (g *gate) note(in *[]string, text string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	*in = append(*in, text)
}

// noted returns a copy of a list of the gate.
func (g *gate) noted(in *[]string) []string {
	synctest.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]string{}, *in...)
}

// say sends a text message.
func (l *gateLink) say(format string, args ...any) {
	l.t.Helper()
	if err := l.conn.Write(context.Background(), websocket.MessageText, fmt.Appendf(nil, format, args...)); err != nil {
		l.t.Error(err)
	}
}

// asks returns a framed request with content.
func asks(n int, method, target, content string) []byte {
	r := &envelope.Request{Cursor: fmt.Sprintf("%d-x", n), ID: fmt.Sprintf("e%d", n), Attempt: 1, TimeoutMs: 600_000, Method: method, Target: target,
		URL: "http://demo.gateway.test" + target, Base: demo, HTTPVersion: "1.1", RemoteAddr: "192.0.2.1:9", ResponseURL: testOrigin + "/response"}
	if content != "" {
		r.Beside = envelope.Beside{Follows: true, ContentLength: int64(len(content))}
	}
	return envelope.Framed.End(envelope.AppendRequest(nil, r, []envelope.Field{{Name: "Host", Value: "demo.gateway.test"}}, nil), []byte(content))
}

// ask sends framed messages in one WebSocket message.
func (l *gateLink) ask(messages ...[]byte) {
	l.t.Helper()
	if err := l.conn.Write(context.Background(), websocket.MessageBinary, bytes.Join(messages, nil)); err != nil {
		l.t.Error(err)
	}
}

// judge sends the result of a message; seq is the number of a part, or 0.
func (l *gateLink) judge(id string, seq int, status string) {
	l.t.Helper()
	if seq > 0 {
		l.say(`{"type":"results","results":[{"id":%q,"status":%q,"seq":%d}]}`, id, status, seq)
	} else {
		l.say(`{"type":"results","results":[{"id":%q,"status":%q}]}`, id, status)
	}
}

// readAnswer reads a framed message of a program.
func readAnswer(in *bufio.Reader) (a envelope.Answer, content []byte, err error) {
	line, err := envelope.ReadLine(in, nil)
	if err != nil {
		return a, nil, err
	}
	line = bytes.Clone(line)
	err = a.DecodeLine(line, 256)
	if err == nil && a.Follows {
		content = make([]byte, a.ContentLength)
		if _, err = io.ReadFull(in, content); err == nil {
			err = envelope.ReadEnd(in)
		}
	}
	var said struct{ Cursor string }
	_ = json.Unmarshal(line, &said)
	a.Reason += said.Cursor
	return a, content, err
}

// heardText describes an answer: its type, id, number, status and content, and whether more follows.
func heardText(a envelope.Answer, content []byte) string {
	text := a.Type
	for _, s := range []string{a.ID, a.Reason} {
		if s != "" {
			text += " " + s
		}
	}
	for _, n := range []int{a.Seq, a.Status} {
		if n != 0 {
			text += fmt.Sprint(" ", n)
		}
	}
	if len(content) > 40 {
		text += fmt.Sprintf(" %d bytes", len(content))
	} else if len(content) > 0 {
		text += " " + string(content)
	}
	if a.More {
		text += " …"
	}
	return text
}

// hear returns the next message of the program.
func (l *gateLink) hear() string {
	l.t.Helper()
	for {
		if l.in != nil {
			a, content, err := readAnswer(l.in)
			if err == nil {
				return heardText(a, content)
			}
			if err != io.EOF {
				l.t.Error(err)
			}
		}
		_, message, err := l.conn.Read(context.Background())
		if err != nil {
			if status := websocket.CloseStatus(err); status > 0 {
				return "close " + fmt.Sprint(int(status))
			}
			return "broken"
		}
		l.in = bufio.NewReaderSize(bytes.NewReader(message), 256<<10)
	}
}

// want compares the next messages.
func (l *gateLink) want(messages ...string) {
	l.t.Helper()
	for _, want := range messages {
		if got := l.hear(); got != want {
			l.t.Errorf("the program sent %q, want %q", got, want)
		}
	}
}
