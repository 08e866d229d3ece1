package reversehttp_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/schema/envelope"
	reversehttp "reversehttp/sdk-go"
	"reversehttp/server/gateway"
)

// tally counts the requests of a client by the last segment of their paths, and may answer in place of the gateway.
type tally struct {
	base   http.RoundTripper
	meddle func(*http.Request) *http.Response

	mu sync.Mutex // guards the fields below
	n  map[string]int
}

func (c *tally) RoundTrip(r *http.Request) (*http.Response, error) {
	last := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	c.mu.Lock()
	if c.n == nil {
		c.n = map[string]int{}
	}
	c.n[last]++
	c.mu.Unlock()
	if c.meddle != nil {
		if resp := c.meddle(r); resp != nil {
			return resp, nil
		}
	}
	return c.base.RoundTrip(r)
}

func (c *tally) count(segment string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[segment]
}

// A fast stream is sent in growing POSTs, a slow one as it is flushed.
func TestLongContentIsSentInFewPosts(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *gateway.Gateway, client *http.Client) {
		c := &tally{base: client.Transport}
		s, served := begin(t, &http.Client{Transport: c}, reversehttp.Options{}, func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/much":
				for range 8 {
					w.Write(large)
				}
			case "/little":
				for range 3 {
					io.WriteString(w, "event\n")
					w.(http.Flusher).Flush()
					time.Sleep(time.Second)
				}
			case "/whole":
				w.Write(large[:100_000])
			}
		})
		for path, most := range map[string]int{"whole": 1, "little": 4, "much": 8*len(large)/(128<<10) + 16} { // they grow after a megabyte
			posts := c.count("responses")
			resp, err := client.Get(demo + path)
			if err != nil {
				t.Fatal(err)
			}
			readBody(t, resp)
			synctest.Wait()
			if posts = c.count("responses") - posts; posts > most {
				t.Errorf("/%s: %d posts, want %d at most", path, posts, most)
			}
		}
		s.Close()
		served()
	})
}

// A proxy that forwards a request while it arrives may refuse it in the middle. Content that has arrived is
// not sent twice.
func TestAPostThatIsRefusedMidwayGoesInHalves(t *testing.T) {
	for _, most := range []int64{80_000, 100_000} {
		inBubble(t, func(t *testing.T, _ *gateway.Gateway, client *http.Client) {
			way := &midway{RoundTripper: client.Transport, most: most}
			content, _ := io.ReadAll(io.LimitReader(pattern(), 8<<20))
			s, served := begin(t, &http.Client{Transport: way}, reversehttp.Options{}, func(w http.ResponseWriter, r *http.Request) {
				for p := content; len(p) > 0; p = p[min(len(p), 60_000):] {
					w.Write(p[:min(len(p), 60_000)])
					if len(p) == len(content) {
						w.(http.Flusher).Flush() // the beginning is not divided
					}
				}
			})
			download := func() {
				resp, err := client.Get(demo)
				if err != nil {
					t.Fatal(err)
				}
				if got := readBody(t, resp); got != string(content) {
					t.Errorf("bound of %d: visitor got %d bytes, or others, want %d", most, len(got), len(content))
				}
			}
			download()
			first := way.refused.Load()
			download()
			if again := way.refused.Load() - first; first == 0 || again > 0 {
				t.Errorf("bound of %d: %d posts were refused, and %d of a second answer; want some, and none", most, first, again)
			}
			s.Close()
			served()
		})
	}
}

// midway lets the beginning of a POST through, and then answers with 413.
type midway struct {
	http.RoundTripper
	most    int64
	refused atomic.Int64
}

func (m *midway) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.ContentLength <= m.most {
		return m.RoundTripper.RoundTrip(r)
	}
	m.refused.Add(1)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	cut := r.Clone(ctx)
	cut.GetBody = nil
	cut.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(io.LimitReader(r.Body, m.most), brokenReader{}), r.Body}
	_, _ = m.RoundTripper.RoundTrip(cut)
	return page(r, 413, "<h1>Request Entity Too Large</h1>"), nil
}

// page is an answer that is not from the gateway.
func page(r *http.Request, status int, content string) *http.Response {
	r.Body.Close()
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(content)), Request: r}
}

// If the framed form does not come through, answers are sent as JSON.
func TestAnswersGoAsJSONWhereTheFramedFormIsRefused(t *testing.T) {
	for _, status := range []int{400, 403, 415, 501} {
		inBubble(t, func(t *testing.T, _ *gateway.Gateway, client *http.Client) {
			var framed atomic.Int64
			way := &tally{base: client.Transport, meddle: func(r *http.Request) *http.Response {
				if r.Header.Get("Content-Type") != envelope.MediaFramed {
					return nil
				}
				framed.Add(1)
				return page(r, status, "<h1>No</h1>")
			}}
			s, served := begin(t, &http.Client{Transport: way}, reversehttp.Options{Transport: reversehttp.TransportFramed}, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/large" {
					w.Write(large)
				}
			})
			for range 2 {
				check(t, visitURL(client, "GET", demo), "200 ")
				check(t, visitURL(client, "GET", demo+"large"), "200 "+string(large))
			}
			if n := framed.Load(); n != 1 {
				t.Errorf("%d: %d posts in the framed form, want the first", status, n)
			}
			s.Close()
			served()
		})
	}
}
