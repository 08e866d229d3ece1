package family

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"reversehttp/schema"
	"reversehttp/server/gateway"
)

// claimed claims demo by the control API.
func (w *town) claimed() (c schema.ClaimAnswer) {
	w.t.Helper()
	w.api("POST", w.Public().Control+"claims", "", `{"label":"demo","token":"t0"}`, &c)
	return c
}

// api makes a request of the control API, and gives its status.
func (w *town) api(method, url, cursor, content string, into any) int {
	w.t.Helper()
	req, _ := http.NewRequest(method, url, strings.NewReader(content))
	req.Header.Set("Authorization", "Bearer t0")
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Prefer", "wait=0")
	if cursor != "" {
		req.Header.Set("Last-Event-ID", cursor)
	}
	resp, err := w.visitor().Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	if into != nil {
		if err := json.Unmarshal(b, into); err != nil {
			w.t.Fatalf("%s %s: %d %s", method, url, resp.StatusCode, b)
		}
	}
	return resp.StatusCode
}

// tunnel opens the tunnel of a session.
func (w *town) tunnel(c schema.ClaimAnswer, cursor string) *talk {
	w.t.Helper()
	path := c.Tunnel[strings.Index(c.Tunnel, "/claims"):]
	return w.turned("GET " + path + " HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer t0\r\nLast-Event-ID: " + cursor + "\r\nConnection: Upgrade\r\nUpgrade: ptth\r\nALPN: h2\r\n\r\n")
}

// messageOf reads what the gateway tells of a request.
func messageOf(t *testing.T, r *http.Request) (m struct {
	schema.Request
	Answered []string `json:"answered"`
}) {
	t.Helper()
	told := r.Header.Get(messageField)
	if err := json.Unmarshal([]byte(told), &m); err != nil {
		t.Errorf("message %q: %v", told, err)
	}
	return m
}

func TestATunnelTellsWhatAPollWould(t *testing.T) {
	w := newTown(t, gateway.Options{})
	c := w.claimed()
	seen := make(chan schema.Request, 2)
	answered := make(chan []string, 2)
	w.serveOn(w.tunnel(c, c.Cursor), http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		m := messageOf(t, r)
		seen <- m.Request
		answered <- m.Answered
		_, _ = io.WriteString(rw, "hi")
	}))
	w.visit("GET", "demo", "/%c3%a9?%zz", "").got(200, "hi")
	first := <-seen
	if told := <-answered; len(told) != 0 {
		t.Errorf("answered %q at first, want none", told)
	}
	var second schema.Request
	for told := []string(nil); !slices.Contains(told, first.ID); { // the visitor may have the answer before its end is seen
		w.visit("GET", "demo", "/two", "").got(200, "hi")
		second, told = <-seen, <-answered
	}
	want := schema.Request{
		Type: "request", ID: first.ID, Attempt: 1, TimeoutMs: first.TimeoutMs, Method: "GET", Target: "/%c3%a9?%zz", URL: c.URL + "%c3%a9?%zz", Base: c.URL,
		HTTPVersion: "1.1", RemoteAddr: first.RemoteAddr, ResponseURL: c.Session + "/exchanges/" + first.ID + "/response", Cursor: first.Cursor,
	}
	if fmt.Sprintf("%+v", first) != fmt.Sprintf("%+v", want) || first.TimeoutMs < 50_000 || !strings.HasPrefix(first.RemoteAddr, "127.0.0.1:") {
		t.Errorf("told %+v\nwant %+v", first, want)
	}
	if second.Cursor == first.Cursor {
		t.Errorf("the cursor stays %q", first.Cursor)
	}
}

func TestWhatALostTunnelGaveComesAgain(t *testing.T) {
	w := newTown(t, gateway.Options{})
	c := w.claimed()
	tunnel, had := w.tunnel(c, c.Cursor), make(chan string, 4)
	w.serveOn(tunnel, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		had <- messageOf(t, r).ID
		<-r.Context().Done()
	}))
	one := w.visit("POST", "demo", "/1", "x")
	first := <-had
	two := w.visit("POST", "demo", "/2", "x")
	second := <-had
	tunnel.Conn.Close()
	waitFor(t, func() bool { return w.Registry().Stats().Polls == 0 })

	// One is answered by POST, as if it had been polled for, and the other one comes again.
	var results schema.Results
	answer := fmt.Sprintf(`{"type":"response","id":%q,"status":200,"body":"by post"}`, first)
	if status := w.api("POST", c.Responses, "", answer, &results); status != 202 || results.Results[0].Status != "accepted" {
		t.Fatalf("%d %+v, want accepted", status, results)
	}
	one.got(200, "by post")
	w.serveOn(w.tunnel(c, c.Cursor), http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if m := messageOf(t, r); m.ID != second || m.Attempt != 2 {
			t.Errorf("again came %+v, want %s", m, second)
		}
		_, _ = io.WriteString(rw, "again")
	}))
	two.got(200, "again")
	if status := w.api("POST", c.Responses, "", fmt.Sprintf(`{"type":"response","id":%q,"status":200,"body":"again"}`, second), &results); status != 202 || results.Results[0].Status == "accepted" {
		t.Errorf("%d %+v, want an answer that was given", status, results)
	}
}

func TestAPollTakesTheTunnelsPlace(t *testing.T) {
	w := newTown(t, gateway.Options{})
	c := w.claimed()
	tunnel := w.tunnel(c, c.Cursor)
	w.serveOn(tunnel, http.NotFoundHandler())
	if status := w.api("GET", c.Requests, c.Cursor, "", nil); status != 204 {
		t.Errorf("poll: %d, want 204", status)
	}
	waitFor(t, func() bool { return w.Registry().Stats().Polls == 0 })
	if s := w.Registry().Lookup("demo").State().Sessions; len(s) != 1 {
		t.Errorf("%d sessions, want 1", len(s))
	}
}

func TestATunnelRefusesWhoMayNotPoll(t *testing.T) {
	w := newTown(t, gateway.Options{})
	c := w.claimed()
	path := c.Tunnel[strings.Index(c.Tunnel, "/claims"):]
	for name, x := range map[string]struct {
		fields string
		code   string
	}{
		"wrong token": {"Authorization: Bearer no\r\nConnection: Upgrade\r\nUpgrade: ptth\r\nALPN: h2\r\n", "token_wrong"},
		"no upgrade":  {"Authorization: Bearer t0\r\nALPN: h2\r\n", "upgrade_needed"},
		"http/1.1":    {"Authorization: Bearer t0\r\nConnection: Upgrade\r\nUpgrade: ptth\r\nALPN: http%2F1.1\r\n", "bad_request"},
		"bad cursor":  {"Authorization: Bearer t0\r\nConnection: Upgrade\r\nUpgrade: ptth\r\nALPN: h2\r\nLast-Event-ID: 9-abcdef\r\n", "bad_cursor"},
	} {
		_, resp := w.send("GET " + path + " HTTP/1.1\r\nHost: {host}\r\n" + x.fields + "\r\n")
		if b, _ := io.ReadAll(resp.Body); !strings.Contains(string(b), `"`+x.code+`"`) {
			t.Errorf("%s: %d %s, want %s", name, resp.StatusCode, b, x.code)
		}
	}
}

func TestATunnelKeepsTheNewestIdsToTell(t *testing.T) {
	var told told
	const ids = mostWhole + 100
	for i := range ids {
		told.add(fmt.Sprint(i))
		if i%10 == 0 { // a request that fails tells nothing
			told.add(told.tell()...)
		}
	}
	seen := map[string]bool{}
	for ids := told.tell(); len(ids) > 0; ids = told.tell() {
		if len(ids) > mostTold {
			t.Fatalf("one request tells %d ids, want %d at most", len(ids), mostTold)
		}
		for _, id := range ids {
			seen[id] = true
		}
	}
	if len(seen) != mostWhole || !seen[fmt.Sprint(ids-1)] {
		t.Errorf("%d ids are told, the newest among them: %v; want %d, and it", len(seen), seen[fmt.Sprint(ids-1)], mostWhole)
	}
}

func TestAWebSocketPassesATunnel(t *testing.T) {
	w := newTown(t, gateway.Options{})
	c := w.claimed()
	w.serveOn(w.tunnel(c, c.Cursor), http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if m := messageOf(t, r); m.Upgrade != "websocket" {
			t.Errorf("upgrade %q, want websocket", m.Upgrade)
		}
		rw.Header().Set(statusField, "101")
		rw.WriteHeader(200)
		rc := http.NewResponseController(rw)
		_ = rc.Flush()
		b := make([]byte, 64)
		for {
			n, err := r.Body.Read(b)
			if err != nil {
				return
			}
			_, _ = rw.Write(bytes.ToUpper(b[:n]))
			_ = rc.Flush()
		}
	}))
	host := strings.TrimSuffix(strings.TrimPrefix(c.URL, "http://"), "/")
	v := w.turned("GET / HTTP/1.1\r\nHost: " + host + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	for _, said := range []string{"one", "two"} {
		v.say(said)
		got := make([]byte, len(said))
		_ = v.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.ReadFull(v, got); err != nil || string(got) != strings.ToUpper(said) {
			t.Fatalf("read %q %v, want %q", got, err, strings.ToUpper(said))
		}
	}
}

func TestATunnelTellsWhatIsCancelled(t *testing.T) {
	w := newTown(t, gateway.Options{})
	c := w.claimed()
	ctx, leave := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, "POST", c.URL, nil)
	client := w.visitor()
	w.ends.Go(func() {
		if resp, err := client.Do(req); err == nil {
			resp.Body.Close()
		}
	})
	var polled struct {
		Cursor   string
		Messages []schema.Request
	}
	waitFor(t, func() bool { return w.api("GET", c.Requests, c.Cursor, "", nil) == 200 })
	w.api("GET", c.Requests, c.Cursor, "", &polled) // again, for nothing was acknowledged
	cancelled := make(chan string, 1)
	w.serveOn(w.tunnel(c, polled.Cursor), http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		m := messageOf(t, r)
		if m.Type != schema.TypeCancel || m.Cursor == "" || r.Method != "POST" {
			t.Errorf("%s with %+v, want a cancel", r.Method, m)
		}
		cancelled <- m.ID
	}))
	leave()
	select {
	case id := <-cancelled:
		if id != polled.Messages[0].ID {
			t.Errorf("cancelled %s, want %s", id, polled.Messages[0].ID)
		}
	case <-time.After(patience):
		t.Error("nothing was told")
	}
}

func TestAResponseToACancelAcknowledgesIt(t *testing.T) {
	w := newTown(t, gateway.Options{})
	c := w.claimed()
	had, cancelled := make(chan string, 2), make(chan string, 2)
	var cancels atomic.Int32
	w.serveOn(w.tunnel(c, c.Cursor), http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		m := messageOf(t, r)
		if m.Type == schema.TypeRequest {
			had <- m.ID
			<-r.Context().Done()
			return
		}
		cancelled <- m.ID
		if cancels.Add(1) > 1 {
			panic(http.ErrAbortHandler) // no response to the second
		}
		rw.WriteHeader(http.StatusTeapot)
	}))
	var ids []string
	for range 2 {
		ctx, leave := context.WithCancel(t.Context())
		req, _ := http.NewRequestWithContext(ctx, "POST", c.URL, nil)
		client := w.visitor()
		w.ends.Go(func() {
			if resp, err := client.Do(req); err == nil {
				resp.Body.Close()
			}
		})
		id := <-had
		leave()
		if got := <-cancelled; got != id {
			t.Errorf("cancelled %s, want %s", got, id)
		}
		ids = append(ids, id)
	}
	var polled struct{ Messages []schema.Cancel }
	waitFor(t, func() bool {
		polled.Messages = nil
		w.api("GET", c.Requests, c.Cursor, "", &polled)
		return len(polled.Messages) < 2
	})
	if len(polled.Messages) != 1 || polled.Messages[0].ID != ids[1] {
		t.Errorf("again came %+v, want that %s is cancelled", polled.Messages, ids[1])
	}
}
