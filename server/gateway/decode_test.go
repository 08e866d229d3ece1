package gateway

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"reversehttp/schema"
	"reversehttp/server/answer"
	"reversehttp/server/problem"
)

func TestMessagesOfAPost(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{`{"type":"abort","id":"a"}`, "a"},
		{` {"type":"abort","id":"a","messages":null}`, "a"},
		{`{"type":"abort","id":"a","messages":[{"id":"b"},{"id":"c"}]}`, "b c"},
		{`{"messages":[],"id":"a"}`, ""},
		{`{"messages":[{"id":"b","messages":[{"id":"c"}],"odd":{"id":1}}]}`, "b"},
		{`null`, "fault"},
		{`[{"id":"a"}]`, "bad_json"},
		{``, "bad_json"},
		{`{"messages":{}}`, "bad_json"},
		{`{"messages":[{"id":"a"}`, "bad_json"},
		{`{"messages":[{"id":"a"}]}{}`, "bad_json"},
		{`{"messages":[{"id":"a","id":"a"}]}`, "bad_json"},
		{`{"messages":[{"odd":[{"x":1,"x":1}]}]}`, "bad_json"},
		{`{"messages":[],"messages":[]}`, "bad_json"},
		{`{"messages":[{"id":"` + "\xff" + `"}]}`, "bad_json"},
		{`{"messages":[{"odd":"` + "\xed\xa0\x80" + `"}]}`, "bad_json"},
		{`{"messages":[{},{},{},{}]}`, "bad_member"},
		{`{"messages":[1,2,3,4]}`, "bad_member"},
		{`{"messages":[{},{},{},{}],}`, "bad_member"},
	} {
		messages, err := answer.Decode([]byte(c.body), 3, 256)
		var got []string
		for _, m := range messages {
			if m.Refused != nil {
				m.ID = "fault"
			}
			got = append(got, m.ID)
		}
		if err != nil {
			got = []string{string(problem.Of(err).Code)}
		}
		if got := strings.Join(got, " "); got != c.want {
			t.Errorf("%q = %q, want %q", c.body, got, c.want)
		}
	}
}

func TestEscapesInBodyAreItsBytes(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{``, ""},
		{`\u0000`, "\x00"},
		{`a\"\\\/\b\f\n\r\tz`, "a\"\\/\b\f\n\r\tz"},
		{`\u00e9\u2028 é`, "é\u2028 é"},
		{`\ud83d\ude00 😀`, "😀 😀"},
		{`\ufffd\ufeff`, "\ufffd\ufeff"},
	} {
		inWorld(t, Options{}, func(w *world) {
			p := w.claim("demo")
			v := w.visit(requestTo("GET", host, "/"))
			id := p.next().ID
			got := p.post(`{"messages":[{"type":"response","id":"` + id + `","status":200,"body":"` + c.body + `"}]}`)
			if got.Status != http.StatusAccepted {
				t.Fatalf("%s: %d %s", c.body, got.Status, got.Content)
			}
			if r := v.await(); r.Status != 200 || string(r.Content) != c.want {
				t.Errorf("%s = %d %q, want %q", c.body, r.Status, r.Content, c.want)
			}
		})
	}
}

func TestLoneSurrogatesInBodyAreRefused(t *testing.T) {
	for _, body := range []string{`\ud83d`, `\ude00`, `\ude00\ud83d`, `\ud83d\u0041`, `\ud83dx`, `\ud83d\ud83d\ude00`} {
		inWorld(t, Options{}, func(w *world) {
			p := w.claim("demo")
			v := w.visit(requestTo("GET", host, "/"))
			id := p.next().ID
			for _, raw := range []string{`{"type":"response","id":"` + id + `","status":200,"body":"` + body + `"}`, `{"messages":[{"type":"abort","id":"` + id + `"},{"odd":"` + body + `"}]}`} {
				if got := p.post(raw); got.Status != http.StatusBadRequest || got.code() != schema.CodeBadJSON {
					t.Errorf("%s: %d %s, want bad_json", raw, got.Status, got.Content)
				}
			}
			p.respond(schema.Response{ID: id, Status: 204})
			if r := v.await(); r.Status != 204 {
				t.Errorf("after %s: %d, want 204", body, r.Status)
			}
		})
	}
}

// post posts content unchanged.
func (p *program) post(content string) *reply {
	p.t.Helper()
	req := p.request("POST", p.Responses, p.Token, struct{}{})
	req.Body, req.ContentLength = io.NopCloser(strings.NewReader(content)), int64(len(content))
	got := newReply(p.client.Do(req))
	if got.Err != nil {
		p.t.Fatal(got.Err)
	}
	return got
}
