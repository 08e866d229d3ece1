package reversehttp_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"reversehttp/schema"
	"reversehttp/schema/vectors"
)

// offersLinks adds the URL of a link to the answer to a claim, if the script has links.
func (g *scripted) offersLinks(answer map[string]any) {
	if g.script.Links != nil {
		answer["link"] = "ws" + strings.TrimPrefix(g.origin, "http") + "/link"
	}
}

// opening takes the script's next opening of a link.
func (g *scripted) opening() (o vectors.Opening) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.script.Links) > 0 {
		o, g.script.Links = g.script.Links[0], g.script.Links[1:]
	}
	return o
}

// serveLink answers the upgrade for a link.
func (g *scripted) serveLink(w http.ResponseWriter, r *http.Request) {
	o := g.opening()
	switch {
	case o.Silent:
		<-r.Context().Done()
		return
	case o.Drop:
		panic(http.ErrAbortHandler)
	case !o.Accepts():
		for name, value := range o.Headers {
			w.Header().Set(name, value)
		}
		give(w, o.Status, o.JSON)
		return
	}
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"reversehttp.1"}, InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer conn.CloseNow()
	if conn.Subprotocol() != "reversehttp.1" {
		g.fault("a link without its subprotocol")
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	link := &scriptedLink{gateway: g, conn: conn, opening: o, token: strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")}
	if !link.welcome(ctx, r.Header.Get("Last-Event-ID")) {
		return
	}
	var running sync.WaitGroup
	running.Go(func() { link.ping(ctx) })
	running.Go(func() { link.act(ctx) })
	for link.read(ctx) {
	}
	cancel()
	running.Wait()
}

// fault notes something that a gateway would not accept.
func (g *scripted) fault(what string) {
	g.see(func(seen *vectors.Seen) { seen.Error = what })
}

// scriptedLink is the gateway's end of a link.
type scriptedLink struct {
	gateway *scripted
	conn    *websocket.Conn
	opening vectors.Opening
	token   string
}

// welcome reads the hello, unless the upgrade had a token, and sends the welcome. It reports whether the link
// continues.
func (l *scriptedLink) welcome(ctx context.Context, cursor string) bool {
	if l.token == "" {
		first, ok := l.next(ctx)
		if !ok || len(first) != 1 || first[0]["type"] != "hello" {
			l.gateway.fault("a link that does not begin with hello")
			return false
		}
		l.token, _ = first[0]["token"].(string)
		cursor, _ = first[0]["cursor"].(string)
	}
	if l.token != l.gateway.token() {
		l.gateway.fault("a link with the token " + l.token)
		return false
	}
	l.gateway.see(func(seen *vectors.Seen) { seen.Links = append(seen.Links, cursor) })
	window := func(said, usual int) int {
		if said == 0 {
			return usual
		}
		return said
	}
	l.conn.Write(ctx, websocket.MessageText, asMessage(map[string]any{ // always as text
		"type": "welcome", "limits": l.gateway.limits(),
		"exchangeWindow": window(l.opening.ExchangeWindow, 262144), "linkWindow": window(l.opening.LinkWindow, 4194304),
	}))
	if !l.opening.Quiet {
		l.send(ctx, aPing)
	}
	return true
}

// act plays the script.
func (l *scriptedLink) act(ctx context.Context) {
	for _, a := range l.opening.Does {
		switch {
		case a.Sends != nil:
			l.send(ctx, a.Messages(l.gateway.origin)...)
		case a.After > 0:
			l.until(ctx, func(seen *vectors.Seen) bool { return len(seen.Answers) >= a.After })
		case a.Acked != "":
			l.until(ctx, func(seen *vectors.Seen) bool { return slices.Contains(seen.Acked, a.Acked) })
		case a.Most != nil:
			l.gateway.see(func(seen *vectors.Seen) {
				if len(seen.Answers) > *a.Most {
					seen.Error = "too many messages of answers"
				}
			})
		case a.WaitMs > 0:
			pause(ctx, time.Duration(a.WaitMs)*time.Millisecond)
		case a.Closes != 0:
			l.conn.Close(websocket.StatusCode(a.Closes), "")
		case a.Cuts:
			l.conn.CloseNow()
		}
	}
}

// ping sends pings as a gateway does, until the link ends.
func (l *scriptedLink) ping(ctx context.Context) {
	for !l.opening.Quiet && pause(ctx, 4*time.Second) {
		l.send(ctx, aPing)
	}
}

// pause waits for d, and reports whether the link is still open.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// until waits until so returns true, or the link ends.
func (l *scriptedLink) until(ctx context.Context, so func(*vectors.Seen) bool) {
	for done := false; !done; {
		l.gateway.see(func(seen *vectors.Seen) { done = so(seen) })
		if !done && !pause(ctx, time.Millisecond) {
			return
		}
	}
}

var aPing = json.RawMessage(`{"type":"ping"}`)

func asMessage(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// send sends messages: each one as text, or all together in the framed form.
func (l *scriptedLink) send(ctx context.Context, messages ...json.RawMessage) {
	var all []byte
	for _, m := range messages {
		if l.gateway.script.Framed {
			all = append(all, vectors.Frame(m)...)
			continue
		}
		l.conn.Write(ctx, websocket.MessageText, m) // the program may have closed the link
	}
	if all != nil {
		l.conn.Write(ctx, websocket.MessageBinary, all)
	}
}

// next reads one message of the WebSocket. It reports whether there was one.
func (l *scriptedLink) next(ctx context.Context) ([]vectors.Said, bool) {
	l.conn.SetReadLimit(262144)
	kind, content, err := l.conn.Read(ctx)
	if err != nil {
		return nil, false
	}
	messages, err := vectors.Heard(content, kind == websocket.MessageBinary)
	if err != nil {
		l.gateway.fault(err.Error())
	}
	return messages, true
}

// read handles one message of the WebSocket, and sends the results of answers. It reports whether the link
// continues.
func (l *scriptedLink) read(ctx context.Context) bool {
	messages, ok := l.next(ctx)
	var results []any
	l.gateway.see(func(seen *vectors.Seen) {
		for _, m := range messages {
			if m.Answers() {
				seen.Answers = append(seen.Answers, m)
				results = append(results, m.Result())
				continue
			}
			if m["type"] == "pong" {
				seen.Pongs++
			}
			if cursor, ok := m["cursor"].(string); ok {
				seen.Acked = append(seen.Acked, cursor)
			}
		}
	})
	if len(results) > 0 && !l.opening.Withholds {
		l.send(ctx, asMessage(map[string]any{"type": "results", "results": results}))
	}
	return ok
}

// TestAScriptedLinkDoesWhatItsScriptSays is a program at a scripted gateway.
func TestAScriptedLinkDoesWhatItsScriptSays(t *testing.T) {
	for _, framed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) { linkByHand(t, framed) })
	}
}

func linkByHand(t *testing.T, framed bool) {
	one := 1
	g := &scripted{origin: "http://gateway.test", script: vectors.Scripted{Framed: framed, Links: []vectors.Opening{
		{Reply: vectors.Reply{Status: 409, JSON: json.RawMessage(`{"code":"session_fenced"}`)}},
		{ExchangeWindow: 8, Withholds: true, Does: []vectors.Act{
			{Sends: json.RawMessage(`[{"type":"request","id":"x1","cursor":"c1","body":"in"},{"type":"cancel","id":"x0"}]`)},
			{After: 1}, {Most: &one},
			{Sends: json.RawMessage(`{"type":"results","results":[{"id":"x1","status":"late"}]}`)},
			{Acked: "c1"}, {WaitMs: 10}, {Closes: 1001},
		}},
		{Quiet: true, Does: []vectors.Act{{WaitMs: 5000}, {Sends: json.RawMessage(`{"type":"cancel","id":"x1"}`)}}},
	}}}
	client := listen(t, g)
	dial := func(fields http.Header) (*websocket.Conn, *http.Response, error) {
		return websocket.Dial(t.Context(), "ws://gateway.test/link", &websocket.DialOptions{HTTPClient: client, HTTPHeader: fields, Subprotocols: []string{"reversehttp.1"}})
	}
	if _, resp, err := dial(nil); err == nil || resp == nil || resp.StatusCode != 409 {
		t.Fatalf("the first link: %v %v, want 409", resp, err)
	}
	say := func(c *websocket.Conn, messages ...string) {
		var content []byte
		for _, m := range messages {
			content = append(content, vectors.Frame(json.RawMessage(m))...)
		}
		if err := c.Write(t.Context(), websocket.MessageBinary, content); err != nil {
			t.Fatal(err)
		}
	}
	var heard []json.RawMessage
	hear := func(c *websocket.Conn, want string) {
		if len(heard) == 0 {
			kind, content, err := c.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if heard, err = vectors.Unlink(content, kind == websocket.MessageBinary); err != nil {
				t.Fatal(err)
			}
			binary := framed && vectors.TypeOf(heard[0]) != schema.TypeWelcome
			if (kind == websocket.MessageBinary) != binary || len(heard) > 1 && !binary {
				t.Errorf("%q is of kind %v", content, kind)
			}
		}
		if d := vectors.DiffMessage(json.RawMessage(want), heard[0], nil); d != "" {
			t.Error(d)
		}
		heard = heard[1:]
	}
	c, _, err := dial(http.Header{"Authorization": {"Bearer t0"}, "Last-Event-Id": {"c0"}})
	if err != nil {
		t.Fatal(err)
	}
	hear(c, `{"type":"welcome","exchangeWindow":8,"linkWindow":4194304,"limits":{"batch":64}}`)
	hear(c, `{"type":"ping"}`)
	hear(c, `{"type":"request","id":"x1","body":"in"}`)
	hear(c, `{"type":"cancel","id":"x0"}`)
	say(c, `{"type":"response","id":"x1","status":200,"bodyBase64":"AP8="}`)
	hear(c, `{"type":"results","results":[{"id":"x1","status":"late"}]}`)
	say(c, `{"type":"ack","cursor":"c1"}`)
	if _, _, err := c.Read(t.Context()); websocket.CloseStatus(err) != 1001 {
		t.Errorf("the end: %v, want 1001", err)
	}
	if c, _, err = dial(http.Header{"Authorization": {"Bearer t0"}, "Last-Event-Id": {"c1"}}); err != nil {
		t.Fatal(err)
	}
	hear(c, `{"type":"welcome"}`)
	hear(c, `{"type":"cancel","id":"x1"}`) // after 5 s without a ping
	c.CloseNow()
	c, _, err = dial(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	say(c, `{"type":"hello","token":"t0","cursor":"c1"}`)
	hear(c, `{"type":"welcome","exchangeWindow":262144}`)
	hear(c, `{"type":"ping"}`)
	say(c, `{"type":"part","id":"x2","seq":3}`, `{"type":"abort","id":"x3"}`)
	hear(c, `{"type":"results","results":[{"id":"x2","status":"accepted","seq":3},{"id":"x3","status":"accepted","seq":null}]}`)
	hear(c, `{"type":"ping"}`)
	say(c, `{"type":"pong","cursor":"c2"}`)
	synctest.Wait()
	want := vectors.Seen{
		Links: []string{"c0", "c1", "c1"}, Acked: []string{"c1", "c2"}, Pongs: 1,
		Answers: []map[string]any{
			{"type": schema.TypeResponse, "id": "x1", "bodyBase64": "AP8=", "headers": nil}, {"type": schema.TypePart, "id": "x2", "headers": nil},
			{"type": schema.TypeAbort, "id": "x3", "headers": nil},
		},
	}
	if d := g.diff(want); d != "" {
		t.Error(d)
	}
	for _, wrong := range []vectors.Seen{
		{Links: []string{"c0"}}, {Acked: []string{"c2", "c1"}}, {Acked: []string{"c3"}}, {Pongs: 2}, {Answers: want.Answers[:2]}, {Error: "other"},
	} {
		if g.diff(wrong) == "" {
			t.Errorf("%+v is what was seen", wrong)
		}
	}
	say(c, `{"type":"part"`)
	synctest.Wait()
	if g.diff(want) == "" {
		t.Error("a malformed message is not noticed")
	}
}
