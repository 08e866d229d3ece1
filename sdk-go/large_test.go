package reversehttp_test

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	reversehttp "reversehttp/sdk-go"
	"reversehttp/server/gateway"
)

// small is a proxy that refuses content above a size, with its own error page.
type small struct {
	http.RoundTripper
	most, refused atomic.Int64
}

func (s *small) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == "POST" {
		time.Sleep(time.Second) // so that answers wait for each other
	}
	if r.ContentLength <= s.most.Load() {
		return s.RoundTripper.RoundTrip(r)
	}
	s.refused.Add(1)
	_ = r.Body.Close()
	return &http.Response{StatusCode: 413, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("<h1>413</h1>")), Request: r}, nil
}

func TestAnswersTooLargeTogetherForAProxyGoOneByOne(t *testing.T) {
	inBubble(t, func(t *testing.T, g *gateway.Gateway, client *http.Client) {
		proxy := &small{RoundTripper: client.Transport}
		proxy.most.Store(100_000)
		content := strings.Repeat("x", 60_000)
		s, ended := begin(t, &http.Client{Transport: proxy}, reversehttp.Options{}, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, content)
		})
		defer func() {
			_ = s.Close()
			_ = ended()
		}()
		var visitors []*visitor
		for range 40 {
			visitors = append(visitors, visitURL(client, "GET", s.URL()))
		}
		for _, v := range visitors {
			check(t, v, "200 "+content)
		}
		if proxy.refused.Load() == 0 {
			t.Error("no two answers went together")
		}
	})
}

// holding is a way to the gateway that holds up large posts until let is closed.
type holding struct {
	http.RoundTripper
	let     chan struct{} // closed
	held    atomic.Int64
	largest atomic.Int64
}

func (h *holding) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPost && r.ContentLength > 50_000 {
		h.held.Add(1)
		h.largest.Store(max(h.largest.Load(), r.ContentLength))
		<-h.let
	}
	return h.RoundTripper.RoundTrip(r)
}

func TestSmallAnswersDoNotWaitForLargeOnes(t *testing.T) {
	for name, answer := range map[string]func(w http.ResponseWriter){
		"whole":     func(w http.ResponseWriter) { io.WriteString(w, strings.Repeat("x", 60_000)) },
		"beginning": func(w http.ResponseWriter) { io.WriteString(w, strings.Repeat("x", 140_000)) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, g *gateway.Gateway, client *http.Client) {
				way := &holding{RoundTripper: client.Transport, let: make(chan struct{})}
				s, ended := begin(t, &http.Client{Transport: way}, reversehttp.Options{}, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/large" {
						answer(w)
						return
					}
					io.WriteString(w, "small")
				})
				var slow []*visitor
				for range 40 {
					slow = append(slow, visitURL(client, "GET", s.URL()+"large"))
				}
				synctest.Wait()
				for range 200 {
					if got := <-visitURL(client, "GET", s.URL()+"small").answer; got != "200 small" {
						t.Errorf("visitor got %q, want 200", got)
						break
					}
				}
				if way.held.Load() == 0 {
					t.Error("nothing large was under way")
				}
				close(way.let)
				for _, v := range slow {
					check(t, v, "200 xxx")
				}
				if n := way.largest.Load(); n > 256<<10 {
					t.Errorf("a post had %d bytes, want 256 KiB at most", n)
				}
				_ = s.Close()
				_ = ended()
			})
		})
	}
}
