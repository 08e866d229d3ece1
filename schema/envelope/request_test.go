package envelope

import (
	"encoding/base64"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"reversehttp/schema"
)

func FuzzRequestsRoundTrip(f *testing.F) {
	f.Add("id", 1, "GET", "/a?b=%zz\xe9", "[::1]:1", "X-Y", "caf\xc3\xa9", []byte("a\"\\\n\r\t\b\f\x00\x1f\u2028é"), "")
	f.Add("", -1, "\"", "\x00\xff", "", "", "\xff\x80\x7f\x00", []byte{0xff, 0xfe}, "7-5")
	f.Add("é", 0, "", "", "é", "\\", "", []byte(strings.Repeat("\x00", 12)), "é")
	f.Fuzz(func(t *testing.T, id string, number int, method, target, address, name, value string, content []byte, cursor string) {
		for _, s := range []string{id, method, address, name, cursor} {
			if !utf8.ValidString(s) {
				t.Skip("they come from JSON, or are tokens")
			}
		}
		r := Request{
			Cursor: cursor, ID: id, Attempt: number, TimeoutMs: -number, Method: method, Target: target, URL: "http://a" + target,
			Base: "http://" + address + "/", HTTPVersion: address, RemoteAddr: address, Traceparent: name, Upgrade: address, ReplayOf: name, ResponseURL: method,
		}
		if r.Traceparent != "" {
			r.Tracestate = address
		}
		fields := []Field{{"Host", address}, {name, value}}
		if len(content) == 0 {
			content = nil
		}
		far, named := r, Request{Cursor: cursor, ID: id}
		far.BodyURL = "/" + id
		at, of := r, r
		at.ResponseURL, at.Exchanges = "", "http://"+address+`"/`
		of.ResponseURL = at.Exchanges + id + "/response"
		for _, c := range []struct {
			sent []byte
			want Message
		}{
			{AppendRequest(nil, &r, fields, content), Message{Type: "request", Request: r, Fields: fields, Content: content}},
			{AppendRequest(nil, &far, fields[:0], content), Message{Type: "request", Request: far, Fields: []Field{}}},
			{AppendRequest(nil, &at, fields, content), Message{Type: "request", Request: of, Fields: fields, Content: content}},
			{AppendCancel(nil, &named, schema.CancelTimedOut), Message{Type: "cancel", Request: named, Reason: schema.CancelTimedOut}},
		} {
			got, err := DecodeMessage(c.sent)
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Fatalf("%q = %+v %v, want %+v", c.sent, got, err, c.want)
			}
			if s, err := DecodeAnswers(c.sent, 1, 2); err != nil || len(s) != 1 {
				t.Fatalf("%q is not strict: %v", c.sent, err)
			}
			batch := AppendString([]byte(`{"cursor":`), cursor)
			batch = append(append(append(batch, `,"messages":[7,`...), c.sent...), ",null]}\n"...)
			b, err := DecodeBatch(batch)
			if want := (Batch{cursor, []Message{{Fault: &Fault{Err: ErrMessage}}, c.want, {}}}); err != nil || !reflect.DeepEqual(b, want) {
				t.Fatalf("%q = %+v %v, want %+v", batch, b, err, want)
			}
		}
	})
}

// stdMessage has the members of a [Message] as encoding/json reads them.
type stdMessage struct {
	schema.Request
	Reason schema.CancelReason `json:"reason"`
}

// message returns m as a Message without a Fault.
func (m *stdMessage) message() Message {
	e := &m.Request
	out := Message{Type: e.Type, Reason: m.Reason, Request: Request{
		Cursor: e.Cursor, ID: e.ID, Attempt: e.Attempt, TimeoutMs: e.TimeoutMs, Method: e.Method,
		Target: Bytes(e.Target), URL: Bytes(e.URL), Base: e.Base, HTTPVersion: e.HTTPVersion, RemoteAddr: e.RemoteAddr,
		Upgrade: string(e.Upgrade), ReplayOf: e.ReplayOf, ResponseURL: e.ResponseURL, BodyURL: e.BodyURL,
	}}
	if e.Trace != nil {
		out.Traceparent, out.Tracestate = e.Trace.Traceparent, e.Trace.Tracestate
	}
	if e.Headers != nil {
		out.Fields = []Field{}
	}
	for _, f := range e.Headers {
		out.Fields = append(out.Fields, Field{f[0], Bytes(f[1])})
	}
	switch {
	case e.Body != nil:
		out.Content = []byte(*e.Body)
	case e.BodyBase64 != nil:
		out.Content, _ = base64.StdEncoding.DecodeString(*e.BodyBase64)
	}
	return out
}

// ambiguous reports whether JSON has a member twice, or a known member in another case: the two libraries
// read these differently.
func ambiguous(content []byte) bool {
	r := newReader(content, false)
	defer r.done()
	known := map[string]bool{"messages": true}
	for i := range reflect.TypeFor[schema.Request]().NumField() {
		name, _, _ := strings.Cut(reflect.TypeFor[schema.Request]().Field(i).Tag.Get("json"), ",")
		known[name] = true
	}
	known["reason"], known["traceparent"], known["tracestate"] = true, true, true
	found := false
	var look func() error
	look = func() error {
		switch r.peek() {
		case '{':
			seen := map[string]bool{}
			return r.members(func(name []byte) error {
				found = found || seen[string(name)]
				seen[string(name)] = true
				for k := range known {
					found = found || string(name) != k && strings.EqualFold(string(name), k)
				}
				return look()
			})
		case '[':
			return r.elements(func(int) error { return look() })
		}
		return r.skip()
	}
	return look() != nil || found
}

// sameAsStandard compares the results of DecodeMessage and of encoding/json.
func sameAsStandard(t *testing.T, content []byte) {
	t.Helper()
	got, err := DecodeMessage(content)
	if (err == nil) != json.Valid(content) {
		t.Fatalf("%q: %v, valid %v", content, err, json.Valid(content))
	}
	if batch, wrong := DecodeBatch([]byte(`{"messages":[` + string(content) + `]}`)); err == nil && (wrong != nil || !reflect.DeepEqual(batch.Messages, []Message{got})) {
		t.Fatalf("%q in a batch: %+v %v, want %+v", content, batch, wrong, got)
	}
	if err != nil || ambiguous(content) {
		return
	}
	var std stdMessage
	wrong := json.Unmarshal(content, &std)
	want := std.message()
	if got.Fault != nil && got.Fault.Err == ErrBase64 {
		if std.BodyBase64 == nil {
			t.Fatalf("%q: %v", content, got.Fault)
		}
		want.Content, got.Content = nil, nil
		if got.Fault.Pointer != "/bodyBase64" {
			t.Fatalf("%q: %v", content, got.Fault)
		}
	} else if (got.Fault != nil) != (wrong != nil) {
		t.Fatalf("%q: %v, want %v", content, got.Fault, wrong)
	}
	if wrong != nil { // faulty messages are not handed on
		if got.ID != want.ID || got.Type != want.Type || got.Method != want.Method || got.Cursor != want.Cursor {
			t.Fatalf("%q = %+v, want %+v", content, got, want)
		}
		return
	}
	if got.Fault = nil; !reflect.DeepEqual(got, want) {
		t.Fatalf("%q = %+v, want %+v", content, got, want)
	}
}

func FuzzDecodeMessage(f *testing.F) {
	for _, post := range posts {
		f.Add([]byte(post))
	}
	for _, message := range []string{
		`{"type":"request","id":"a","method":"GET","body":"x\ud83dy\udc00","target":"/\u00e9é€"}`, `{"type":"future","id":7,"headers":"odd","reason":[]}`, `{"attempt":1e400,"id":"b"}`,
		`{"type":"request","id":"b","headers":[["A"],["B","C","D"],null,[null,"é"],[1,2]],"method":1}`, `{"answered":["a",null,"b"],"cursor":"5","timeoutMs":-0}`,
		`{"body":"` + "\xff\xed\xa0\x80\xe2\x82" + `","bodyBase64":"!"}`, `{"bodyBase64":"Y\nQ=="}`, `{"bodyBase64":"YQ"}`, `{"replayOf":"x1","upgrade":null}`, `{"id":"a","trace":{"traceparent":"00-1","tracestate":"a=1","more":[]}}`, `{"trace":null}`, `{"id":"a","trace":{"tracestate":7}}`, `{"id":"a","trace":["x"]}`, `{"upgrade":"websocket","bodyUrl":"","responseUrl":"\/"}`,
		`{"x":` + strings.Repeat(`[`, 9_000) + strings.Repeat(`]`, 9_000) + `}`, `{"x":` + strings.Repeat(`[`, 10_000) + strings.Repeat(`]`, 10_000) + `}`,
	} {
		f.Add([]byte(message))
	}
	f.Fuzz(func(t *testing.T, content []byte) { sameAsStandard(t, content) })
}
