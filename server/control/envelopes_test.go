package control

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
	"reversehttp/server/claim"
	"reversehttp/server/publicurl"
)

// envelopeSchema compiles a definition of envelope.schema.json.
func envelopeSchema(t *testing.T, definition string) *jsonschema.Schema {
	t.Helper()
	raw, err := schema.FS.ReadFile("envelope.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("reversehttp:envelope", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("reversehttp:envelope#/$defs/" + definition)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// batchOf returns the batch that a poll gets for requests; the one with the method LEAVE is a cancellation.
func batchOf(t *testing.T, requests []*claim.Request) (s *claim.Session, batch *claim.Batch) {
	t.Helper()
	r := claim.New(claim.Options{Limits: claim.Limits{Batch: 10_000}})
	o, err := r.Open(netip.Addr{}, "demo", "", claim.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var last context.CancelFunc
	for _, req := range requests {
		x, err := o.Session.Claim().Begin(r.Options().Budget.Open(netip.Addr{}), nil)
		if err != nil {
			t.Fatal(err)
		}
		one, leave := context.WithCancel(ctx)
		last = leave
		go func() { _, _ = x.Do(one, req) }()
		synctest.Wait()
	}
	cursor := o.Cursor
	poll := func() (b *claim.Batch) {
		p, err := o.Session.Open(&cursor, 0, claim.Flow{})
		if err == nil {
			b, _, err = p.Next(ctx, time.Time{}, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	poll()
	last()
	synctest.Wait()
	batch = poll()
	t.Cleanup(func() {
		stop()
		synctest.Wait()
		r.Close()
	})
	return o.Session, batch
}

// hostile are strings that must not break out of JSON.
func hostile() []string {
	out := []string{
		"", "a", `"`, `\`, `\u0000`, "\x00", "\x1f", "\x7f", "\u0080", "é", "\u2028\u2029", "😀", "</script>", `","x":"`, "]}", "\r\n", "\ufeff", "\ufffd",
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		b := make([]byte, rnd.IntN(40))
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		out = append(out, string(b))
	}
	return out
}

func TestBatchesAreValid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		public, err := publicurl.Parse("http://{label}.localhost:8080/")
		if err != nil {
			t.Fatal(err)
		}
		var requests []*claim.Request
		for _, s := range hostile() {
			requests = append(requests, &claim.Request{
				Method: "X!#$%&'*+-.^_`|~0", Target: "/" + s, URL: "http://demo.localhost:8080/" + s, HTTPVersion: "1.1",
				RemoteAddr: "[2001:db8::1]:1", Content: claim.Whole([]byte(s)), Fields: []claim.Field{{Name: "Host", Value: "demo.localhost:8080"}, {Name: "X", Value: fieldValue(s)}},
			})
		}
		requests = append(requests, &claim.Request{Method: "GET", Target: "/"})
		session, batch := batchOf(t, requests)
		raw := Envelopes{public, 64 << 10}.Of(session).appendBatch(nil, batch)
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			t.Fatalf("%v: %s", err, raw)
		}
		if err := envelopeSchema(t, "batch").Validate(doc); err != nil {
			t.Fatal(err)
		}
		var got schema.Batch
		if err := json.Unmarshal(raw, &got); err != nil {
			t.Fatal(err)
		}
		if len(got.Messages) != len(requests) { // the last request is a cancellation
			t.Fatalf("%d messages, want %d", len(got.Messages), len(requests))
		}
		valid := envelopeSchema(t, "request")
		for i, m := range got.Messages[:len(got.Messages)-1] {
			checkRequest(t, valid, m, requests[i])
		}
		checkCancel(t, got.Messages[len(got.Messages)-1], batch)
	})
}

// fieldValue converts a string to a value that net/http accepts.
func fieldValue(s string) string {
	out := []byte("v")
	for i := range len(s) {
		if b := s[i]; b >= 0x20 && b != 0x7f || b == '\t' {
			out = append(out, b)
		}
	}
	return string(append(out, 'v'))
}

func checkRequest(t *testing.T, valid *jsonschema.Schema, raw json.RawMessage, want *claim.Request) {
	t.Helper()
	if err := validate(valid, raw); err != nil {
		t.Errorf("%s: %v", raw, err)
	}
	var got schema.Request
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	if got.Method != want.Method || got.Target != envelope.Characters(want.Target) || got.URL != envelope.Characters(want.URL) || got.RemoteAddr != want.RemoteAddr || got.Attempt != 2 || got.TimeoutMs != 60_000 {
		t.Errorf("request = %s, want that of %+v", raw, want)
	}
	if content := contentOf(got); content != string(want.Content.Bytes()) {
		t.Errorf("content = %q, want %q", content, want.Content.Bytes())
	}
	if text := got.Body != nil; text != (utf8.Valid(want.Content.Bytes()) && len(want.Content.Bytes()) > 0) || text && got.BodyBase64 != nil {
		t.Errorf("content %q is in the wrong member: %s", want.Content.Bytes(), raw)
	}
	for i, f := range want.Fields {
		if got.Headers[i] != (schema.Field{f.Name, envelope.Characters(f.Value)}) || envelope.Bytes(got.Headers[i][1]) != f.Value {
			t.Errorf("field = %q, want %q", got.Headers[i], f)
		}
	}
}

func checkCancel(t *testing.T, raw json.RawMessage, batch *claim.Batch) {
	t.Helper()
	if err := validate(envelopeSchema(t, "cancel"), raw); err != nil {
		t.Errorf("%s: %v", raw, err)
	}
	var got schema.Cancel
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	if want := (schema.Cancel{Type: "cancel", ID: batch.Messages[len(batch.Messages)-1].ID, Reason: schema.CancelVisitorGone}); got != want {
		t.Errorf("cancellation = %+v, want %+v", got, want)
	}
}

func validate(valid *jsonschema.Schema, raw []byte) error {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	return valid.Validate(doc)
}

func TestWhatAPollPrefers(t *testing.T) {
	for _, c := range []struct {
		fields    []string
		wait      time.Duration
		preferred bool
	}{
		{nil, 25 * time.Second, false}, {[]string{"wait=3"}, 3 * time.Second, true}, {[]string{"wait=0"}, 0, true}, {[]string{`wait="7"`}, 7 * time.Second, true},
		{[]string{"Wait = 3"}, 3 * time.Second, true}, {[]string{"wait=100"}, 25 * time.Second, true}, {[]string{"respond-async, wait=4"}, 4 * time.Second, true},
		{[]string{"return=minimal", "wait=5"}, 5 * time.Second, true}, {[]string{"wait=5, wait=6"}, 5 * time.Second, true},
		{[]string{"wait"}, 25 * time.Second, false}, {[]string{"wait=-1"}, 25 * time.Second, false}, {[]string{"wait=1.5"}, 25 * time.Second, false},
		{[]string{"wait=99999999999999999999"}, 25 * time.Second, false}, {[]string{"await=3"}, 25 * time.Second, false}, {[]string{""}, 25 * time.Second, false},
	} {
		r := &http.Request{Header: http.Header{"Prefer": c.fields}}
		if wait, preferred := preferredWait(r, 25*time.Second); wait != c.wait || preferred != c.preferred {
			t.Errorf("Prefer %q = %s %v, want %s %v", c.fields, wait, preferred, c.wait, c.preferred)
		}
	}
}

func TestWhatAPollAccepts(t *testing.T) {
	for accept, want := range map[string]string{
		"application/json": "json", "*/*": "json", "application/*": "json", "Application/JSON": "json", "text/html, */*;q=0.1": "json", "": "json",
		"application/x-ndjson": "ndjson", "text/event-stream": "sse", "text/html": "", "application/json;q=0": "", "application/json; q=0.0, text/html": "",
		"application/x-ndjson, application/json": "ndjson", "application/json, application/x-ndjson": "json", "application/json;q=0.9, application/x-ndjson": "ndjson",
		"application/x-ndjson;q=0.2, text/event-stream;q=0.3": "sse", "application/x-ndjson;charset=utf-8; Q=0, */*": "json", "application/x-ndjson;q=high": "ndjson",
	} {
		if got := formOf(&http.Request{Header: http.Header{"Accept": {accept}}}); got != want {
			t.Errorf("Accept %q = %q, want %q", accept, got, want)
		}
	}
	if got := formOf(&http.Request{}); got != "json" {
		t.Errorf("no Accept = %q, want json", got)
	}
	for accept, want := range map[string]string{
		"application/har+json": "har", "Application/HAR+JSON; charset=utf-8": "har", "application/har+json;q=0, application/json": "json",
		"application/json, application/har+json": "json", "application/json;q=0.5, application/har+json": "har", "application/har+json;q=0": "",
	} {
		if got := preferredForm(&http.Request{Header: http.Header{"Accept": {accept}}}, formOfRecordings); got != want {
			t.Errorf("Accept %q for recordings = %q, want %q", accept, got, want)
		}
	}
}

func TestBytesAndStringsGoRoundTrip(t *testing.T) {
	for _, s := range hostile() {
		if got := envelope.Bytes(envelope.Characters(s)); got != s {
			t.Errorf("%q came back as %q", s, got)
		}
	}
	if !slices.Equal([]rune(envelope.Characters("\x00\x7f\x80\xff")), []rune{0, 0x7f, 0x80, 0xff}) {
		t.Error("bytes are not the characters of their numbers")
	}
}

func contentOf(r schema.Request) string {
	if r.BodyBase64 != nil {
		b, _ := base64.StdEncoding.DecodeString(*r.BodyBase64)
		return string(b)
	}
	if r.Body != nil {
		return *r.Body
	}
	return ""
}
