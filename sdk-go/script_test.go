package reversehttp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/schema/envelope"
	"reversehttp/schema/vectors"
	reversehttp "reversehttp/sdk-go"
)

func TestSessionFollowsEveryScript(t *testing.T) {
	for _, c := range vectors.Client() {
		t.Run(c.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { play(t, c) })
		})
		t.Run(c.Name+", framed", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { play(t, c.Framed()) })
		})
	}
}

// play runs a session against a scripted gateway until it has done what is expected, and a little longer to
// see that it does no more.
func play(t *testing.T, c vectors.Script) {
	g := &scripted{origin: "http://gateway.test", script: c.Gateway}
	client := listen(t, g)
	session, err := reversehttp.Claim(t.Context(), g.origin, &reversehttp.Options{
		Label: c.Options.Label, Token: c.Options.Token, Inspect: c.Options.Inspect, Policy: c.Options.Policy, Domain: c.Options.Domain, Client: client,
		OnState: func(s reversehttp.State) {
			g.see(func(seen *vectors.Seen) { seen.States = append(seen.States, s.String()) })
		},
	})
	if err != nil {
		g.fail(err)
	} else {
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			if err := session.Serve(g.handler(c.Handler)); err != nil && err != reversehttp.ErrClosed {
				g.fail(err)
			}
		}()
		defer func() {
			session.Close()
			<-ended
		}()
	}
	for end := time.Now().Add(20 * time.Second); g.diff(c.Expect) != "" && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(time.Second)
	synctest.Wait()
	if d := g.diff(c.Expect); d != "" {
		t.Errorf("%s: %s", c.Why, d)
	}
}

func TestASessionHasTheURLOfItsRecordings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for inspect, want := range map[bool]string{true: "http://gateway.test/exchanges", false: ""} {
			client := listen(t, &scripted{origin: "http://gateway.test"})
			s, err := reversehttp.Claim(t.Context(), "http://gateway.test", &reversehttp.Options{Client: client, Inspect: inspect})
			if err != nil {
				t.Fatal(err)
			}
			if got := s.Exchanges(); got != want {
				t.Errorf("inspect %v: exchanges = %q, want %q", inspect, got, want)
			}
			s.Close()
		}
	})
}

// scripted is a gateway that answers by a script, and remembers what it saw.
type scripted struct {
	origin string

	mu     sync.Mutex // guards the fields below
	script vectors.Scripted
	seen   vectors.Seen
}

func (g *scripted) see(f func(*vectors.Seen)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f(&g.seen)
}

func (g *scripted) fail(err error) {
	code := err.Error()
	var refused *reversehttp.Error
	if errors.As(err, &refused) {
		code = string(refused.Code)
	}
	g.see(func(seen *vectors.Seen) { seen.Error = code })
}

func (g *scripted) diff(want vectors.Seen) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	got := g.seen
	got.States = slices.Clone(got.States)
	return want.Diff(got)
}

func (g *scripted) handler(h vectors.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info := reversehttp.RequestInfo(r.Context())
		g.see(func(seen *vectors.Seen) {
			seen.Handled = append(seen.Handled, info.ID)
			if info.ReplayOf != "" {
				seen.Replays = append(seen.Replays, info.ReplayOf)
			}
			if info.Trace != (reversehttp.Trace{}) {
				seen.Traces = append(seen.Traces, strings.TrimSpace(info.Trace.Traceparent+" "+info.Trace.Tracestate))
			}
			seen.Paths = append(seen.Paths, r.URL.RequestURI())
		})
		if h.Waits && h.Chunks == nil {
			g.wait(r)
			return
		}
		if h.Echoes {
			h.Status = 200
			b, err := io.ReadAll(r.Body)
			if err != nil {
				panic(err)
			}
			h.Body = new(string(b))
		}
		if h.Chunks != nil {
			g.stream(w, r, h)
			return
		}
		if h.Fails {
			panic("as the script says")
		}
		for _, f := range h.Hints {
			w.Header().Add(f[0], bytesOf(f[1]))
		}
		if h.Hints != nil {
			w.WriteHeader(103)
			clear(w.Header())
		}
		answerWith(w, h.Answer)
	})
}

// wait waits until the request is cancelled.
func (g *scripted) wait(r *http.Request) {
	<-r.Context().Done()
	if r.Context().Err() == context.Canceled {
		id := reversehttp.RequestInfo(r.Context()).ID
		g.see(func(seen *vectors.Seen) { seen.Cancelled = append(seen.Cancelled, id) })
	}
}

// stream sends chunks, each once the gateway has seen the earlier one, and then ends, fails or waits.
func (g *scripted) stream(w http.ResponseWriter, r *http.Request, h vectors.Handler) {
	chunks := h.Chunks
	h.Body = &chunks[0]
	answerWith(w, h.Answer)
	for i, chunk := range chunks {
		if i > 0 {
			io.WriteString(w, chunk)
		}
		http.NewResponseController(w).Flush()
		for !g.saw(chunk) && r.Context().Err() == nil {
			time.Sleep(time.Millisecond)
		}
	}
	if h.Waits {
		g.wait(r)
	}
	if h.Fails {
		panic("as the script says")
	}
}

// saw reports whether a message with this content was posted.
func (g *scripted) saw(content string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.ContainsFunc(g.seen.Answers, func(m map[string]any) bool { return m["body"] == content })
}

// answerWith writes exactly the answer of a case.
func answerWith(w http.ResponseWriter, a vectors.Answer) {
	w.Header()["Content-Type"] = nil
	for _, f := range a.Headers {
		w.Header().Add(f[0], bytesOf(f[1]))
	}
	w.WriteHeader(a.Status)
	w.Write(a.Bytes())
}

// bytesOf converts each character to the byte of its number.
func bytesOf(s string) string {
	var b []byte
	for _, r := range s {
		b = append(b, byte(r))
	}
	return string(b)
}

func (g *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/link" {
		g.serveLink(w, r)
		return
	}
	content, _ := io.ReadAll(r.Body)
	var reply vectors.Reply
	g.mu.Lock()
	take := func(list *[]vectors.Reply) {
		if len(*list) > 0 {
			reply, *list = (*list)[0], (*list)[1:]
		}
	}
	var usual func()
	switch r.URL.Path {
	case "/.well-known/reversehttp":
		usual = func() {
			give(w, 200, map[string]any{"version": 1, "claims": g.origin + "/claims", "urlTemplate": "", "transports": g.transports(), "keyNeeded": false, "limits": limits})
		}
	case "/claims":
		var asked map[string]any
		json.Unmarshal(content, &asked)
		g.seen.Claims = append(g.seen.Claims, asked)
		take(&g.script.Claims)
		if reply.Status == 0 {
			reply.Status = 201
		}
		if !reply.Drop && reply.Status < 300 && reply.JSON == nil {
			reply.JSON = g.claimAnswer(asked)
		}
	case "/requests":
		form := vectors.FormOf(r.Header.Get("Accept"))
		g.seen.Polls = append(g.seen.Polls, r.Header.Get("Last-Event-ID"))
		g.seen.Forms = append(g.seen.Forms, form)
		take(&g.script.Requests)
		if form != "json" && reply.Status == 0 && !reply.Drop && !reply.Silent && reply.Lines == nil {
			reply.Lines = []json.RawMessage{json.RawMessage(`""`)}
		}
		usual = func() { <-r.Context().Done() }
	case "/responses":
		messages, err := vectors.Posted(r.Header.Get("Content-Type"), content)
		if err != nil {
			g.seen.Error = err.Error()
		}
		g.seen.Answers = append(g.seen.Answers, messages...)
		take(&g.script.Responses)
		usual = func() {
			results := make([]map[string]any, len(messages))
			for i, m := range messages {
				results[i] = map[string]any{"id": m["id"], "status": "accepted"}
			}
			give(w, 202, map[string]any{"results": results})
		}
	case "/content":
		g.seen.Contents = append(g.seen.Contents, r.Header.Get("Authorization"))
		take(&g.script.Content)
		usual = func() {
			give(w, 404, map[string]any{"title": "Not Found", "status": 404, "code": "no_exchange", "detail": ""})
		}
	case "/session":
		take(&g.script.Session)
		usual = func() { w.WriteHeader(204) }
	}
	g.mu.Unlock()
	for posted := 0; posted < reply.After && r.Context().Err() == nil; time.Sleep(time.Millisecond) {
		g.see(func(seen *vectors.Seen) { posted = len(seen.Answers) })
	}
	for name, value := range reply.Headers {
		w.Header().Set(name, value)
	}
	switch {
	case reply.Lines != nil:
		g.giveLines(w, r, reply)
	case reply.Silent:
		<-r.Context().Done()
	case reply.Drop:
		panic(http.ErrAbortHandler)
	case reply.Status == 0:
		usual()
	case reply.JSON == nil:
		w.WriteHeader(reply.Status)
		io.WriteString(w, reply.Body)
	default:
		give(w, reply.Status, json.RawMessage(bytes.ReplaceAll(reply.JSON, []byte("{origin}"), []byte(g.origin))))
	}
}

// giveLines answers with a stream.
func (g *scripted) giveLines(w http.ResponseWriter, r *http.Request, reply vectors.Reply) {
	media, write := "application/x-ndjson", vectors.Line
	if g.script.Framed {
		media, write = envelope.MediaFramed, vectors.FramedLine
	}
	w.Header().Set("Content-Type", media)
	for _, line := range reply.Lines {
		io.WriteString(w, write(line, g.origin))
		w.(http.Flusher).Flush()
	}
	io.WriteString(w, reply.Tail)
	w.(http.Flusher).Flush()
	if reply.Drop {
		panic(http.ErrAbortHandler)
	}
	if !reply.Ends {
		<-r.Context().Done()
	}
}

func (g *scripted) transports() []string {
	if g.script.Transports == nil {
		return []string{"json"}
	}
	return g.script.Transports
}

var limits = map[string]int{"inlineBytes": 65536, "partBytes": 65536, "waitSeconds": 25, "batch": 64, "answerBytes": 1 << 20, "sessions": 8, "queue": 64}

func (g *scripted) claimAnswer(asked map[string]any) json.RawMessage {
	or := func(v any, other string) any {
		if v == nil {
			return other
		}
		return v
	}
	base := g.script.Base
	if base == "" {
		base = "/"
	}
	answer := map[string]any{
		"label": or(asked["label"], "demo"), "token": or(asked["token"], "t0"), "url": "http://demo.localhost:8080" + base,
		"lease": 60, "timeoutMs": 60000, "redeliver": "idempotent", "claim": g.origin + "/claim", "session": g.origin + "/session",
		"requests": g.origin + "/requests", "responses": g.origin + "/responses", "cursor": "c0", "limits": g.limits(),
	}
	if asked["inspect"] == true {
		answer["exchanges"] = g.origin + "/exchanges"
	}
	g.offersLinks(answer)
	b, _ := json.Marshal(answer)
	return b
}

func (g *scripted) limits() map[string]int {
	most := maps.Clone(limits)
	if g.script.Framed {
		most["framedInlineBytes"] = most["inlineBytes"]
	}
	return most
}

// token returns the token of the claim, which only links need.
func (g *scripted) token() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, asked := range slices.Backward(g.seen.Claims) {
		if token, ok := asked["token"].(string); ok {
			return token
		}
	}
	return "t0"
}

func give(w http.ResponseWriter, status int, content any) {
	b, _ := json.Marshal(content)
	kind := "application/json"
	if status >= 400 {
		kind = "application/problem+json"
	}
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	w.Write(b)
}
