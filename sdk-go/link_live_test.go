package reversehttp_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"reversehttp/schema/vectors"
	reversehttp "reversehttp/sdk-go"
	"reversehttp/server/gateway"
)

// severer is a client's dialer whose connections a test cuts.
type severer struct {
	to    string
	mu    sync.Mutex // guards conns
	conns []net.Conn
}

func (c *severer) client(t *testing.T) *http.Client {
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, c.to)
		if err == nil {
			c.mu.Lock()
			c.conns = append(c.conns, conn)
			c.mu.Unlock()
		}
		return conn, err
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func (c *severer) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		conn.Close()
	}
	c.conns = nil
}

// Links that are cut while handlers run lose no answer, whole or in parts, and no handler runs twice.
func TestNothingIsLostWithALink(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	way := &severer{to: l.addr}
	var runs sync.Map
	began := make(chan bool, 1000)
	s := l.serve(t, handle(func(w http.ResponseWriter, r *http.Request) {
		content, _ := io.ReadAll(r.Body)
		n, _ := runs.LoadOrStore(string(content), new(atomic.Int64))
		n.(*atomic.Int64).Add(1)
		began <- true
		select {
		case <-r.Context().Done():
			t.Errorf("%s: the context ended: %v", content, context.Cause(r.Context()))
		case <-time.After(10 * time.Millisecond):
		}
		fmt.Fprintf(w, "%s answered", content)
		if r.URL.Path != "/stream" {
			return
		}
		for range 8 {
			w.(http.Flusher).Flush()
			w.Write(large[:50_000])
			time.Sleep(2 * time.Millisecond)
		}
	}), &reversehttp.Options{Client: way.client(t), Transport: reversehttp.TransportLink})
	client := l.client(t)
	var visits sync.WaitGroup
	for visitor := range 8 {
		visits.Go(func() {
			for i := range 15 {
				content, target := fmt.Sprintf("%d-%d", visitor, i), ""
				want := content + " answered"
				if i%2 == 1 {
					target = "stream"
					want += strings.Repeat(string(large[:50_000]), 8)
				}
				resp, err := client.Post(s.URL()+target, "text/plain", strings.NewReader(content))
				if err != nil {
					t.Error(err)
					return
				}
				if got := readBody(t, resp); got != want {
					t.Errorf("%s: visitor got %d, %d bytes, %.40q and so on, want %d", content, resp.StatusCode, len(got), got, len(want))
				}
			}
		})
	}
	done := make(chan bool)
	go func() { visits.Wait(); close(done) }()
	cuts := 0
	for ended := false; !ended; {
		for i := 0; i < 12 && !ended; i++ {
			select {
			case <-began:
			case <-done:
				ended = true
			}
		}
		way.cut()
		cuts++
	}
	runs.Range(func(content, n any) bool {
		if n := n.(*atomic.Int64).Load(); n != 1 {
			t.Errorf("%s was handled %d times, want once", content, n)
		}
		return true
	})
	if cuts < 5 {
		t.Errorf("%d cuts: too few to show anything", cuts)
	}
}

// Intermediaries between programs and the gateway that let no link through.
func TestASessionFallsBackWhereNoLinkPasses(t *testing.T) {
	for name, refuse := range map[string]func(w http.ResponseWriter, r *http.Request, pass http.Handler){
		"strips the upgrade": func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
			r.Header.Del("Upgrade")
			r.Header.Del("Connection")
			pass.ServeHTTP(w, r)
		},
		"400":      func(w http.ResponseWriter, r *http.Request, _ http.Handler) { http.Error(w, "no", 400) },
		"404":      func(w http.ResponseWriter, r *http.Request, _ http.Handler) { http.Error(w, "no", 404) },
		"200":      func(w http.ResponseWriter, r *http.Request, _ http.Handler) { io.WriteString(w, "welcome") },
		"hangs":    func(w http.ResponseWriter, r *http.Request, _ http.Handler) { <-r.Context().Done() },
		"hangs up": func(w http.ResponseWriter, r *http.Request, _ http.Handler) { panic(http.ErrAbortHandler) },
		"101 and silence": func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Upgrade", "websocket")
			w.WriteHeader(101)
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				io.Copy(io.Discard, conn)
				conn.Close()
			}
		},
		"101 and an end": func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Upgrade", "websocket")
			w.WriteHeader(101)
			if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
				conn.Close()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // one of them waits until a link takes too long
			l := lend(t, hostShape, gateway.Options{})
			pass := &httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(&url.URL{Scheme: "http", Host: l.addr})
				r.Out.Host = r.In.Host
			}}
			var tries atomic.Int64
			between := httptest.NewServer(handle(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/link") {
					tries.Add(1)
					refuse(w, r, pass)
					return
				}
				if vectors.FormOf(r.Header.Get("Accept")) == "framed" {
					http.Error(w, "what is that?", http.StatusForbidden)
					return
				}
				pass.ServeHTTP(w, r)
			}))
			t.Cleanup(func() { between.CloseClientConnections(); between.Close() })
			s := l.serve(t, handle(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }), &reversehttp.Options{
				Client:    (&severer{to: between.Listener.Addr().String()}).client(t),
				Transport: reversehttp.TransportAuto,
			})
			for range 3 {
				resp, err := l.client(t).Get(s.URL())
				if err != nil {
					t.Fatal(err)
				}
				if got := readBody(t, resp); resp.StatusCode != 200 || got != "hello" {
					t.Errorf("visitor got %d %q, want hello", resp.StatusCode, got)
				}
			}
			if n := tries.Load(); n < 1 || n > 2 {
				t.Errorf("%d links were tried, want one, or a second try", n)
			}
			if s.State() != reversehttp.Online {
				t.Errorf("state = %v, want online", s.State())
			}
		})
	}
}
