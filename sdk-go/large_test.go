package reversehttp_test

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"reversehttp/sdk-go"
	"reversehttp/server/gateway"
)

// small is a proxy that takes no content above a size, and says so in its own words.
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
