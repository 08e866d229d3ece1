package gateway

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"reversehttp/schema"
)

// pages returns handlers like those of package web.
func pages() map[string]http.Handler {
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "page") })
	return map[string]http.Handler{"/": page, "/hello": page, "/sdk.js": page}
}

func TestAPageByAnotherNameIsAtTheControlOrigin(t *testing.T) {
	for _, publicURL := range []string{"http://{label}.localhost:8080/", "http://localhost:8080/at/{label}/"} {
		inWorld(t, Options{PublicURL: publicURL, Loopback: true, Pages: pages()}, func(w *world) {
			for _, c := range []struct{ method, host, target, to string }{
				{"GET", "localhost:8080", "/hello", ""},
				{"GET", "LOCALHOST.:9999", "/hello", ""}, // a forwarded port
				{"GET", "127.0.0.1:8080", "/sdk.js", ""},
				{"GET", "127.0.0.1:8080", "/hello", "http://localhost:8080/hello"},
				{"HEAD", "127.0.0.1:8080", "/hello?label=a&b=%zz;", "http://localhost:8080/hello?label=a&b=%zz;"},
				{"GET", "[::1]:8080", "/", "http://localhost:8080/"},
				{"GET", "127.0.0.2", "/?", "http://localhost:8080/"},
			} {
				got := w.ask(requestTo(c.method, c.host, c.target))
				if want := map[bool]int{true: 200, false: 307}[c.to == ""]; got.Status != want || got.Header.Get("Location") != c.to {
					t.Errorf("%s %s at %s = %d %q, want %d %q", c.method, c.target, c.host, got.Status, got.Header.Get("Location"), want, c.to)
				}
			}
			// The API and the probes are available under every name.
			for _, target := range []string{"/.well-known/reversehttp", "/healthz"} {
				if got := w.ask(get("127.0.0.1:8080", target)); got.Status/100 != 2 {
					t.Errorf("%s at 127.0.0.1 = %d, want 2xx", target, got.Status)
				}
			}
		})
	}
}

// Behind a proxy that sends 127.0.0.1 as Host, a redirect would loop.
func TestAPageOfAPublicGatewayIsNotRedirected(t *testing.T) {
	inWorld(t, Options{PublicURL: "https://gateway.example/at/{label}/", Loopback: true, Pages: pages()}, func(w *world) {
		if got := w.ask(get("127.0.0.1:8080", "/hello")); got.Status != 200 {
			t.Errorf("GET /hello = %d, want 200", got.Status)
		}
	})
}

func TestPagesOfOtherOriginsCannotReadMetrics(t *testing.T) {
	inWorld(t, Options{Loopback: true, AllowOrigins: []string{"http://evil.example", "null"}}, func(w *world) {
		for _, raw := range []string{
			get("localhost:8080", "/metrics", "Origin: http://evil.example"),
			requestTo("OPTIONS", "localhost:8080", "/metrics", "Origin: null", "Access-Control-Request-Method: GET"),
		} {
			if got := w.ask(raw); got.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%q = %d %v, want no CORS", raw, got.Status, got.Header)
			}
		}
		if got := w.ask(get("localhost:8080", "/metrics")); got.Status != 200 {
			t.Errorf("GET /metrics = %d, want 200", got.Status)
		}
	})
}

func TestMetricsAreNotForStrangers(t *testing.T) {
	for _, o := range []Options{{}, {Loopback: true, PublicURL: "https://{label}.gateway.example/"}} {
		inWorld(t, o, func(w *world) {
			for _, target := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/heap", "/debug/vars"} {
				got := w.ask(get(w.gateway.Public().ControlHost, target))
				if got.Status != 404 || got.code() != schema.CodeNotFound || strings.Contains(string(got.Content), "reversehttp_") {
					t.Errorf("GET %s = %d %s, want 404 not_found", target, got.Status, got.Content)
				}
			}
		})
	}
}

func TestAnInvalidTargetIsRefused(t *testing.T) {
	inWorld(t, Options{Loopback: true}, func(w *world) {
		p := w.claim("demo")
		for _, target := range []string{"http:/a", "http:abc", "http:", "http://", "http:///a", "http://?a", "mailto:a@b", "http:/a?x=://b", "a://"} {
			p.refused(w.ask(get(host, target)), schema.CodeBadRequest)
			if got := w.ask(get("localhost:8080", target)); got.Status != 400 {
				t.Errorf("%s at the control origin = %d, want 400", target, got.Status)
			}
		}
		for _, target := range []string{"http://" + host, "http://" + host + "?a", "HTTPS://" + host + "/a", "/http:/a", "//a", "/:"} {
			r, _ := p.served(get(host, target), schema.Response{Status: 204})
			if r.Target != target {
				t.Errorf("target = %q, want %q", r.Target, target)
			}
		}
	})
}
