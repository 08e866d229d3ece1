package envelope

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"reversehttp/schema"
)

// posts are valid and invalid contents of POSTs by programs.
var posts = []string{
	`{"type":"response","id":"x","status":200,"headers":[["A","b"]],"body":"c"}`, `{"messages":[{"type":"abort","id":"x","reason":"r"},null,1,[],"{}"]}`,
	`{"type":"response","id":"x","status":204,"bodyBase64":"YQ=="}`, `{"status":"200","id":"x","headers":[["A"],["B",1]]}`, `{"type":7}`, `{"~/":1,"type":"x"}`,
	`{"type":"response","id":"x","status":200,"headers":[["A","b"],["Transfer-Encoding","gzip"]],"extra":{"a/b":[1]}}`, `{}`, `[]`, `null`, ``, `{"messages":{}}`,
	`{"type":"response","id":"x","status":1e400,"more":true}`, `{"type":"response","id":"x","headers":{"A":"b"}}`, `{"type":"response","id":"x","status":200,"body":"\ud800"}`,
	`{"messages":null,"type":"abort","id":"x"}`, `{"messages":[{},{},{},{}]}`, `{"messages":[{"status":200,"body":"\ud83d\ude00\u0000\""},{"type":"x","body":1}]}`,
	`{"messages":[{"a":{"b":[1,{"c":1,"c":2}]}}]}`, `{"messages":[{"a":{"b":[1,{"c~/":1 2}]}}]}`, `{"a":[1,],"id":"x"}`, `{"a":[1 2]}`, `{"a":1,}`, `{"a" 1}`, `{"a":}`, `{1:2}`,
	`{"messages":[{"id":"a"}`, `{"messages":[{"id":"a"}]}{}`, `{"messages":[],"messages":[]}`, `{"messages":[{"odd":"` + "\xed\xa0\x80" + `"}]}`, `{"` + "\xff" + `":1}`,
	`{"seq":-0,"status":-12,"more":null,"reason":null,"id":null,"type":null,"headers":null,"body":null,"bodyBase64":null,"trailers":[["a",null],null]}`,
	`{"seq":01}`, `{"seq":1.0}`, `{"seq":9223372036854775808}`, `{"seq":-9223372036854775808}`, `{"seq":tru}`, `{"more":"true"}`, `{"more":1}`, `{"trailers":[[],["a","b","c"],1]}`,
	`{"body":"a","bodyBase64":"YQ=="}`, `{"bodyBase64":"YQ"}`, `{"bodyBase64":"YR=="}`, `{"bodyBase64":"Y\nQ=="}`, `{"bodyBase64":"\u0059Q=="}`, `{"bodyBase64":""}`, `{"body":""}`,
	"\ufeff{}", " \t\r\n{ \"id\" : \"a\" , \"headers\" : [ [ \"a\" , \"\\u00e9é\" ] ] } \n", `{"id":"a","i\u0064":"b"}`, `{"ID":"a"}`, `{"a":"\x"}`, `{"a":"\u12"}`, `{"a":"` + "\n" + `"}`,
	`{"headers":[["a","b"],["a","b"],["a","b"],["a","b"]],"id":"x"}`, `{"headers":[["a",{"x":1,"x":2}]]}`, `{"x":[{"y":"` + strings.Repeat("n", 300) + `"}` + `}`,
	`{"a":1}}`, `1`, `1x`, `"a"`, `tru`, `nul`, `nullx`, `{"messages":1,"messages":2}`, `{"messages":[{},{},{},{"a"`, `{"messages":[{},{},{}`, `{"messages":`,
	`{"body":"\ud83d\ud83d\ude00"}`, `{"body":"\ud83d\u0041"}`, `{"body":"\ud83d\ude0"}`, `{"body":"\ude00"}`,
	`{"x":[` + manyNames("a7") + `,` + manyNames("b") + `],"id":"x"}`, manyNames("id"), manyNames("a70"), `{"messages":[` + manyNames("a1") + `,` + manyNames("c") + `]}`,
	`{"id":"` + strings.Repeat("é", 400) + `","reason":"` + strings.Repeat(`\n`, 400) + `","type":"` + strings.Repeat("t", 100) + `"}`,
}

// manyNames returns an object with 80 members and one more.
func manyNames(last string) string {
	var b strings.Builder
	for i := range 80 {
		b.WriteString(`"a` + strconv.Itoa(i) + `":{"a":1,"b":2},`)
	}
	return "{" + b.String() + `"` + last + `":"y"}`
}

const (
	mostPosted = 3
	mostFields = 3
)

// sameAsReference compares the results of DecodeAnswers and of another reader.
func sameAsReference(t *testing.T, content []byte) {
	t.Helper()
	got, err := DecodeAnswers(content, mostPosted, mostFields)
	if errors.Is(err, ErrDepth) || errors.Is(err, ErrMembers) {
		return
	}
	want, wrong := reference(content, mostPosted, mostFields)
	if !reflect.DeepEqual(err, wrong) && (err == nil || wrong == nil || json.Valid(content) || !nearly(err, wrong)) {
		t.Fatalf("%q: %v, want %v", content, err, wrong)
	}
	if len(got) != len(want) {
		t.Fatalf("%q: %d answers, want %d", content, len(got), len(want))
	}
	for i, a := range got {
		if a.ContentErr != nil {
			a.Content, want[i].Content = nil, nil
		}
		if !reflect.DeepEqual(a, want[i]) {
			t.Fatalf("%q: answer %d = %+v %v, want %+v %v", content, i, a, a.Fault, want[i], want[i].Fault)
		}
	}
}

// nearly reports whether two errors for malformed JSON are equivalent: one reader may find another fault
// first, or report an enclosing place.
func nearly(a, b error) bool {
	f, _ := errors.AsType[*Fault](a)
	g, _ := errors.AsType[*Fault](b)
	if f == nil || g == nil || f.Err != ErrMalformed || g.Err != ErrMalformed {
		return true
	}
	return strings.HasPrefix(f.Pointer, g.Pointer) || strings.HasPrefix(g.Pointer, f.Pointer)
}

func TestAnswersAreReadAsByAnotherReader(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, post := range posts {
		sameAsReference(t, []byte(post))
		for range 400 { // each broken at one place
			b := []byte(post)
			for range 1 + rnd.IntN(2) {
				if len(b) == 0 {
					break
				}
				switch i := rnd.IntN(len(b)); rnd.IntN(4) {
				case 0:
					b = b[:i]
				case 1:
					b = append(b[:i], b[i+1:]...)
				case 2:
					b[i] = `{}[]",:\0 ne`[rnd.IntN(12)]
				case 3:
					from := rnd.IntN(len(b))
					b = append(b[:i:i], b[min(i, from):]...)
				}
			}
			sameAsReference(t, b)
		}
	}
}

func FuzzDecodeAnswers(f *testing.F) {
	for _, post := range posts {
		f.Add([]byte(post))
	}
	f.Fuzz(func(t *testing.T, content []byte) { sameAsReference(t, content) })
}

func FuzzAnswersRoundTrip(f *testing.F) {
	f.Add("id", 200, "X-Y", "caf\xc3\xa9", []byte("a\"\\\n\r\t\b\f\x00\x1f\u2028é"), true)
	f.Add("\"", 599, "x", "\xff\x80\x7f\x00", []byte{0xff, 0xfe}, false)
	f.Add("", 1, "", "", []byte("=\x7f\b"), false)
	f.Add("é", 1, "", "", []byte(strings.Repeat("\x00", 12)), false)
	f.Fuzz(func(t *testing.T, id string, number int, name, value string, content []byte, more bool) {
		if !utf8.ValidString(id) || !utf8.ValidString(name) {
			t.Skip("ids come from JSON, and names are tokens")
		}
		fields := Pairs(nil).Append(name, value).Append("B", value)
		pairs := []schema.Field{{name, Characters(value)}, {"B", Characters(value)}}
		tail, trailers := Tail{More: more}, []schema.Field(nil)
		if !more {
			tail.Trailers, trailers = fields, pairs
		}
		member := ""
		if len(content) > 0 {
			member = "bodyBase64"
			if utf8.Valid(content) && !swells(content) {
				member = "body"
			}
		} else {
			content = nil
		}
		for _, c := range []struct {
			sent []byte
			want Answer
		}{
			{JSONAnswers.Response(id, number, fields, content, tail), Answer{Type: "response", Status: number, Headers: pairs, Content: content, Member: member, More: more, Trailers: trailers}},
			{JSONAnswers.Part(id, number, content, tail), Answer{Type: "part", Seq: number, Content: content, Member: member, More: more, Trailers: trailers}},
			{JSONAnswers.Interim(id, number, fields), Answer{Type: "interim", Status: number, Headers: pairs}},
			{JSONAnswers.Abort(id, value), Answer{Type: "abort", Reason: strings.ToValidUTF8(value, "?")}},
		} {
			c.want.ID = id
			for _, post := range [][]byte{c.sent, JSONAnswers.Join([][]byte{c.sent}), JSONAnswers.Join([][]byte{c.sent, c.sent})} {
				got, err := DecodeAnswers(post, 2, 2)
				if err != nil || len(got) == 0 {
					t.Fatalf("%q: %v", post, err)
				}
				for _, a := range got {
					if !reflect.DeepEqual(a, c.want) {
						t.Fatalf("%q = %+v %v, want %+v", post, a, a.Fault, c.want)
					}
				}
			}
		}
		if got := Bytes(Characters(value)); got != value {
			t.Errorf("%q became %q", value, got)
		}
	})
}

func TestAMessageIsMadeInOneAllocation(t *testing.T) {
	fields := Pairs(nil).Append("Content-Type", "text/html").Append("B", "\xe9")
	for _, content := range []string{"", "a", strings.Repeat("<p class=\"a\">é\n\f</p>", 1000), strings.Repeat("\x00", 1000), strings.Repeat("\xff", 1000), strings.Repeat("abc\x01", 1000)} {
		content := []byte(content)
		two := [][]byte{content, content}
		for name, made := range map[string]func() []byte{
			"response": func() []byte { return JSONAnswers.Response("0123456789", 200, fields, content, Tail{Trailers: fields}) },
			"part":     func() []byte { return JSONAnswers.Part("0123456789", 1<<62, content, Tail{Trailers: fields}) },
			"interim":  func() []byte { return JSONAnswers.Interim("0123456789", 103, fields) },
			"answers":  func() []byte { return JSONAnswers.Join(two) },

			"framed response": func() []byte {
				return FramedAnswers.Response("0123456789", 200, fields, content, Tail{Trailers: fields})
			},
			"framed part":    func() []byte { return FramedAnswers.Part("0123456789", 1<<62, content, Tail{Trailers: fields}) },
			"framed interim": func() []byte { return FramedAnswers.Interim("0123456789", 103, fields) },
			"framed abort":   func() []byte { return FramedAnswers.Abort("0123456789", "why") },
			"framed answers": func() []byte { return FramedAnswers.Join(two) },
		} {
			b := made()
			if more := cap(b) - len(b); more > 2*memberBytes && more > len(b)/8 || len(b) > len(content)*3/2+2*memberBytes && !strings.HasSuffix(name, "answers") {
				t.Errorf("%s of %d bytes has %d bytes in %d", name, len(content), len(b), cap(b))
			}
			if n := testing.AllocsPerRun(10, func() { made() }); n > 1 {
				t.Errorf("%s of %d bytes takes %v allocations", name, len(content), n)
			}
		}
	}
}

func FuzzAnswersAreJSONAndExact(f *testing.F) {
	f.Add("id", "X-Y", "caf\xc3\xa9", []byte("a\"\\\n\r\t\x00\x1f\u2028é"))
	f.Add("\"", "x", "\xff\x80", []byte{0xff, 0xfe})
	f.Add("", "", "", []byte{})
	f.Fuzz(func(t *testing.T, id, name, value string, content []byte) {
		if !utf8.ValidString(id) || !utf8.ValidString(name) {
			t.Skip("ids come from JSON, and names are tokens")
		}
		message := JSONAnswers.Response(id, 200, Pairs(nil).Append(name, value), content, Tail{})
		var got schema.Response
		if err := json.Unmarshal(message, &got); err != nil {
			t.Fatalf("%v: %q", err, message)
		}
		if got.ID != id || got.Headers[0][0] != name || Bytes(got.Headers[0][1]) != value {
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

func TestContentWithControlCharactersIsSentInBase64(t *testing.T) {
	for _, content := range []string{strings.Repeat("\x00", 30_000), strings.Repeat("ab\x01", 10_000), strings.Repeat("\xff", 30_000), strings.Repeat(`"a`, 15_000)} {
		if n := len(JSONAnswers.Part("id", 1, []byte(content), Tail{})); n > len(content)*3/2+100 {
			t.Errorf("%d bytes of %q… become %d", len(content), content[:3], n)
		}
	}
}
