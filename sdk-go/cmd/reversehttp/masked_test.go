package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestSecretsOfInformationalResponsesAreMaskedForAgents(t *testing.T) {
	give := func(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) }
	var gateway *httptest.Server
	gateway = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/.well-known/reversehttp":
			give(w, map[string]any{"version": 1, "claims": gateway.URL + "/claims"})
		case "/claims/demo":
			give(w, map[string]any{"label": "demo", "url": "http://demo.test/", "inspect": true, "exchanges": gateway.URL + "/exchanges"})
		default:
			early := map[string]any{"status": 103, "atMs": 1, "headers": [][2]string{{"Set-Cookie", "id=hidden"}, {"Link", "</a.css?token=hidden>"}}}
			give(w, map[string]any{"exchange": map[string]any{"id": "e1"}, "request": map[string]any{"headers": []any{}}, "interims": []any{early}})
		}
	}))
	defer gateway.Close()
	a := &asking{options: &options{Gateway: gateway.URL, Token: "0123456789abcdef"}, client: gateway.Client(), stderr: io.Discard, advice: adviceToAgents}
	tools := &tools{asking: a}
	for secrets, want := range map[bool]int{false: 0, true: 2} {
		_, out, err := tools.show(t.Context(), nil, showInput{labelled: labelled{"demo"}, ID: "e1", Secrets: secrets})
		shown, _ := json.Marshal(out)
		if got := strings.Count(string(shown), "hidden"); err != nil || got != want {
			t.Errorf("show with secrets %v has %d of them (%v), want %d: %s", secrets, got, err, want, shown)
		}
	}
}
