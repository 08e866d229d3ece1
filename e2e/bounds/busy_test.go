package bounds

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"reversehttp/schema"
)

// A goroutine of the gateway waits for its turn at least twice as long as the time after which a silent
// session is lost. Its program sends messages all the time.
func TestABusyGatewayLosesNoSession(t *testing.T) {
	const (
		silence = "300ms"
		loops   = 60 // each takes its turn of 10 ms
		posts   = 100
		pause   = 50 * time.Millisecond
	)
	gateway := start(t, "as-gateway", "--acknowledge="+silence)
	p := &poster{&http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: posts}}}
	defer p.client.CloseIdleConnections()
	status, content := p.send("POST", gateway.at+"/claims", "", `{"label":"demo","token":"t0"}`)
	if status != http.StatusCreated {
		t.Fatalf("claim: %d %s", status, content)
	}
	c := decode[schema.ClaimAnswer](t, content)
	v := visit(t, c.URL, "GET", "/", "")
	status, content = p.send("GET", c.Requests, "", "")
	if status != http.StatusOK {
		t.Fatalf("poll: %d %s", status, content)
	}
	batch := decode[schema.Batch](t, content)
	id := decode[schema.Request](t, batch.Messages[0]).ID

	results := make(chan string, posts)
	post := func() {
		status, content := p.send("POST", c.Responses, "", fmt.Sprintf(`{"type":"interim","id":%q,"status":103,"headers":[]}`, id))
		results <- fmt.Sprint(status, " ", string(content))
	}
	post()
	// The session lives by its POSTs from now on.
	if status, content := p.send("GET", c.Requests, batch.Cursor, ""); status != http.StatusNoContent {
		t.Fatalf("poll: %d %s", status, content)
	}
	busy := make(chan struct{})
	go func() {
		defer close(busy)
		gateway.tell(order{Busy: loops})
	}()
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for range posts - 1 {
		<-tick.C
		go post()
	}
	for range posts {
		if got := <-results; got[:3] != "202" {
			t.Fatalf("a post was answered %s, want 202", got)
		}
	}
	<-busy
	if status, content := p.send("POST", c.Responses, "", fmt.Sprintf(`{"type":"response","id":%q,"status":200,"body":"here"}`, id)); status != http.StatusAccepted {
		t.Errorf("the answer: %d %s, want 202", status, content)
	}
	for {
		resp, err := http.ReadResponse(v.reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode >= 200 {
			if content, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK || string(content) != "here" {
				t.Errorf("the visitor got %d %q, want the answer", resp.StatusCode, content)
			}
			return
		}
	}
}

// poster is a program without an SDK.
type poster struct{ client *http.Client }

// send sends a request of the program. If that fails the status is 0 and the content describes the error.
func (p *poster) send(method, url, cursor, content string) (status int, got []byte) {
	req, err := http.NewRequest(method, url, strings.NewReader(content))
	if err != nil {
		return 0, []byte(err.Error())
	}
	req.Header.Set("Authorization", "Bearer t0")
	req.Header.Set("Content-Type", "application/json")
	if cursor != "" {
		req.Header.Set("Last-Event-ID", cursor)
		req.Header.Set("Prefer", "wait=0")
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return 0, []byte(err.Error())
	}
	defer resp.Body.Close()
	if got, err = io.ReadAll(resp.Body); err != nil {
		return 0, []byte(err.Error())
	}
	return resp.StatusCode, got
}

func decode[T any](t *testing.T, content []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(content, &v); err != nil {
		t.Fatalf("%s: %v", content, err)
	}
	return v
}
