package gateway

import (
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"reversehttp/schema"
	"reversehttp/server/claim"
	"reversehttp/server/terms"
)

// greeting is a term that a test adds.
type greeting struct {
	Text string `json:"text"`
	Key  string `json:"key,omitempty"`
}

func (g greeting) Shown() any { return map[string]string{"text": g.Text} }

func TestAMemberOfTheTermsIsReplacedWholeAndItsSecretsStayHidden(t *testing.T) {
	t.Cleanup(terms.Add(terms.Member{Name: "greeting", Read: func(value []byte) (claim.Term, error) {
		var g greeting
		if err := json.Unmarshal(value, &g); err != nil || g.Text == "" {
			return nil, errors.New("greeting has a text")
		}
		return g, nil
	}}))
	var told []string
	var log strings.Builder // read only after the world has ended
	records := claim.NewMemoryRecords()
	o := Options{Records: records, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	inWorld(t, o, func(w *world) {
		step := func(method, url, token string, v any, status int, want string) {
			t.Helper()
			got := w.send(method, url, token, v)
			var said struct {
				Label    string
				Greeting json.RawMessage
			}
			_ = json.Unmarshal(got.Content, &said)
			if got.Status != status || string(said.Greeting) != want || status < 300 && said.Label != "demo" {
				t.Errorf("%s %s %v = %d %s, want %d and %s", method, url, v, got.Status, got.Content, status, want)
			}
			told = append(told, string(got.Content))
		}
		kept := func(want any) {
			t.Helper()
			if r, _, err := records.Get(t.Context(), "demo"); err != nil || any(r.Others["greeting"]) != want {
				t.Errorf("kept %+v %v, want %+v", r.Others, err, want)
			}
		}
		type object = map[string]any
		step("POST", "/claims", "", object{"label": "demo", "token": "t0", "greeting": object{"text": "hi", "key": "secret-1"}}, 201, `{"text":"hi"}`)
		kept(greeting{"hi", "secret-1"})
		step("POST", "/claims", "", object{"label": "demo", "token": "t0"}, 200, `{"text":"hi"}`)
		step("GET", "/claims/demo", "t0", nil, 200, `{"text":"hi"}`)
		step("PATCH", "/claims/demo", "t0", object{"lease": 7}, 200, `{"text":"hi"}`)
		kept(greeting{"hi", "secret-1"})
		step("PATCH", "/claims/demo", "t0", object{"greeting": nil}, 200, `{"text":"hi"}`)
		step("PATCH", "/claims/demo", "t0", object{"greeting": object{"key": "secret-2"}}, 400, ``)
		kept(greeting{"hi", "secret-1"})
		step("PATCH", "/claims/demo", "t0", object{"greeting": object{"text": "ho"}}, 200, `{"text":"ho"}`)
		kept(greeting{"ho", ""})
		step("PATCH", "/claims/demo", "t0", object{"greeting": object{}}, 200, ``)
		kept(nil)
		step("POST", "/claims", "", object{"label": "demo", "token": "t0", "greeting": object{"text": "hi", "key": "secret-3"}}, 200, `{"text":"hi"}`)
		kept(greeting{"hi", "secret-3"})
		bad := w.send("PATCH", "/claims/demo", "t0", object{"greeting": 7})
		var p schema.Problem
		if _ = json.Unmarshal(bad.Content, &p); p.Code != schema.CodeBadMember || p.Pointer == nil || *p.Pointer != "/greeting" || p.Detail != "greeting has a text" {
			t.Errorf("a bad member = %d %s", bad.Status, bad.Content)
		}
	})
	for _, text := range append(told, log.String()) {
		if strings.Contains(text, "secret-") {
			t.Errorf("a secret was revealed: %s", text)
		}
	}
}
