package reversehttp_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	reversehttp "reversehttp/sdk-go"
	"reversehttp/server/gateway"
)

// bystander is a server in the program's network that must not receive any request.
type bystander struct {
	*httptest.Server
	mu    sync.Mutex // guards asked
	asked []string
}

func standBy(t *testing.T) *bystander {
	b := &bystander{}
	b.Server = httptest.NewServer(handle(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		defer b.mu.Unlock()
		content, _ := io.ReadAll(r.Body)
		b.asked = append(b.asked, r.Method+" "+r.URL.Path+" "+r.Header.Get("Authorization")+" "+string(content))
		io.WriteString(w, `{"secret":"of the network"}`)
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *bystander) wasAsked(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.asked) > 0 {
		t.Errorf("a server that is not the gateway was asked %q, want nothing", b.asked)
	}
}

// hostile is a gateway that names a URL of another server, or redirects there.
type hostile struct {
	*httptest.Server
	foreign   string // the member with the URL of the other server
	redirects string // the path from which it redirects
	other     string
	comes     chan string
	once      sync.Once
}

func beHostile(t *testing.T, other string) *hostile {
	h := &hostile{other: other, comes: make(chan string, 1000)}
	h.Server = httptest.NewServer(h)
	t.Cleanup(func() {
		h.CloseClientConnections()
		h.Close()
	})
	return h
}

// url returns the URL for a member.
func (h *hostile) url(member string) string {
	base := h.URL
	if h.foreign == member {
		base = h.other
	}
	if member == "link" {
		base = "ws" + strings.TrimPrefix(base, "http")
	}
	return base + "/" + member
}

func (h *hostile) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.comes <- r.Method + " " + r.URL.Path
	if r.URL.Path == h.redirects {
		status := http.StatusTemporaryRedirect
		if r.Method == http.MethodGet {
			status = http.StatusFound
		}
		http.Redirect(w, r, h.other+"/secret", status)
		return
	}
	limits := map[string]int{"inlineBytes": 65536, "partBytes": 65536, "waitSeconds": 25, "batch": 64, "answerBytes": 1 << 20, "sessions": 8, "queue": 64}
	switch r.URL.Path {
	case "/.well-known/reversehttp":
		give(w, 200, map[string]any{"version": 1, "claims": h.url("claims"), "urlTemplate": "", "transports": []string{"json"}, "keyNeeded": false, "limits": limits})
	case "/claims":
		answer := map[string]any{"label": "demo", "token": "t0", "url": "http://demo.localhost/", "lease": 60, "timeoutMs": 60000, "redeliver": "idempotent", "cursor": "c0", "limits": limits}
		for _, member := range []string{"claim", "session", "requests", "responses", "exchanges", "link"} {
			answer[member] = h.url(member)
		}
		give(w, 201, answer)
	case "/requests":
		come := false
		h.once.Do(func() { come = true })
		if !come {
			<-r.Context().Done()
			return
		}
		give(w, 200, map[string]any{"cursor": "c1", "messages": []any{map[string]any{
			"type": "request", "id": "x1", "attempt": 1, "timeoutMs": 60000, "method": "POST", "target": "/", "url": "http://demo.localhost/", "base": "http://demo.localhost/",
			"httpVersion": "1.1", "remoteAddr": "127.0.0.1:5", "headers": [][2]string{{"Host", "demo.localhost"}}, "bodyUrl": h.url("bodyUrl"), "responseUrl": h.url("responseUrl"),
		}}})
	case "/responses":
		var m struct{ Messages []struct{ ID string } }
		content, _ := io.ReadAll(r.Body)
		_ = json.Unmarshal(content, &m)
		results := []any{}
		for range max(1, len(m.Messages)) {
			results = append(results, map[string]any{"id": "x1", "status": "accepted"})
		}
		give(w, 202, map[string]any{"results": results})
	case "/bodyUrl":
		io.WriteString(w, "content")
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// awaits waits until a path was requested a number of times.
func (h *hostile) awaits(t *testing.T, what string, times int) {
	t.Helper()
	for end := time.After(patience); times > 0; {
		select {
		case came := <-h.comes:
			if came == what {
				times--
			}
		case <-end:
			t.Fatalf("%s did not come", what)
		}
	}
}

func (h *hostile) claim(transport reversehttp.Transport) (*reversehttp.Session, error) {
	return reversehttp.Claim(context.Background(), h.URL, &reversehttp.Options{Key: "key", Token: "token", Inspect: true, Transport: transport, Logger: slog.New(slog.DiscardHandler)})
}

func TestAGatewayCannotNameURLsOfOthers(t *testing.T) {
	for _, member := range []string{"claims", "claim", "session", "requests", "responses", "exchanges", "link"} {
		t.Run(member, func(t *testing.T) {
			b := standBy(t)
			h := beHostile(t, b.URL)
			h.foreign = member
			s, err := h.claim(reversehttp.TransportAuto)
			if err == nil {
				s.Close()
			}
			var e *reversehttp.Error
			of := strings.TrimPrefix(b.URL, "http:")
			if !errors.As(err, &e) || e.Code != "unexpected" || !strings.Contains(err.Error(), of) || !strings.Contains(err.Error(), `"`+member+`"`) {
				t.Errorf("Claim = %v, want an error that names %s and %s", err, member, of)
			}
			b.wasAsked(t)
		})
	}
}

func TestContentIsAskedForAtTheGatewayOnly(t *testing.T) {
	for _, c := range []struct{ foreign, redirects string }{{foreign: "bodyUrl"}, {redirects: "/bodyUrl"}} {
		b := standBy(t)
		h := beHostile(t, b.URL)
		h.foreign, h.redirects = c.foreign, c.redirects
		s, err := h.claim(reversehttp.TransportPoll)
		if err != nil {
			t.Fatal(err)
		}
		read := make(chan error, 1)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = s.Serve(handle(func(w http.ResponseWriter, r *http.Request) {
				_, err := io.Copy(w, r.Body)
				read <- err
			}))
		}()
		if err := <-read; err == nil || !strings.Contains(err.Error(), b.URL) {
			t.Errorf("%v: the content ends with %v, want an error that names %s", c, err, b.URL)
		}
		s.Close()
		<-ended
		b.wasAsked(t)
	}
}

func TestNoCallWithASecretIsRedirected(t *testing.T) {
	for _, path := range []string{"/claims", "/.well-known/reversehttp"} {
		b := standBy(t)
		h := beHostile(t, b.URL)
		h.redirects = path
		s, err := h.claim(reversehttp.TransportAuto)
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), b.URL) {
			t.Errorf("%s: Claim = %v, want an error that names %s", path, err, b.URL)
		}
		b.wasAsked(t)
	}
	for _, c := range []struct {
		path, comes string
		times       int
		transport   reversehttp.Transport
	}{
		{"/requests", "GET /requests", 2, reversehttp.TransportPoll},
		{"/responses", "POST /responses", 2, reversehttp.TransportPoll},
		{"/link", "GET /requests", 1, reversehttp.TransportLink},
		{"/session", "GET /requests", 1, reversehttp.TransportPoll},
		{"/claim", "GET /requests", 1, reversehttp.TransportPoll},
	} {
		t.Run(c.path, func(t *testing.T) {
			b := standBy(t)
			h := beHostile(t, b.URL)
			h.redirects = c.path
			s, err := h.claim(c.transport)
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				_ = s.Serve(handle(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }))
			}()
			h.awaits(t, c.comes, c.times)
			if c.path == "/claim" {
				if err := s.Delete(t.Context()); err == nil || !strings.Contains(err.Error(), b.URL) {
					t.Errorf("Delete = %v, want an error that names %s", err, b.URL)
				}
			}
			s.Close() // requests /session
			<-ended
			b.wasAsked(t)
		})
	}
}

func TestADiscoveryMayBeElsewhere(t *testing.T) {
	h := beHostile(t, "")
	moved := httptest.NewServer(handle(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, h.URL+r.URL.Path, http.StatusMovedPermanently)
	}))
	defer moved.Close()
	s, err := reversehttp.Claim(t.Context(), moved.URL, &reversehttp.Options{Transport: reversehttp.TransportPoll})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}

func TestATargetNeverBecomesAnAuthority(t *testing.T) {
	proxy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked, ended := make(chan *http.Request, 1), make(chan struct{})
	defer func() {
		proxy.Close()
		<-ended
	}()
	go func() {
		defer close(ended)
		for {
			c, err := proxy.Accept()
			if err != nil {
				return
			}
			in := textproto.NewReader(bufio.NewReader(c))
			line, _ := in.ReadLine()
			fields, _ := in.ReadMIMEHeader()
			_, target, _ := strings.Cut(line, " ")
			target, _, _ = strings.Cut(target, " ")
			asked <- &http.Request{RequestURI: target, Host: fields.Get("Host")}
			io.WriteString(c, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
			c.Close()
		}
	}()
	by := &url.URL{Scheme: "http", Host: proxy.Addr().String()}
	// The authority is that of a target in absolute-form, otherwise the Host.
	check := func(t *testing.T, of string) {
		t.Helper()
		r := <-asked
		if r.Host != "origin.test" || !strings.HasPrefix(r.RequestURI, "/") && !strings.HasPrefix(r.RequestURI, "http://origin.test/") {
			t.Errorf("%s: a proxy is asked for %s at %s, want only origin.test", of, r.RequestURI, r.Host)
		}
	}
	local := &http.Transport{Proxy: http.ProxyURL(by)}
	defer local.CloseIdleConnections()
	for _, shape := range []string{hostShape, pathShape} {
		l := lend(t, shape, gateway.Options{})
		var relay http.Handler
		s := l.serve(t, handle(func(w http.ResponseWriter, r *http.Request) { relay.ServeHTTP(w, r) }), nil)
		base, err := url.Parse(s.URL())
		if err != nil {
			t.Fatal(err)
		}
		origin := &url.URL{Scheme: "http", Host: "origin.test"}
		for name, proxy := range map[string]*httputil.ReverseProxy{
			"Rewrite":  {Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(origin) }, Transport: local},
			"Director": {Director: func(r *http.Request) { r.URL.Scheme, r.URL.Host, r.Host = origin.Scheme, origin.Host, origin.Host }, Transport: local},
		} {
			relay = proxy
			below := strings.TrimSuffix(base.Path, "/")
			for _, target := range []string{
				"GET //evil.example/%zz", "GET //evil.example/a", "GET ///evil.example/%zz", "GET //evil.example%zz", `GET /\evil.example/%zz`, "GET //evil.example:80/%zz?a=b", "GET /http://evil.example/%zz", "GET //u@evil.example/%zz",
			} {
				readBody(t, visit(t, l.addr, base.Host, below, target))
				check(t, name+", "+target)
			}
			absolute := "GET http://" + base.Host + below + "//evil.example/%zz"
			readBody(t, visit(t, l.addr, base.Host, "", absolute))
			check(t, name+", "+absolute)
		}
	}
}
