package gateway

import (
	"net/http"
	"strings"
	"testing"

	"reversehttp/schema"
)

const (
	hostShape = "http://{label}.localhost:8080/"
	pathShape = "http://localhost:8080/at/{label}/"
)

func TestTemplatesThatCannotWorkAreRefused(t *testing.T) {
	for _, c := range []struct{ template, says string }{
		{"http://{label}./", "its host"}, {"http://{label}.:8080/", "its host"}, {"http://:8080/at/{label}/", "its host"}, {"http://{label}..example.org/", "its host"},
		{"http://{label}.example..org/", "its host"}, {"http://{label}.127.0.0.1:8080/", "its host"},
		{"http://{label}.localhost:99999/", "its port"}, {"http://localhost:0/at/{label}/", "its port"}, {"http://{label}.localhost:/", "its port"},
		{"http://localhost:8202/claims/{label}/", "/claims is the gateway's own"}, {"http://localhost/claims/demo/sessions/{label}/", "/claims is the gateway's own"}, {"http://localhost/healthz/{label}/", "/healthz is the gateway's own"},
		{"http://localhost/readyz/{label}/", "/readyz is the gateway's own"}, {"http://localhost/metrics/{label}/", "/metrics is the gateway's own"}, {"http://localhost/.well-known/{label}/", "/.well-known is the gateway's own"},
		{"http://localhost/page/{label}/", "/page is the gateway's own"}, {"http://localhost/%63laims/{label}/", "its path"}, {"http://localhost//{label}/", "its path"}, {"http://localhost/a//{label}/", "its path"},
		{"http://localhost/x/../claims/{label}/", "its path"}, {"http://localhost/./{label}/", "its path"}, {"http://localhost/a b/{label}/", "its path"},
	} {
		_, err := New(Options{PublicURL: c.template, Pages: map[string]http.Handler{"/": http.NotFoundHandler(), "/page": http.NotFoundHandler()}})
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "use a template such as") {
			t.Errorf("%s: %v, want an error with %q and what to do", c.template, err, c.says)
		}
	}
	for _, template := range []string{hostShape, pathShape, "https://example.org/claimsroom/{label}/", "https://example.org/at/claims/{label}/", "https://{label}.example.org.:65535/", "http://[::1]/a/b/{label}/"} {
		g, err := New(Options{PublicURL: template, Pages: map[string]http.Handler{"/": http.NotFoundHandler(), "/page": http.NotFoundHandler()}})
		if err != nil {
			t.Errorf("%s: %v, want no error", template, err)
			continue
		}
		g.Close()
	}
}

func TestAStrangersHostIsRefused(t *testing.T) {
	inWorld(t, Options{Loopback: true}, func(w *world) {
		w.claim("demo")
		for _, host := range []string{"evil.example", "rebound.example:8080", "192.168.1.1", "a.demo.localhost", "127.0.0.1.evil.example"} {
			for _, target := range []string{"/", "/claims", "/.well-known/reversehttp", "/metrics", "/claims/demo"} {
				got := w.ask(get(host, target))
				if got.Status != 421 || got.code() != schema.CodeWrongHost || got.handed() != "?0" {
					t.Errorf("%s%s = %d %s handed %q, want 421 wrong_host ?0", host, target, got.Status, got.code(), got.handed())
				}
			}
			if got := w.ask(requestTo("POST", host, "/claims", "Origin: http://evil.example")); got.Status != 421 || got.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("claiming at %s = %d, want 421 without CORS", host, got.Status)
			}
			for _, probe := range []string{"/healthz", "/readyz"} {
				if got := w.ask(get(host, probe)); got.Status != 204 {
					t.Errorf("%s%s = %d, want 204: probes come by address", host, probe, got.Status)
				}
			}
		}
		if got := w.ask("GET / HTTP/1.0\r\n\r\n"); got.Status != 421 {
			t.Errorf("a request without host = %d, want 421", got.Status)
		}
		if n := w.gateway.registry.Stats().Claims; n != 1 {
			t.Errorf("claims = %d, want 1", n)
		}
	})
}

func TestLoopbackAddressesAreTheControlOrigin(t *testing.T) {
	inWorld(t, Options{Loopback: true}, func(w *world) {
		for _, host := range []string{"localhost", "LOCALHOST:1", "127.0.0.1:8080", "[::1]:8080", "localhost."} {
			if got := w.ask(get(host, "/.well-known/reversehttp")); got.Status != 200 {
				t.Errorf("discovery at %s = %d, want 200", host, got.Status)
			}
		}
	})
}
