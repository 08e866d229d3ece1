package vectors

import (
	"encoding/json"
	"net/http"
	"testing"

	"reversehttp/schema"
)

func TestEveryFileLoads(t *testing.T) {
	for name, n := range map[string]int{
		"exchanges": len(Exchanges()), "invalid": len(Invalid()), "conversations": len(Conversations()), "client": len(Client()),
	} {
		if n == 0 {
			t.Errorf("%s: no cases", name)
		}
	}
}

func TestFieldsAreComparedByName(t *testing.T) {
	got := []schema.Field{{"a", "1"}, {"B", "x"}, {"A", "2"}, {"Host", "demo.test"}}
	for _, c := range []struct {
		want   []schema.Field
		absent []string
		same   bool
	}{
		{[]schema.Field{{"A", "1"}, {"A", "2"}}, nil, true},
		{[]schema.Field{{"A", "2"}, {"A", "1"}}, nil, false},
		{[]schema.Field{{"A", "1"}}, nil, false},
		{[]schema.Field{{"b", "*"}, {"host", "{host}"}}, []string{"C"}, true},
		{[]schema.Field{{"C", "*"}}, nil, false},
		{nil, []string{"b"}, false},
	} {
		d := DiffFields(c.want, c.absent, got, map[string]string{"host": "demo.test"})
		if (d == "") != c.same {
			t.Errorf("DiffFields(%v, %v) = %q, want the same: %v", c.want, c.absent, d, c.same)
		}
	}
}

func TestJSONIsComparedByMembers(t *testing.T) {
	got := []byte(`{"a":1,"b":{"c":"x","d":[1,{"e":true}]},"n":null,"s":"t0"}`)
	for want, same := range map[string]bool{
		`{}`:                            true,
		`{"a":1}`:                       true,
		`{"a":2}`:                       false,
		`{"a":"*"}`:                     true,
		`{"z":"*"}`:                     false,
		`{"n":"*"}`:                     false,
		`{"z":null}`:                    true,
		`{"a":null}`:                    false,
		`{"b":{"d":[1,{"e":true}]}}`:    true,
		`{"b":{"d":[1]}}`:               false,
		`{"b":{"d":["*","*"]}}`:         true,
		`{"b":{"d":[1,{"e":false}]}}`:   false,
		`{"s":"{token}"}`:               true,
		`{"s":"{other}"}`:               false,
		`{"b":[]}`:                      false,
		`{"b":{"c":"x","f":{"g":"*"}}}`: false,
	} {
		var w any
		if err := json.Unmarshal([]byte(want), &w); err != nil {
			t.Fatal(err)
		}
		if d := DiffJSON(w, got, map[string]string{"token": "t0"}); (d == "") != same {
			t.Errorf("DiffJSON(%s) = %q, want the same: %v", want, d, same)
		}
	}
}

func TestHandedIsReadFromProxyStatus(t *testing.T) {
	for _, c := range []struct {
		want, status string
		same         bool
	}{
		{"?0", "reversehttp; error=destination_unavailable; handed=?0", true},
		{"?1", "reversehttp; error=destination_unavailable; handed=?0", false},
		{"", "reversehttp; error=http_response_timeout", true},
		{"", "reversehttp;handed=?1", false},
		{"", "", false},
		{"?1", "other; handed=?1", false},
	} {
		if d := diffHanded(c.want, c.status); (d == "") != c.same {
			t.Errorf("diffHanded(%q, %q) = %q, want the same: %v", c.want, c.status, d, c.same)
		}
	}
}

func TestAnswersHaveAnOrderOnlyWithinAnID(t *testing.T) {
	msg := func(id string, status int) map[string]any {
		return map[string]any{"id": id, "status": float64(status), "headers": []any{[]any{"a", "1"}}}
	}
	want := Seen{Answers: []map[string]any{msg("x1", 200), msg("x2", 200), msg("x1", 500)}, Handled: []string{"x1", "x2"}}
	if d := want.Diff(Seen{Answers: []map[string]any{msg("x2", 200), msg("x1", 200), msg("x1", 500)}, Handled: []string{"x2", "x1"}}); d != "" {
		t.Errorf("another order of ids: %s", d)
	}
	if d := want.Diff(Seen{Answers: []map[string]any{msg("x1", 500), msg("x2", 200), msg("x1", 200)}, Handled: []string{"x1", "x2"}}); d == "" {
		t.Error("another order within x1 counts as the same")
	}
	if d := want.Diff(Seen{Answers: want.Answers, Handled: []string{"x1"}}); d == "" {
		t.Error("an id that was not handled is not missed")
	}
}

func TestTheTypeOfAProblemLinksToItsCode(t *testing.T) {
	e := &Expect{Status: 404}
	for content, good := range map[string]bool{
		`{"code":"no_claim"}`: true,
		`{"type":"http://localhost:8080/guides/errors#no_claim","code":"no_claim"}`: true,
		`{"type":"https://other.example/e.html#no_claim","code":"no_claim"}`:        true,
		`{"type":"https://other.example/e#no_handler","code":"no_claim"}`:           false,
		`{"type":"https://other.example/e","code":"no_claim"}`:                      false,
		`{"type":"/guides/errors#no_claim","code":"no_claim"}`:                      false,
		`{"type":"about:blank","code":"no_claim"}`:                                  false,
	} {
		d := e.Diff(404, http.Header{"Content-Type": {"application/problem+json"}}, []byte(content), nil)
		if (d == "") != good {
			t.Errorf("%s: %q", content, d)
		}
		if d := e.Diff(404, http.Header{"Content-Type": {"application/json"}}, []byte(content), nil); d != "" {
			t.Errorf("%s as an answer of a handler: %q", content, d)
		}
	}
}
