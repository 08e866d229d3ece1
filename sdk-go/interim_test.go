package reversehttp_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"strings"
	"testing"
	"time"

	"reversehttp/server/gateway"
)

// informed sends a request, and returns the informational responses and the answer.
func informed(t *testing.T, client *http.Client, url string) string {
	var b strings.Builder
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req.WithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(status int, h textproto.MIMEHeader) error {
			fmt.Fprintln(&b, status, h)
			return nil
		},
	})))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(&b, resp.StatusCode, resp.Header["Link"], resp.Header["X-A"], readBody(t, resp))
	return b.String()
}

func TestInformationalResponsesAreThoseOfNetHTTP(t *testing.T) {
	overEach(t, informationalResponsesAreThoseOfNetHTTP)
}

func informationalResponsesAreThoseOfNetHTTP(t *testing.T) {
	hints := handle(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Add("Link", "</a.css>; rel=preload")
		h.Set("Content-Length", "5")
		w.WriteHeader(103)
		w.WriteHeader(102)
		h.Add("Link", "</b.css>; rel=preload")
		h.Set("X-A", "caf\xc3\xa9")
		w.WriteHeader(103)
		w.WriteHeader(199)
		if strings.HasSuffix(r.URL.Path, "/flushed") {
			h.Del("Content-Length")
			io.WriteString(w, "he")
			w.(http.Flusher).Flush()
			w.WriteHeader(103)
			io.WriteString(w, "llo")
			return
		}
		h.Del("Link")
		io.WriteString(w, "hello")
	})
	origin := httptest.NewServer(hints)
	defer origin.Close()
	to, _ := url.Parse(origin.URL)
	l := lend(t, hostShape, gateway.Options{})
	own := l.serve(t, hints, nil)
	proxied := l.serve(t, httputil.NewSingleHostReverseProxy(to), nil)
	for _, path := range []string{"", "flushed"} {
		want := informed(t, origin.Client(), origin.URL+"/"+path)
		if !strings.Contains(want, "103 map[") || strings.Count(want, "\n") != 5 {
			t.Fatalf("net/http gave %q, want four informational responses and an answer", want)
		}
		for range 20 { // otherwise the order would be chance
			if got := informed(t, l.client(t), own.URL()+path); got != want {
				t.Errorf("visitor got  %q\nnet/http gave %q", got, want)
			}
		}
		if got := informed(t, l.client(t), proxied.URL()+path); got != want {
			t.Errorf("through a proxy the visitor got %q\nnet/http gave %q", got, want)
		}
	}
}

// They arrive while the handler still works, and it does not wait for them.
func TestInformationalResponsesGoAtOnce(t *testing.T) { overEach(t, informationalResponsesGoAtOnce) }

func informationalResponsesGoAtOnce(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	arrived := make(chan bool, 1)
	s := l.serve(t, handle(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(103)
		select {
		case <-arrived:
		case <-time.After(patience):
			w.WriteHeader(500)
		}
	}), nil)
	req, _ := http.NewRequest("GET", s.URL(), nil)
	resp, err := l.client(t).Do(req.WithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(int, textproto.MIMEHeader) error {
			arrived <- true
			return nil
		},
	})))
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
}

// The gateway refuses more than sixteen, including those that are too large to be sent; they do not affect
// the answer.
func TestInformationalResponsesAreBounded(t *testing.T) {
	overEach(t, informationalResponsesAreBounded)
}

func informationalResponsesAreBounded(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	s := l.serve(t, handle(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Large", strings.Repeat("x", 16<<20))
		w.WriteHeader(103)
		w.Header().Set("X-Large", strings.Repeat("x", 100<<10)) // more than the gateway accepts
		w.WriteHeader(103)
		w.Header().Del("X-Large")
		for range 1000 {
			w.WriteHeader(100)
			w.WriteHeader(103)
		}
		io.WriteString(w, "hello")
	}), nil)
	got := informed(t, l.client(t), s.URL())
	if n := strings.Count(got, "103 map["); n < 15 || n > 16 || !strings.HasSuffix(got, "200 [] [] hello\n") {
		t.Errorf("visitor got %d of them: %.300q, want 15 or 16 and the answer", n, got)
	}
}
