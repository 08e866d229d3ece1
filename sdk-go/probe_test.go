package reversehttp_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	reversehttp "reversehttp/sdk-go"
	"reversehttp/server/gateway"
)

// bounded is a proxy that reads a request before it sends it on, and takes 1 MiB of it at most.
type bounded struct {
	*httputil.ReverseProxy
	refused, streams atomic.Int64
}

func (p *bounded) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/response") {
		p.streams.Add(1)
	}
	content, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		p.refused.Add(1)
		http.Error(w, "Request Entity Too Large", http.StatusRequestEntityTooLarge)
		return
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(content)), int64(len(content))
	p.ReverseProxy.ServeHTTP(w, r)
}

func TestAnAnswerIsWholeBehindAProxyThatBoundsRequests(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	way := &bounded{ReverseProxy: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: l.addr})
			r.Out.Host = r.In.Host
		},
		FlushInterval: -1,
	}}
	server := httptest.NewServer(way)
	t.Cleanup(server.Close)
	content, _ := io.ReadAll(io.LimitReader(pattern(), 4<<20))
	s := l.serve(t, handle(func(w http.ResponseWriter, r *http.Request) { w.Write(content) }), &reversehttp.Options{
		Client:    (&lender{addr: server.Listener.Addr().String()}).client(t),
		Transport: reversehttp.TransportStream,
	})
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			resp, err := l.client(t).Get(s.URL())
			if err != nil {
				t.Error(err)
				return
			}
			got, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("visitor got %d bytes, %v, want %d", len(got), err, len(content))
			}
		})
	}
	all.Wait()
	if refused, streams := way.refused.Load(), way.streams.Load(); refused != 1 || streams != 0 {
		t.Errorf("the proxy refused %d requests and saw %d streams, want the probe and none", refused, streams)
	}
}

// page is an answer that is not the gateway's.
func page(r *http.Request, status int, content string) *http.Response {
	r.Body.Close()
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(content)), Request: r}
}

func TestOnlyTheGatewaysAnswerProvesThatStreamsPass(t *testing.T) {
	for _, c := range []struct {
		status  int
		content string
		streams int
	}{
		{200, "<h1>Welcome</h1>", 0}, {202, "<h1>Welcome</h1>", 0}, {202, "{}", 0}, {200, `{"results":[]}`, 0}, {204, "", 0},
		{202, `{"results":[]}`, 1},
	} {
		inBubble(t, func(t *testing.T, _ *gateway.Gateway, client *http.Client) {
			way := &tally{base: client.Transport, meddle: func(r *http.Request) *http.Response {
				if r.ContentLength >= 0 || !strings.HasSuffix(r.URL.Path, "/responses") {
					return nil
				}
				return page(r, c.status, c.content)
			}}
			s, served := begin(t, &http.Client{Transport: way}, reversehttp.Options{}, func(w http.ResponseWriter, r *http.Request) { w.Write(large) })
			check(t, visitURL(client, "GET", demo), "200 "+string(large))
			if n := way.count("response"); n != c.streams {
				t.Errorf("%d %s: %d streams, want %d", c.status, c.content, n, c.streams)
			}
			s.Close()
			served()
		})
	}
}

// A probe that is slow holds the first streams up for a moment only, and speaks for those after it.
func TestAStreamDoesNotWaitLongForTheProbe(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *gateway.Gateway, client *http.Client) {
		way := &tally{base: client.Transport, meddle: func(r *http.Request) *http.Response {
			if r.ContentLength < 0 && strings.HasSuffix(r.URL.Path, "/responses") {
				time.Sleep(20 * time.Second)
			}
			return nil
		}}
		s, served := begin(t, &http.Client{Transport: way}, reversehttp.Options{}, func(w http.ResponseWriter, r *http.Request) { w.Write(large) })
		for _, want := range []struct {
			took    time.Duration
			streams int
		}{{5 * time.Second, 0}, {0, 1}} {
			since := time.Now()
			check(t, visitURL(client, "GET", demo), "200 "+string(large))
			if took, n := time.Since(since), way.count("response"); took != want.took || n != want.streams {
				t.Errorf("the answer took %v, by %d streams; want %v and %d", took, n, want.took, want.streams)
			}
			time.Sleep(time.Minute)
		}
		s.Close()
		served()
	})
}

// What one session of the gateway proved is no proof for the next.
func TestEachSessionOfTheGatewayIsProbed(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *gateway.Gateway, client *http.Client) {
		var probes, probed atomic.Int64
		way := &tally{base: client.Transport, meddle: func(r *http.Request) *http.Response {
			if r.ContentLength < 0 && strings.HasSuffix(r.URL.Path, "/responses") {
				probes.Add(1)
				content, _ := io.ReadAll(r.Body)
				probed.Store(int64(len(content)))
				return page(r, 202, `{"results":[]}`)
			}
			return nil
		}}
		cut := &cutter{base: way}
		s, served := begin(t, &http.Client{Transport: cut}, reversehttp.Options{}, func(w http.ResponseWriter, r *http.Request) { w.Write(large) })
		for session := range int64(2) {
			for range 2 {
				check(t, visitURL(client, "GET", demo), "200 "+string(large))
			}
			if n := probes.Load(); n != session+1 {
				t.Errorf("%d probes in %d sessions", n, session+1)
			}
			cut.cut(true)
			time.Sleep(15 * time.Second) // the gateway holds the session for lost
			cut.cut(false)
			time.Sleep(time.Minute)
			synctest.Wait()
		}
		if n := probed.Load(); n != 1<<20+64<<10 {
			t.Errorf("a probe has %d bytes, want 1 MiB and 64 KiB", n)
		}
		s.Close()
		served()
	})
}
