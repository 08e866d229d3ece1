package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"reversehttp/schema"
)

// byHand is a program at a node that is written without the SDK.
type byHand struct {
	t      *testing.T
	client *http.Client
	schema.ClaimAnswer
}

// byHand claims a label at a node.
func (w *world) byHand(at *testNode, label string) *byHand {
	w.t.Helper()
	p := &byHand{t: w.t, client: &http.Client{Transport: dialing(at)}}
	resp, err := p.client.Post("http://gateway.example/claims", "application/json", strings.NewReader(fmt.Sprintf(`{"label":%q,"token":"secret"}`, label)))
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&p.ClaimAnswer); err != nil || resp.StatusCode != http.StatusCreated && resp.StatusCode != http.StatusOK {
		w.t.Fatal(resp.Status, err)
	}
	return p
}

// call sends a request of the program and decodes the response.
func (p *byHand) call(method, url, content string, into any) {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, url, strings.NewReader(content))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer secret")
	r.Header.Set("Content-Type", "application/json")
	resp, err := p.client.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent { // of a poll
		return
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		p.t.Fatal(resp.Status, err)
	}
}

// poll returns the id of the next request.
func (p *byHand) poll() string {
	p.t.Helper()
	var batch struct{ Messages []schema.Request }
	for len(batch.Messages) == 0 {
		p.call(http.MethodGet, p.Requests, "", &batch)
	}
	return batch.Messages[0].ID
}

// answer answers requests at once, and returns the results.
func (p *byHand) answer(ids ...string) []schema.Result {
	p.t.Helper()
	var all []string
	for _, id := range ids {
		all = append(all, fmt.Sprintf(`{"type":"response","id":%q,"status":200}`, id))
	}
	var got schema.Results
	p.call(http.MethodPost, p.Responses, `{"messages":[`+strings.Join(all, ",")+`]}`, &got)
	return got.Results
}

// link opens a link, and returns how to read the next message of a type from it, and how to write one.
func (p *byHand) link() (next func(kind string, into any), say func(string)) {
	conn, _, err := websocket.Dial(p.t.Context(), strings.Replace(p.Link, "ws:", "http:", 1), &websocket.DialOptions{
		HTTPClient: p.client, HTTPHeader: http.Header{"Authorization": {"Bearer secret"}}, Subprotocols: []string{"reversehttp.1"},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = conn.CloseNow() })
	say = func(line string) {
		if err := conn.Write(context.Background(), websocket.MessageText, []byte(line)); err != nil {
			p.t.Error(err)
		}
	}
	var left []byte
	return func(kind string, into any) {
		for {
			for len(left) == 0 {
				if _, left, err = conn.Read(context.Background()); err != nil {
					p.t.Fatal(err)
				}
			}
			line, rest, _ := bytes.Cut(left, []byte{'\n'})
			left = rest
			var is struct{ Type string }
			if err := json.Unmarshal(line, &is); err != nil {
				p.t.Fatalf("%s: %v", line, err)
			}
			switch is.Type {
			case kind:
				if err := json.Unmarshal(line, into); err != nil {
					p.t.Fatalf("%s: %v", line, err)
				}
				return
			case "ping":
				say(`{"type":"pong"}`)
			}
		}
	}, say
}

func TestAnAnswerThatItsEntryNeverGetsIsNotAccepted(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"post", "link"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 2)
			home, entry := w.nodes[0], w.nodes[1]
			p := w.byHand(home, "demo")
			var take func() string
			var answer func(id string) schema.Result
			if way == "post" {
				take, answer = p.poll, func(id string) schema.Result { return p.answer(id)[0] }
			} else {
				next, say := p.link()
				take = func() string {
					var r schema.Request
					next("request", &r)
					return r.ID
				}
				answer = func(id string) schema.Result {
					say(fmt.Sprintf(`{"type":"response","id":%q,"status":200}`, id))
					var got schema.LinkResults
					next("results", &got)
					return got.Results[0]
				}
			}
			visited := make(chan int, 1)
			visit := func() {
				status, _, _ := w.visitAt(entry, http.MethodPost, "demo", "/", "")
				visited <- status
			}
			go visit()
			if got := answer(take()); got.Status != schema.ResultAccepted {
				t.Errorf("the result of an answer that its visitor gets is %s", got.Status)
			}
			if status := <-visited; status != http.StatusOK {
				t.Errorf("status %d", status)
			}
			go visit()
			id := take()
			home.mute.Store(true) // the way to the entry breaks after it has noted the request
			if got := answer(id); got.ID != id || got.Status != schema.ResultLate {
				t.Errorf("the result of an answer that its visitor never gets is %+v, want late", got)
			}
			w.kill(home)
			if status := <-visited; status == http.StatusOK {
				t.Error("the visitor got an answer that did not arrive")
			}
		})
	}
}
