package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
	reversehttp "reversehttp/sdk-go"
)

// through returns a client whose requests all pass a proxy, each on its own connection.
func through(t *testing.T, p *proxy) *http.Client {
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, p.address)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// patient are timeouts of the gateway that no test reaches.
var patient = []string{"--acknowledge=10m", "--unacknowledged=10m", "--no-poller=10m", "--answer=10m", "--lease=10m", "--unpolled=10m", "--wait=10m", "--stream=10m", "--heartbeat=10m"}

// raw is a program without an SDK.
type raw struct {
	t      *testing.T
	claim  schema.ClaimAnswer
	cursor string
}

func claimRaw(t *testing.T, g *gateway) *raw {
	t.Helper()
	r := &raw{t: t}
	wish := fmt.Sprintf(`{"label":%q,"token":%q}`, mine.label, mine.token)
	r.ask(direct, http.MethodPost, g.origin()+"/claims", wish, nil, &r.claim)
	r.cursor = r.claim.Cursor
	return r
}

// ask sends a whole request and decodes its answer unless into is nil.
func (r *raw) ask(client *http.Client, method, url, content string, fields map[string]string, into any) (status int, err error) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, url, strings.NewReader(content))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if r.claim.Token != "" {
		req.Header.Set("Authorization", "Bearer "+r.claim.Token)
	}
	for name, value := range fields {
		req.Header.Set(name, value)
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if into == nil {
		return resp.StatusCode, err
	}
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		r.t.Fatalf("%s %s = %d, %v: %s", method, url, resp.StatusCode, err, text)
	}
	return resp.StatusCode, nil
}

// poll polls from the cursor with a client, in a media type.
func (r *raw) poll(client *http.Client, accept string, into any) (int, error) {
	r.t.Helper()
	fields := map[string]string{"Accept": accept, "Last-Event-ID": r.cursor, "Prefer": "wait=600"}
	return r.ask(client, http.MethodGet, r.claim.Requests, "", fields, into)
}

// delivery is the result of a poll.
type delivery struct {
	Cursor   string
	Messages []schema.Request
}

// forms are the media types of polls.
var forms = []string{"application/json", "application/x-ndjson", "text/event-stream", envelope.MediaFramed}

func TestRequestsOfAPollThatIsCutAtAnyByteAreDeliveredAgain(t *testing.T) {
	t.Parallel()
	for _, form := range forms {
		t.Run(form, func(t *testing.T) {
			g := startGateway(t, patient...)
			var at atomic.Int64
			p := startProxy(t, g.address, func(uint64, []byte) []fault { return []fault{{kind: cut, at: at.Load()}} })
			p.keeps.Store(true)
			r := claimRaw(t, g)
			client := through(t, p)

			at.Store(1 << 30)
			polled, got := r.pollFor("/cut-none", client, form)
			message := func(_, received []byte) bool {
				_, rest, _ := bytes.Cut(received, []byte("/cut-none"))
				return bytes.ContainsRune(rest, '\n')
			}
			until(t, "a poll is answered", func() bool { return len(p.recorded(message)) > 0 })
			_, received := p.recorded(message)[0].kept()
			r.answerAgain("/cut-none", got, 2)
			<-polled // the newer poll ends a stream

			length := len(received)
			// A stream begins before there is a request. A cut in that beginning loses no delivery, so the next one may
			// be the first attempt.
			atOnce := 0
			if form != forms[0] {
				atOnce = bytes.Index(received, []byte("cursor"))
			}
			for offset := range length {
				at.Store(int64(offset))
				path := fmt.Sprintf("/cut-%04d", offset)
				polled, got := r.pollFor(path, client, form)
				if err := <-polled; err == nil {
					t.Fatalf("the poll that was cut after %d of %d bytes returned no error", offset, length)
				}
				least := 2
				if offset < atOnce {
					least = 1
				}
				r.answerAgain(path, got, least)
			}
			if m := g.metrics(); m.ended("done", "") != length+1 || m.sum("reversehttp_exchanges_total") != length+1 {
				t.Errorf("the gateway counts %v, want %d done", m.ends(), length+1)
			}
			t.Logf("cut at each of %d offsets", length)
		})
	}
}

// pollFor polls while a visitor posts to a path. polled receives the error of the poll, and got the visitor's status.
func (r *raw) pollFor(path string, client *http.Client, form string) (polled chan error, got chan int) {
	polled, got = make(chan error, 1), make(chan int, 1)
	go func() {
		_, err := r.poll(client, form, nil)
		polled <- err
	}()
	go func() {
		resp, err := direct.Post(strings.TrimSuffix(r.claim.URL, "/")+path, "text/plain", strings.NewReader("content"))
		if err != nil {
			r.t.Error(err)
			got <- 0
			return
		}
		_ = resp.Body.Close()
		got <- resp.StatusCode
	}()
	return polled, got
}

// answerAgain polls from the cursor of the last complete poll, which must return the request to path at attempt
// least or 2, and answers it.
func (r *raw) answerAgain(path string, got chan int, least int) {
	r.t.Helper()
	var d delivery
	if _, err := r.poll(direct, forms[0], &d); err != nil || len(d.Messages) != 1 || d.Messages[0].Target != path || d.Messages[0].Attempt < least || d.Messages[0].Attempt > 2 {
		r.t.Fatalf("after the poll for %s: %+v, %v, want the request again, at attempt %d or 2", path, d, err, least)
	}
	var results schema.Results
	answer := fmt.Sprintf(`{"type":"response","id":%q,"status":201}`, d.Messages[0].ID)
	if _, err := r.ask(direct, http.MethodPost, r.claim.Responses, answer, nil, &results); err != nil || results.Results[0].Status != schema.ResultAccepted {
		r.t.Fatalf("the answer to %s is %+v, %v, want accepted", path, results, err)
	}
	if status := <-got; status != http.StatusCreated {
		r.t.Fatalf("the visitor of %s gets %d, want 201", path, status)
	}
	r.cursor = d.Cursor
}

// inProcess serves a claim with sdk-go through a proxy, and counts the requests that its handler gets.
type inProcess struct {
	session *reversehttp.Session
	mu      sync.Mutex     // guards below
	handled map[string]int // by path
	attempt map[string]int // of the newest request, by path
}

func serveInProcess(t *testing.T, g *gateway, p *proxy) *inProcess {
	t.Helper()
	s, err := reversehttp.Claim(t.Context(), g.origin(), &reversehttp.Options{Label: mine.label, Token: mine.token, Transport: reversehttp.TransportStream, Client: through(t, p), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	h := &inProcess{session: s, handled: map[string]int{}, attempt: map[string]int{}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Serve(h)
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-ended
	})
	return h
}

func (h *inProcess) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.handled[r.URL.Path]++
	h.attempt[r.URL.Path] = reversehttp.RequestInfo(r.Context()).Attempt
	h.mu.Unlock()
	_, _ = io.WriteString(w, "answer to "+r.URL.Path)
}

// post visits a path and expects its answer.
func (h *inProcess) post(t *testing.T, g *gateway, path string) {
	t.Helper()
	resp, err := direct.Post("http://"+g.host()+path, "text/plain", strings.NewReader("content"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if want := "answer to " + path; err != nil || resp.StatusCode != http.StatusOK || string(content) != want {
		t.Fatalf("POST %s = %d %q, %v, want %q", path, resp.StatusCode, content, err, want)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := h.handled[path]; n != 1 {
		t.Errorf("POST %s was handled %d times, want once", path, n)
	}
}

func TestTheSDKHandlesARequestOnceWhenItsPollIsCut(t *testing.T) {
	t.Parallel()
	g := startGateway(t, patient...)
	for _, c := range []struct {
		at      int64
		attempt int // of the request that is handled; 0 if the poll is cut before the request comes
	}{{0, 0}, {15, 0}, {120, 0}, {600, 2}, {900, 2}} {
		var polls atomic.Int64
		p := startProxy(t, g.address, func(_ uint64, head []byte) []fault {
			if bytes.HasPrefix(head, []byte("GET /claims/")) && polls.Add(1) == 1 {
				return []fault{{kind: cut, at: c.at}}
			}
			return nil
		})
		h := serveInProcess(t, g, p)
		until(t, "a poll is open", func() bool {
			return polls.Load() >= 1 && (c.attempt == 0 || polls.Load() == 1) && g.metrics()["reversehttp_polls_parked"] == 1
		})
		path := fmt.Sprintf("/%d", c.at)
		h.post(t, g, path)
		if c.attempt != 0 && h.attempt[path] != c.attempt {
			t.Errorf("POST %s was handled at attempt %d, want %d; its first poll was cut after %d bytes", path, h.attempt[path], c.attempt, c.at)
		}
		if polls.Load() < 2 {
			t.Errorf("%d polls, want another one after the first was cut after %d bytes", polls.Load(), c.at)
		}
		_ = h.session.Close()
	}
}
