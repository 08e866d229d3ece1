package gateway

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"reversehttp/schema"
	"reversehttp/server/problem"
)

func TestABrowserGetsAPageWithTheSameWords(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		for accept, html := range map[string]bool{
			"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": true, "TEXT/HTML": true, "*/*": false, "": false,
			"application/json, text/html": false, "application/problem+json": false,
		} {
			got := w.ask(get("nobody.localhost:8080", "/", "Accept: "+accept))
			media := "application/problem+json"
			if html {
				media = "text/html; charset=utf-8"
			}
			if got.Status != 404 || got.Header.Get("Content-Type") != media || got.handed() != "?0" || got.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("Accept %q: %d %v, want 404 as %s", accept, got.Status, got.Header, media)
			}
			if !strings.Contains(string(got.Content), problem.Detail(schema.CodeNoClaim)) || !strings.Contains(string(got.Content), "no_claim") {
				t.Errorf("Accept %q: %s lacks the words", accept, got.Content)
			}
		}
	})
}

func TestAHandlersOwnErrorIsNotTheGateways(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		body := `{"code":"no_handler"}`
		_, got := w.claim("demo").served(get(host, "/", "Accept: text/html"), schema.Response{Status: 503, Body: &body})
		if got.Status != 503 || string(got.Content) != body || got.Header.Get("Proxy-Status") != "" || got.Header.Get("Via") == "" {
			t.Errorf("answer = %d %s %v, want the handler's, relayed", got.Status, got.Content, got.Header)
		}
	})
}

func TestTheTypeLeadsToTheControlOriginFromADomainToo(t *testing.T) {
	const name = "hooks.example.org"
	pages := map[string]http.Handler{problem.GuidePath: http.NotFoundHandler()}
	inWorld(t, Options{Domains: map[string]string{name: "demo"}, Pages: pages}, func(w *world) {
		p := w.claim("demo")
		if got := w.send("PATCH", p.Claim, p.Token, map[string]string{"domain": name}); got.Status != 200 {
			t.Fatalf("%d %s", got.Status, got.Content)
		}
		got := w.ask(get(name, "/"+strings.Repeat("a", 1<<15)))
		var said schema.Problem
		if err := json.Unmarshal(got.Content, &said); err != nil || said.Type != "http://localhost:8080/guides/errors#target_too_long" {
			t.Errorf("%d %s, %v", got.Status, got.Content, err)
		}
	})
}
