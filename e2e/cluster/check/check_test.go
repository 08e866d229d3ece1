package check

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
)

// good is a history in which nothing is wrong, with a kill, a drain, visitors who leave and calls
// whose outcome is unknown. Times are in milliseconds.
const good = `
{"at":1,"kind":"became","label":"demo","node":"a","run":"1","term":5}
{"at":2,"kind":"visit","id":"v1","node":"a","label":"demo","method":"POST","timeoutMs":1000}
{"at":3,"kind":"begin","id":"v1","exchange":"a-1","attempt":1,"session":"s","number":1,"term":5}
{"at":4,"kind":"answer","id":"v1","exchange":"a-1","content":"c1"}
{"at":5,"kind":"answered","id":"v1","exchange":"a-1","do":"accepted"}
{"at":6,"kind":"visited","id":"v1","status":200,"content":"c1"}

{"at":10,"kind":"visit","id":"v2","node":"b","label":"demo","method":"GET","timeoutMs":1000}
{"at":11,"kind":"visit","id":"v3","node":"a","label":"demo","method":"POST","timeoutMs":1000}
{"at":12,"kind":"begin","id":"v2","exchange":"b-1","attempt":1,"session":"s","number":2,"term":5}
{"at":13,"kind":"begin","id":"v3","exchange":"a-2","attempt":1,"session":"s","number":3,"term":5}
{"at":14,"kind":"fault","node":"a","do":"kill"}
{"at":15,"kind":"visited","id":"v3","status":0,"cut":true}
{"at":16,"kind":"became","label":"demo","node":"b","run":"1","term":9}
{"at":17,"kind":"begin","id":"v2","exchange":"b-1","attempt":2,"session":"s","number":1,"term":9}
{"at":18,"kind":"answer","id":"v2","exchange":"b-1","content":"c2"}
{"at":19,"kind":"answer","id":"v3","exchange":"a-2","content":"c3"}
{"at":20,"kind":"answered","id":"v3","exchange":"a-2","do":"unknown"}
{"at":21,"kind":"answered","id":"v2","exchange":"b-1","do":"accepted"}
{"at":22,"kind":"visited","id":"v2","status":200,"content":"c2"}
{"at":23,"kind":"mended","node":"a","do":"kill"}

{"at":30,"kind":"visit","id":"v4","node":"b","label":"demo","method":"GET","timeoutMs":1000}
{"at":31,"kind":"visited","id":"v4","left":true}
{"at":32,"kind":"fault","node":"b","do":"drain"}
{"at":33,"kind":"visit","id":"v5","node":"b","label":"demo","method":"POST","redeliver":"any","timeoutMs":1000}
{"at":34,"kind":"begin","id":"v5","exchange":"b-2","attempt":1,"session":"s","number":2,"term":9}
{"at":35,"kind":"begin","id":"v5","exchange":"b-2","attempt":2,"session":"t","number":1,"term":9}
{"at":36,"kind":"answer","id":"v5","exchange":"b-2","content":"c5"}
{"at":37,"kind":"visited","id":"v5","status":200,"content":"c5"}
{"at":38,"kind":"mended","node":"b","do":"drain"}

{"at":40,"kind":"fault","node":"c","do":"pause"}
{"at":41,"kind":"visit","id":"v6","node":"c","label":"demo","method":"GET","timeoutMs":1000}
{"at":42,"kind":"visited","id":"v6","status":503,"code":"no_handler","handed":"?0"}
{"at":43,"kind":"mended","node":"c","do":"pause"}

{"at":50,"kind":"call","id":"c1","do":"claim","label":"x","token":"t1","node":"a"}
{"at":51,"kind":"call","id":"c2","do":"claim","label":"x","token":"t2","node":"b"}
{"at":52,"kind":"returned","id":"c2","status":201,"term":11}
{"at":53,"kind":"returned","id":"c1","status":403}
{"at":54,"kind":"call","id":"c3","do":"replace","label":"x","token":"t2","new":"t3","node":"a"}
{"at":55,"kind":"returned","id":"c3","status":503}
{"at":56,"kind":"call","id":"c4","do":"claim","label":"x","token":"t3","node":"c"}
{"at":57,"kind":"returned","id":"c4","status":201,"term":12}
{"at":58,"kind":"call","id":"c5","do":"release","label":"x","token":"t3","node":"c"}
{"at":59,"kind":"returned","id":"c5","status":204}
{"at":60,"kind":"call","id":"c6","do":"claim","label":"x","token":"t4","node":"c"}
{"at":61,"kind":"returned","id":"c6","status":403,"code":"label_kept"}
{"at":62,"kind":"call","id":"c7","do":"claim","label":"y","token":"t4","node":"c"}
`

// lines reads a history with times in milliseconds.
func lines(t *testing.T, text string) []Event {
	t.Helper()
	events, err := Read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for i := range events {
		events[i].At *= 1e6
	}
	return events
}

func TestAGoodHistoryHasNoViolation(t *testing.T) {
	for _, text := range []string{"", good} {
		if found := Check(lines(t, text)); len(found) > 0 {
			t.Errorf("found %v, want nothing", found)
		}
	}
}

func TestEachRuleIsChecked(t *testing.T) {
	for what, c := range map[string]struct {
		old, new string // what differs from the good history; an empty old adds lines
		rule     string
		says     string
	}{
		"two answers": {"", `{"at":7,"kind":"visited","id":"v1","status":200,"content":"c1"}`, "I1", "v1 got 200 and then 200"},
		"the answer of another request": {
			`"id":"v2","status":200,"content":"c2"`, `"id":"v2","status":200,"content":"c1"`, "I1", "content c1, which no program gave",
		},
		"a POST begun twice": {
			"", `{"at":18,"kind":"begin","id":"v3","exchange":"a-2","attempt":2,"session":"s","term":9}`, "I2", "v3 was begun 2 times",
		},
		"a request begun four times": {
			"", `{"at":36,"kind":"begin","id":"v5","exchange":"b-2","attempt":3,"session":"u"}
				{"at":36,"kind":"begin","id":"v5","exchange":"b-2","attempt":4,"session":"u"}`, "I2", "v5 was begun 4 times",
		},
		"a handler had it after all": {
			"", `{"at":99,"kind":"begin","id":"v6","exchange":"c-1","attempt":1,"session":"u"}`, "I3", "no handler had it, but one did",
		},
		"no handler had it after all": {
			`"code":"no_handler","handed":"?0"`, `"code":"session_lost","handed":"?1"`, "I3", "a handler had it, but none did",
		},
		"an error at a node that was left alone": {
			`"id":"v4","left":true`, `"id":"v4","status":502,"code":"session_lost"`, "I4", "v4 at node b",
		},
		"an error while a node was drained": {
			`"id":"v5","status":200,"content":"c5"`, `"id":"v5","status":503,"code":"draining"`, "I4", "v5 at node b",
		},
		"a cut answer though nothing was done to any node": {
			`"id":"v1","status":200,"content":"c1"`, `"id":"v1","status":200,"cut":true`, "I4", "v1 at node a",
		},
		"a long wait": {
			`"at":31,"kind":"visited"`, `"at":7032,"kind":"visited"`, "I5", "v4 waited 7.002s",
		},
		"no end": {
			`{"at":31,"kind":"visited","id":"v4","left":true}`, ``, "I5", "v4 got nothing",
		},
		"an accepted answer that did not arrive": {
			`{"at":42,"kind":"visited"`, `{"at":42,"kind":"answered","id":"v6","exchange":"c-1","do":"accepted"}
				{"at":42,"kind":"visited"`, "I6", "answer to v6",
		},
		"numbers that go back": {
			`"session":"s","number":3,"term":5`, `"session":"s","number":2,"term":5`, "I7", "number 2 (v3) after 2 (v2)",
		},
		"an exchange without an end": {
			`{"at":14,"kind":"fault","node":"a","do":"kill"}`, `{"at":14,"kind":"fault","node":"a","do":"pause"}
				{"at":90,"kind":"counts","node":"a","begun":4,"open":1,"outcomes":{"answered":2}}
				{"at":90,"kind":"counts","node":"b","begun":2,"outcomes":{"answered":2}}`, "I8", "6 exchanges, of which 4 ended and 1 are open",
		},
		"two homes in a term": {
			"", `{"at":17,"kind":"became","label":"demo","node":"c","run":"1","term":9}`, "homes", "nodes b and c are home of demo in term 9",
		},
		"two runs of a node in a term": {
			"", `{"at":17,"kind":"became","label":"demo","node":"b","run":"2","term":9}`, "homes", "nodes b and b",
		},
		"a term that goes back": {
			"", `{"at":17,"kind":"became","label":"demo","node":"b","run":"1","term":8}`, "homes", "term 8 after term 9",
		},
		"two owners": {
			`{"at":53,"kind":"returned","id":"c1","status":403}`, `{"at":53,"kind":"returned","id":"c1","status":201,"term":12}`, "claims", "about x",
		},
		"a refusal of the owner": {
			`"id":"c4","status":201,"term":12`, `"id":"c4","status":404`, "claims", "about x",
		},
		"a claim in an older term": {
			`"id":"c4","status":201,"term":12`, `"id":"c4","status":201,"term":10`, "claims", "about x",
		},
		"a token that was never set": {
			`"id":"c4","do":"claim","label":"x","token":"t3"`, `"id":"c4","do":"claim","label":"x","token":"t9"`, "claims", "about x",
		},
		"a return without a call":   {"", `{"at":99,"kind":"returned","id":"c9","status":201}`, "history", "c9"},
		"a begin without a visitor": {"", `{"at":99,"kind":"begin","id":"v9"}`, "history", "v9"},
		"an unknown kind":           {"", `{"at":99,"kind":"other"}`, "history", "other"},
	} {
		text := good + c.new
		if c.old != "" {
			if !strings.Contains(good, c.old) {
				t.Fatalf("%s: the good history has no %s", what, c.old)
			}
			text = strings.Replace(good, c.old, c.new, 1)
		}
		found := Check(lines(t, text))
		if !slices.ContainsFunc(found, func(v Violation) bool { return v.Rule == c.rule && strings.Contains(v.What, c.says) }) {
			t.Errorf("%s: found %v, want a violation of %s that says %q", what, found, c.rule, c.says)
		}
		for _, v := range found {
			if v.Rule != c.rule {
				t.Errorf("%s: also found %v, want violations of %s only", what, v, c.rule)
			}
		}
	}
}

func TestARecordedHistoryIsRead(t *testing.T) {
	var one, two bytes.Buffer
	a, b := NewRecorder(&one), NewRecorder(&two)
	want := []Event{
		{Kind: Visit, ID: "v", Node: "a", Method: "GET", TimeoutMs: 7},
		{Kind: Begin, ID: "v", Exchange: "x", Attempt: 1, Session: "s", Number: 1, Term: 2},
		{Kind: Visited, ID: "v", Status: 200},
		{Kind: Counts, Node: "a", Begun: 1, Outcomes: map[string]int64{"answered": 1}},
	}
	for i, e := range want {
		[]*Recorder{a, b}[i%2].Record(e)
	}
	if a.Flush() != nil || b.Flush() != nil {
		t.Fatal("cannot be written")
	}
	got, err := Read(&one, &two)
	if err != nil || len(got) != len(want) {
		t.Fatalf("read %d events, %v", len(got), err)
	}
	for i, e := range got {
		if e.Kind != want[i].Kind || e.At == 0 || i > 0 && e.At < got[i-1].At {
			t.Errorf("event %d is %+v, want %+v", i, e, want[i])
		}
	}
	if _, err := Read(strings.NewReader(`{"at":1,"kind":"visit","what":1}`)); err == nil {
		t.Error("an unknown member is not an error")
	}
	if _, err := Read(io.MultiReader(strings.NewReader(`{"at":1`))); err == nil {
		t.Error("a truncated history is not an error")
	}
}
