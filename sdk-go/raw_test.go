package reversehttp_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/schema/vectors"
	reversehttp "reversehttp/sdk-go"
	"reversehttp/server/gateway"
)

// tally counts the requests of a client by the last segment of their paths, and may answer in place of the gateway.
type tally struct {
	base   http.RoundTripper
	meddle func(*http.Request) *http.Response

	mu sync.Mutex // guards what follows
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

func TestMuchGoesAsItIsAndLittleInParts(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *gateway.Gateway, client *http.Client) {
		c := &tally{base: client.Transport}
		s, served := begin(t, &http.Client{Transport: c}, reversehttp.Options{}, func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/much":
				w.Write(large)
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
		for _, want := range []struct {
			path           string
			posts, streams int
		}{
			{"whole", 1, 0}, {"little", 4, 0},
			{"much", 2, 1}, // with the probe
			{"much", 1, 1},
		} {
			posts, streams := c.count("responses"), c.count("response")
			resp, err := client.Get(demo + want.path)
			if err != nil {
				t.Fatal(err)
			}
			readBody(t, resp)
			synctest.Wait()
			posts, streams = c.count("responses")-posts, c.count("response")-streams
			if posts != want.posts || streams != want.streams {
				t.Errorf("/%s: %d posts and %d streams, want %d and %d", want.path, posts, streams, want.posts, want.streams)
			}
		}
		s.Close()
		served()
	})
}

// Something between that takes no request without a length makes no difference but of speed.
func TestPartsStandInForAStreamThatIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *gateway.Gateway, client *http.Client) {
		c := &tally{base: client.Transport, meddle: func(r *http.Request) *http.Response {
			if r.ContentLength >= 0 {
				return nil
			}
			r.Body.Close()
			return &http.Response{StatusCode: 411, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("<h1>Length Required</h1>")), Request: r}
		}}
		s, served := begin(t, &http.Client{Transport: c}, reversehttp.Options{}, func(w http.ResponseWriter, r *http.Request) { w.Write(large) })
		for range 2 {
			resp, err := client.Get(demo)
			if err != nil {
				t.Fatal(err)
			}
			if got := readBody(t, resp); got != string(large) {
				t.Errorf("visitor got %d bytes, or others, want %d", len(got), len(large))
			}
		}
		if n := c.count("response"); n != 0 {
			t.Errorf("%d streams were tried, want none: it is known before", n)
		}
		s.Close()
		served()
	})
}

// torn breaks streams off before anything of them reaches the gateway.
type torn struct{ http.RoundTripper }

func (b torn) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(r.URL.Path, "/response") {
		return b.RoundTripper.RoundTrip(r)
	}
	_, _ = io.ReadFull(r.Body, make([]byte, 1))
	r.Body.Close()
	return nil, io.ErrUnexpectedEOF
}

// The gateway, which knows nothing of such a stream, would let the visitor wait for a minute.
func TestAStreamThatBreaksIsCutShortAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *gateway.Gateway, client *http.Client) {
		s, served := begin(t, &http.Client{Transport: torn{client.Transport}}, reversehttp.Options{}, func(w http.ResponseWriter, r *http.Request) { w.Write(large) })
		since := time.Now()
		resp, err := client.Get(demo)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err == nil || time.Since(since) > time.Second {
			t.Errorf("visitor sees %v after %v, want an answer that is cut short at once", err, time.Since(since))
		}
		s.Close()
		served()
	})
}

// The trailers of a stream that goes as it is are those of the request that carries it.
func TestTrailersOfMuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &scripted{origin: testOrigin}
		g.script.Requests = append(g.script.Requests, replyWith(map[string]any{"cursor": "c1", "messages": []any{map[string]any{
			"type": "request", "id": "x1", "attempt": 1, "timeoutMs": 60000, "method": "GET", "target": "/", "url": demo, "base": demo,
			"httpVersion": "1.1", "remoteAddr": "127.0.0.1:5", "headers": []any{[]string{"Host", "demo.gateway.test"}}, "responseUrl": "{origin}/response",
		}}}))
		got := make(chan string, 1)
		client := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/response" {
				g.ServeHTTP(w, r)
				return
			}
			n, err := io.Copy(io.Discard, r.Body)
			got <- fmt.Sprint(r.Header.Get("Authorization"), " ", n, " ", err, " ", r.Trailer)
			give(w, 202, map[string]any{"id": "x1", "status": "accepted"})
		}))
		s, served := begin(t, client, reversehttp.Options{}, func(w http.ResponseWriter, r *http.Request) {
			w.Write(large)
			w.Header().Set(http.TrailerPrefix+"X-Late", "2")
		})
		// The head has what is held, and the stream the rest.
		if got, want := <-got, fmt.Sprint("Bearer t0 ", len(large)-128<<10, " <nil> map[X-Late:[2]]"); got != want {
			t.Errorf("gateway got %s, want %s", got, want)
		}
		s.Close()
		served()
	})
}

// replyWith is a scripted answer with JSON.
func replyWith(content any) (r vectors.Reply) {
	b, err := json.Marshal(content)
	if err != nil {
		panic(err)
	}
	r.Status, r.JSON = 200, b
	return r
}
