package reversehttp_test

import (
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"

	reversehttp "reversehttp/sdk-go"
	"reversehttp/server/gateway"
)

// bounded refuses requests that announce more content than its bound, like a proxy.
type bounded struct {
	http.RoundTripper
	most          int64
	long, refused atomic.Int64
}

func (b *bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.ContentLength > 1<<20 {
		b.long.Add(1)
	}
	if r.ContentLength > b.most {
		b.refused.Add(1)
		return page(r, 413, "<h1>Request Entity Too Large</h1>"), nil
	}
	return b.RoundTripper.RoundTrip(r)
}

// A large answer of known length is sent as one long part, or like others if an intermediary refuses that.
func TestAnAnswerOfKnownLengthIsOneLongPart(t *testing.T) {
	content, _ := io.ReadAll(io.LimitReader(pattern(), 8<<20))
	for name, most := range map[string]int64{"that passes": 1 << 40, "that is refused": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, _ *gateway.Gateway, client *http.Client) {
				way := &bounded{RoundTripper: client.Transport, most: most}
				s, served := begin(t, &http.Client{Transport: way}, reversehttp.Options{}, func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Length", strconv.Itoa(len(content)))
					for p := content; len(p) > 0; p = p[min(len(p), 60_000):] {
						if _, err := w.Write(p[:min(len(p), 60_000)]); err != nil {
							t.Error(err)
						}
					}
					if r.Context().Err() != nil {
						t.Error("the context of the handler ended before it")
					}
				})
				for range 2 {
					resp, err := client.Get(demo)
					if err != nil {
						t.Fatal(err)
					}
					if got := readBody(t, resp); got != string(content) || resp.ContentLength != int64(len(content)) {
						t.Errorf("visitor got %d bytes, or others, of %d", len(got), resp.ContentLength)
					}
				}
				wantLong, wantRefused := int64(2), int64(0)
				if most < 1<<40 {
					wantLong, wantRefused = 1, 1
				}
				if way.long.Load() != wantLong || way.refused.Load() != wantRefused {
					t.Errorf("%d long posts, %d refused, want %d and %d", way.long.Load(), way.refused.Load(), wantLong, wantRefused)
				}
				s.Close()
				served()
			})
		})
	}
}

// A handler that writes less than it declares, and one that panics in the middle, cut a long part.
func TestALongPartThatBreaksOffCutsTheAnswer(t *testing.T) {
	for _, path := range []string{"less", "panic"} {
		inBubble(t, func(t *testing.T, _ *gateway.Gateway, client *http.Client) {
			s, served := begin(t, &http.Client{Transport: client.Transport}, reversehttp.Options{}, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Length", strconv.Itoa(8<<20))
				_, _ = w.Write(make([]byte, 3<<20))
				if r.URL.Path == "/panic" {
					panic(http.ErrAbortHandler)
				}
			})
			resp, err := client.Get(demo + path)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err == nil || len(got) > 3<<20 {
				t.Errorf("/%s: visitor got %d bytes and %v, want a cut", path, len(got), err)
			}
			if resp, err = client.Get(demo + path); err != nil {
				t.Errorf("the next answer: %v", err)
			} else {
				resp.Body.Close()
			}
			s.Close()
			served()
		})
	}
}
