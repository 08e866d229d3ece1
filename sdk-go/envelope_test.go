package reversehttp

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"reversehttp/schema"
)

func FuzzAnswersAreJSONAndExact(f *testing.F) {
	f.Add("id", "X-Y", "caf\xc3\xa9", []byte("a\"\\\n\r\t\x00\x1f\u2028é"))
	f.Add("\"", "x", "\xff\x80", []byte{0xff, 0xfe})
	f.Add("", "", "", []byte{})
	f.Fuzz(func(t *testing.T, id, name, value string, content []byte) {
		if !utf8.ValidString(id) || !utf8.ValidString(name) {
			t.Skip("ids come from JSON, and names are tokens")
		}
		message := responseMessage(id, 200, appendField(nil, name, value), content, tail{})
		var got schema.Response
		if err := json.Unmarshal(message, &got); err != nil {
			t.Fatalf("%v: %q", err, message)
		}
		if got.ID != id || got.Headers[0][0] != name || fromLatin1(got.Headers[0][1]) != value {
			t.Errorf("%q = %+v, want %q, %q: %q", message, got, id, name, value)
		}
		var back []byte
		switch {
		case got.Body != nil:
			back = []byte(*got.Body)
		case got.BodyBase64 != nil:
			back, _ = base64.StdEncoding.DecodeString(*got.BodyBase64)
		}
		if string(back) != string(content) || (got.BodyBase64 == nil) != (utf8.Valid(content) && !swells(content)) {
			t.Errorf("content = %q from %q, want %q", back, message, content)
		}
	})
}

func TestContentDoesNotSwell(t *testing.T) {
	for _, content := range []string{strings.Repeat("\x00", 30_000), strings.Repeat("ab\x01", 10_000), strings.Repeat("\xff", 30_000), strings.Repeat(`"a`, 15_000)} {
		if n := len(partMessage("id", 1, []byte(content), tail{})); n > len(content)*3/2+100 {
			t.Errorf("%d bytes of %q… become %d", len(content), content[:3], n)
		}
	}
}

func TestFieldsAreWrittenAsByNetHTTP(t *testing.T) {
	h := http.Header{
		"B": {"2", "1"}, "A": {" x\r\ny\t"}, "Trailer:X": {"t"}, "Bad Name": {"x"}, "": {"x"}, "Content-Length": {"7"}, "Z~": nil,
	}
	got := string(appendHeader(nil, h, func(name string) bool { return strings.HasPrefix(name, http.TrailerPrefix) }))
	if want := `["A","x  y"],["B","2"],["B","1"]`; got != want {
		t.Errorf("fields = %s, want %s", got, want)
	}
}

func BenchmarkAnswer(b *testing.B) {
	content := []byte(strings.Repeat("<p>Hello, \"world\"!</p>\n", 100))
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		responseMessage("0123456789abcdef", 200, appendField(nil, "Content-Type", "text/html"), content, tail{})
	}
}
