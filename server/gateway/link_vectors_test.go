package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"reversehttp/schema"
	"reversehttp/schema/vectors"
)

// talkLink is a program's end of a link. It reads all that comes at once, as a program must.
type talkLink struct {
	conn *websocket.Conn
	line *longLine

	mu sync.Mutex // guards what follows
	// messages are those that no step took yet, without results, which are told one by one.
	messages, results []json.RawMessage
	fault             error // what no message is
	ended             bool
	code              websocket.StatusCode // with which it was closed; -1 where it was cut
	changed           chan struct{}        // closed, and made anew, where any of these changes
}

// longLine is a connection on which what was sent to the program may be on its way for long.
type longLine struct {
	net.Conn
	mu      sync.Mutex
	arrives chan struct{} // closed where what comes arrives at once
}

func (c *longLine) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	arrives := c.arrives
	c.mu.Unlock()
	<-arrives
	return n, err
}

// hold keeps what comes from now on until let.
func (c *longLine) hold() {
	c.let()
	c.mu.Lock()
	c.arrives = make(chan struct{})
	c.mu.Unlock()
}

// let has what was held arrive.
func (c *longLine) let() {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.arrives:
	default:
		close(c.arrives)
	}
}

// openLink opens a link. The reply is the answer to the upgrade; where that is no 101 there is no link.
func (w *world) openLink(url string, fields http.Header) (*talkLink, *reply) {
	w.t.Helper()
	if !strings.HasPrefix(url, "ws://") && !strings.HasPrefix(url, "wss://") {
		w.t.Fatalf("the URL of the link is %s", url)
	}
	line := &longLine{arrives: make(chan struct{})}
	close(line.arrives)
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			conn, err := w.network.dial(visitorAddr)
			line.Conn = conn
			return line, err
		},
	}}
	conn, resp, err := websocket.Dial(context.Background(), url, &websocket.DialOptions{
		HTTPClient: client, HTTPHeader: fields, Subprotocols: []string{"reversehttp.1"},
	})
	if err != nil {
		if resp == nil || resp.StatusCode == http.StatusSwitchingProtocols {
			return nil, &reply{Err: err}
		}
		return nil, newReply(resp, nil)
	}
	conn.SetReadLimit(-1)
	l := &talkLink{conn: conn, line: line, changed: make(chan struct{})}
	read := make(chan struct{})
	go func() {
		defer close(read)
		l.read()
	}()
	w.t.Cleanup(func() {
		line.let()
		_ = conn.CloseNow()
		<-read
	})
	return l, &reply{Status: resp.StatusCode, Header: resp.Header}
}

// read reads until the link is closed.
func (l *talkLink) read() {
	for first := true; ; first = false {
		kind, content, err := l.conn.Read(context.Background())
		var messages []json.RawMessage
		var fault error
		if err == nil {
			messages, fault = vectors.Unlink(content, kind == websocket.MessageBinary)
		}
		if first && kind == websocket.MessageBinary {
			fault = errors.New("the first message is no text")
		}
		l.mu.Lock()
		for _, m := range messages {
			if vectors.TypeOf(m) != "results" {
				l.messages = append(l.messages, m)
				continue
			}
			results, wrong := vectors.ResultsOf(m)
			l.results = append(l.results, results...)
			if wrong != nil {
				fault = wrong
			}
		}
		if fault != nil {
			l.fault = fault
		}
		l.ended, l.code = err != nil, websocket.CloseStatus(err)
		close(l.changed)
		l.changed = make(chan struct{})
		l.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// wait waits until so reports true, with l.mu held, or the link is closed. It returns what so returned last.
func (l *talkLink) wait(so func() bool) bool {
	for {
		l.mu.Lock()
		done, ended, changed := so(), l.ended, l.changed
		l.mu.Unlock()
		if done || ended {
			return done
		}
		<-changed
	}
}

// message takes the next message, or the next ping; nil where the link closes before there is one. Pings before it are skipped.
func (l *talkLink) message(ping bool) (message json.RawMessage) {
	l.wait(func() bool {
		for message == nil && len(l.messages) > 0 {
			if ping || vectors.TypeOf(l.messages[0]) != "ping" {
				message = l.messages[0]
			}
			l.messages = l.messages[1:]
		}
		return message != nil
	})
	return message
}

// result takes the next result that fits; nil where the link closes before there is one.
func (l *talkLink) result(fits func(json.RawMessage) bool) (result json.RawMessage) {
	l.wait(func() bool {
		i := slices.IndexFunc(l.results, fits)
		if i >= 0 {
			result = l.results[i]
			l.results = slices.Delete(l.results, i, i+1)
		}
		return i >= 0
	})
	return result
}

// left returns what came and no step took, pings apart; empty where there is nothing and the link is open.
func (l *talkLink) left() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var left []string
	for _, m := range slices.Concat(l.messages, l.results) {
		if vectors.TypeOf(m) != "ping" {
			left = append(left, string(m))
		}
	}
	if l.ended {
		left = append(left, "the end, "+l.code.String())
	}
	return left
}

// serveBy has the program serve so.
func (p *program) serveBy(by way) {
	p.t.Helper()
	p.framed = by.framed
	if !by.linked {
		return
	}
	l, got := p.openLink(p.Link, http.Header{"Authorization": {"Bearer " + p.Token}, "Last-Event-Id": {p.Cursor}})
	if l == nil {
		p.t.Fatalf("link: %d %s %v", got.Status, got.Content, got.Err)
	}
	if m := l.message(false); vectors.TypeOf(m) != schema.TypeWelcome {
		p.t.Fatalf("the first message is %s", m)
	}
	p.linked = l
}

// request returns the request that comes next.
func (l *talkLink) request(t *testing.T) (r schema.Request) {
	t.Helper()
	m := l.message(false)
	if err := json.Unmarshal(m, &r); err != nil || r.Type != schema.TypeRequest {
		t.Fatalf("%s is no request: %v", m, err)
	}
	return r
}

// answer sends one message, given as to a POST, and returns its result.
func (l *talkLink) answer(t *testing.T, v any, framed bool) (r schema.Result) {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	kind, content := websocket.MessageText, text
	var list struct{ Messages []json.RawMessage }
	if json.Unmarshal(text, &list) == nil && len(list.Messages) == 1 {
		content = list.Messages[0]
	}
	if framed {
		kind, content = websocket.MessageBinary, vectors.Frame(content)
	}
	if err := l.conn.Write(context.Background(), kind, content); err != nil {
		t.Fatal(err)
	}
	got := l.result(func(json.RawMessage) bool { return true })
	if err := json.Unmarshal(got, &r); err != nil {
		t.Fatalf("%q is no result: %v", got, err)
	}
	return r
}

// links are the links of a conversation by their names.
type links map[string]*talkLink

// open opens the link of a step, and reports whether the conversation goes on.
func (k *talk) open(i int, s vectors.Step) bool {
	k.t.Helper()
	fields := http.Header{}
	if s.Link.As != "" {
		fields.Set("Authorization", "Bearer "+vectors.Fill(s.Link.As, k.vars))
	}
	for _, f := range s.Link.Headers {
		fields.Add(f[0], vectors.Fill(f[1], k.vars))
	}
	l, got := k.openLink(vectors.Fill(s.Link.URL, k.vars), fields)
	k.links[s.Name] = l
	if s.Expect != nil {
		return k.check(i, s, got)
	}
	if l == nil {
		k.t.Errorf("step %d: the answer to the upgrade is %d %s %v", i, got.Status, got.Content, got.Err)
	}
	return l != nil
}

// onLink does a step on a link that is open, and reports whether the conversation goes on.
func (k *talk) onLink(i int, s vectors.Step) bool {
	k.t.Helper()
	l := k.links[s.On]
	if s.Sends == nil {
		l.line.let()
	}
	switch {
	case s.Holds:
		l.line.hold()
	case s.Sends != nil && s.Sends.Ping:
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := l.conn.Ping(ctx); err != nil {
			k.t.Errorf("step %d: %v", i, err)
			return false
		}
	case s.Sends != nil:
		content, binary := s.Sends.Bytes(k.vars)
		kind := websocket.MessageText
		if binary {
			kind = websocket.MessageBinary
		}
		_ = l.conn.Write(context.Background(), kind, content) // a gateway may close while it is written
	case s.Gets != nil:
		return k.gets(i, s, l)
	case s.Results != nil:
		return k.results(i, s, l)
	case s.Closes != 0:
		l.wait(func() bool { return false })
		if l.code != websocket.StatusCode(s.Closes) {
			k.t.Errorf("step %d: the link is closed with %v, want %d", i, l.code, s.Closes)
			return false
		}
	case s.Ends != 0:
		_ = l.conn.Close(websocket.StatusCode(s.Ends), "") // the gateway may close at the same time
	default:
		k.t.Fatalf("step %d does nothing", i)
	}
	return k.wellFormed(i, l)
}

func (k *talk) gets(i int, s vectors.Step, l *talkLink) bool {
	k.t.Helper()
	got := l.message(vectors.TypeOf(s.Gets) == "ping")
	if got == nil {
		k.t.Errorf("step %d: the link is closed with %v, want a message %s", i, l.code, s.Gets)
		return false
	}
	if d := vectors.DiffMessage(s.Gets, got, k.vars); d != "" {
		k.t.Errorf("step %d: %s", i, d)
		return false
	}
	return k.save(i, s, got) && k.wellFormed(i, l)
}

func (k *talk) results(i int, s vectors.Step, l *talkLink) bool {
	k.t.Helper()
	for _, want := range s.Results {
		of := vectors.Fill(vectors.IDOf(want), k.vars)
		got := l.result(func(r json.RawMessage) bool { return vectors.IDOf(r) == of })
		if got == nil {
			k.t.Errorf("step %d: the link is closed with %v, want a result %s", i, l.code, want)
			return false
		}
		if d := vectors.DiffMessage(want, got, k.vars); d != "" {
			k.t.Errorf("step %d: result %s: %s", i, got, d)
			return false
		}
	}
	return k.wellFormed(i, l)
}

// wellFormed reports whether all that came on a link is messages.
func (k *talk) wellFormed(i int, l *talkLink) bool {
	k.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fault != nil {
		k.t.Errorf("step %d: %v", i, l.fault)
	}
	return l.fault == nil
}
