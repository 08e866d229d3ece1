package answer

import "testing"

// TestAFaultConcernsOnlyItsMessage checks that a fault does not change the messages around it.
func TestAFaultConcernsOnlyItsMessage(t *testing.T) {
	for _, c := range []struct{ faulty, id, pointer string }{
		{`null`, "", ""},
		{`[]`, "", ""},
		{`"{}"`, "", ""},
		{`{"id":"b","type":1}`, "b", "/type"},
		{`{"type":"response","status":"200","id":"b"}`, "b", "/status"},
		{`{"type":"response","id":"b","status":200,"body":1}`, "b", "/body"},
		{`{"type":"response","id":"b","status":200,"body":{"a":"b"}}`, "b", "/body"},
		{`{"type":"response","id":"b","status":200,"headers":[["A","b"],["C"]]}`, "b", "/headers/1"},
		{`{"type":"future","id":"b","body":[],"status":{}}`, "b", ""},
	} {
		body := `{"status":"no message","messages":[{"type":"abort","id":"a","reason":"r"},` + c.faulty + `,{"type":"response","id":"c","status":200,"body":"c"}]}`
		got, err := Decode([]byte(body), 3, 256)
		if err != nil || len(got) != 3 {
			t.Errorf("%s: %d messages, %v", c.faulty, len(got), err)
			continue
		}
		if a := got[0]; a.Refused != nil || a.ID != "a" || a.Reason != "r" {
			t.Errorf("%s: before it %+v", c.faulty, a)
		}
		if b := got[1]; b.Refused == nil || b.ID != c.id || c.pointer != "" && b.Refused.Pointer != c.pointer {
			t.Errorf("%s: %+v %+v, want id %q and pointer %q", c.faulty, b, b.Refused, c.id, c.pointer)
		}
		if z := got[2]; z.Refused != nil || z.ID != "c" || string(z.Content) != "c" {
			t.Errorf("%s: after it %+v", c.faulty, z)
		}
	}
}
