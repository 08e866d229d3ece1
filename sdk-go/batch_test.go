package reversehttp

import (
	"strings"
	"testing"
)

func TestABatchIsTolerant(t *testing.T) {
	const request, cancel = `{"type":"request","id":"a","method":"GET","body":"x"}`, `{"type":"cancel","id":"c","reason":"timed_out"}`
	for _, c := range []struct{ messages, want string }{
		{`null`, ""},
		{`[]`, ""},
		{`[` + request + `,` + cancel + `]`, "request a, cancel c"},
		{`[` + request + `,{"type":"future","id":7,"headers":"odd","reason":[]},` + cancel + `]`, "request a, future  faulty, cancel c"},
		{`[` + request + `,{"type":"future","id":"f","odd":{"type":1},"messages":[{}]},` + cancel + `]`, "request a, future f, cancel c"},
		{`[` + request + `,{"type":"request","id":"b","headers":[["A"],"B"],"method":1},` + cancel + `]`, "request a, request b faulty, cancel c"},
		{`[` + request + `,{"attempt":1e400,"type":"request","id":"b"},` + cancel + `]`, "request a, request b faulty, cancel c"},
		{`[` + request + `,{"type":7,"id":"b"},` + cancel + `]`, "request a,  b faulty, cancel c"},
		{`[` + request + `,null,` + cancel + `]`, "request a,  , cancel c"},
		{`[` + request + `,"x",[],1,` + cancel + `]`, "request a,   faulty,   faulty,   faulty, cancel c"},
	} {
		b, err := newBatch([]byte(`{"cursor":"5","odd":{},"messages":` + c.messages + `}`))
		if err != nil || b.cursor != "5" {
			t.Errorf("%s: cursor %q, %v", c.messages, b.cursor, err)
			continue
		}
		var got []string
		for _, m := range b.messages {
			said := m.Type + " " + m.ID
			if m.Fault != nil {
				said += " faulty"
			}
			got = append(got, said)
			if m.ID == "a" && (m.Method != "GET" || string(m.Content) != "x") || m.ID == "c" && m.Reason != "timed_out" {
				t.Errorf("%s: %+v", c.messages, m)
			}
		}
		if got := strings.Join(got, ", "); got != c.want {
			t.Errorf("%s = %q, want %q", c.messages, got, c.want)
		}
	}
}

func TestABodyIsExact(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{``, ""},
		{`\u0000`, "\x00"},
		{`a\"\\\/\b\f\n\r\tz`, "a\"\\/\b\f\n\r\tz"},
		{`\ud83d\ude00 😀 \u00e9\u2028`, "😀 😀 é\u2028"},
		{`\ud83d \ude00`, "\ufffd \ufffd"}, // no gateway sends these, since text is valid UTF-8
	} {
		for _, after := range []string{``, `,{"id":7}`} {
			b, err := newBatch([]byte(`{"cursor":"5","messages":[{"type":"request","id":"a","body":"` + c.body + `"}` + after + `]}`))
			if err != nil || len(b.messages) == 0 || string(b.messages[0].Content) != c.want {
				t.Errorf("%s before %q: %+v %v, want %q", c.body, after, b, err, c.want)
			}
		}
	}
}

func TestAnInvalidBatchIsAnError(t *testing.T) {
	for _, content := range []string{`[]`, `"x"`, `{"cursor":5,"messages":[]}`, `{"cursor":"5","messages":{}}`, `{"cursor":"5","messages":[{}}`, `<html>`} {
		if b, err := newBatch([]byte(content)); err == nil || b.cursor != "" || len(b.messages) > 0 {
			t.Errorf("%s: %+v, want an error", content, b)
		}
	}
}

func BenchmarkBatch(b *testing.B) {
	one := `{"type":"request","id":"0123456789abcdef","attempt":1,"timeoutMs":60000,"method":"POST","target":"/","headers":[["Host","demo.localhost"],["Accept","*/*"]],"body":"` +
		strings.Repeat(`<p>Hello, \"world\"!</p>\n`, 100) + `"}`
	for name, odd := range map[string]string{"whole": ``, "apart": `,{"id":7}`} {
		content := []byte(`{"cursor":"5","messages":[` + strings.Repeat(one+",", 15) + one + odd + `]}`)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := newBatch(content); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
