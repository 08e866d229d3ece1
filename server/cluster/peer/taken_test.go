package peer

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestAHomeLearnsThatItsEntryHasTheResponse(t *testing.T) {
	said := make(chan bool, 1)
	release := make(chan struct{})
	p := newPair(t, func(w http.ResponseWriter, r *http.Request) {
		CallOf(r).Taken(func(taken bool) { said <- taken })
		switch r.URL.Path {
		case "/small":
			_, _ = io.WriteString(w, "content")
		case "/large":
			_, _ = io.WriteString(w, strings.Repeat("content", 100_000))
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/begun":
			_ = http.NewResponseController(w).Flush()
			<-release
		case "/upgraded":
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
			<-release
			_ = conn.Close()
		}
	}, nil)
	for _, path := range []string{"/small", "/large", "/none", "/begun", "/upgraded"} {
		go func() {
			resp, err := p.entry.Client().Get(p.entry.URL + path)
			if err != nil {
				t.Error(err)
				said <- false
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}()
		if !<-said {
			t.Errorf("%s: the entry did not say that it has the response", path)
		}
		if path == "/begun" || path == "/upgraded" {
			release <- struct{}{}
		}
	}
}

func TestAnEntryThatIsLostHasNoResponse(t *testing.T) {
	said := make(chan bool, 1)
	p := newPair(t, func(w http.ResponseWriter, r *http.Request) {
		CallOf(r).Taken(func(taken bool) { said <- taken })
		<-r.Context().Done()
	}, nil)
	client := &http.Client{Timeout: 50 * time.Millisecond} // who leaves
	if _, err := client.Get(p.entry.URL); err == nil {
		t.Error("there is a response")
	}
	if <-said {
		t.Error("an entry whose visitor left has a response that was never sent")
	}
}
