package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"reversehttp/schema"
	"reversehttp/server/answer"
	"reversehttp/server/claim"
	"reversehttp/server/problem"
	"reversehttp/server/publicurl"
)

func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		`{"type":"response","id":"x","status":200,"headers":[["A","b"]],"body":"c"}`, `{"messages":[{"type":"abort","id":"x","reason":"r"},null,1,[]]}`,
		`{"type":"response","id":"x","status":204,"bodyBase64":"YQ=="}`, `{"status":"200","id":"x","headers":[["A"],["B",1]]}`, `{"type":7}`, `{"~/":1,"type":"x"}`,
		`{"type":"response","id":"x","status":200,"headers":[["Content-Length","1"],["Content-Length","1"]],"body":"é"}`, `{"type":"response","more":true}`,
		`{"type":"response","id":"x","status":200,"headers":[["A","b"],["Transfer-Encoding","gzip"]],"extra":{"a/b":[1]}}`, `{}`, `[]`, `null`, ``, `{"messages":{}}`,
		`{"type":"response","id":"x","status":1e400}`, `{"type":"response","id":"x","headers":{"A":"b"}}`, `{"type":"response","id":"x","status":200,"body":"\ud800"}`,
		`{"messages":null,"type":"abort","id":"x"}`, `{"messages":[{},{},{},{}]}`, `{"messages":[{"type":"response","id":"x","status":200,"body":"\ud83d\ude00\u0000\""},{"type":"x","body":1}]}`,
	} {
		f.Add([]byte(s))
	}
	registry := claim.New(claim.Options{})
	f.Cleanup(registry.Close)
	public, err := publicurl.Parse("http://{label}.localhost:8080/")
	if err != nil {
		f.Fatal(err)
	}
	a := &Answers{Registry: registry, Public: public, Bounds: Bounds{Fields: 256, FieldBytes: 64 << 10, PartBytes: 256 << 10}, Log: slog.New(slog.DiscardHandler)}
	o, err := registry.Open(netip.Addr{}, "demo", "", claim.Settings{})
	if err != nil {
		f.Fatal(err)
	}
	const most = 3
	valid := []schema.ResultStatus{schema.ResultUnknown, schema.ResultInvalid} // no exchange is open
	f.Fuzz(func(t *testing.T, body []byte) {
		messages, err := answer.Decode(body, most, 256)
		if err != nil {
			p, ok := errors.AsType[*problem.Problem](err)
			if !ok || p.Code != schema.CodeBadJSON && (p.Code != schema.CodeBadMember || json.Valid(body) && len(apart(t, body)) <= most) {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		apart := apart(t, body)
		if len(messages) != len(apart) {
			t.Fatalf("%q: %d messages, want %d", body, len(messages), len(apart))
		}
		for i, m := range apart {
			if !bytes.Contains(m, []byte("messages")) && jsontext.Value(m).Kind() == jsontext.KindBeginObject {
				if want, err := answer.Decode(m, 1, 256); err != nil || !reflect.DeepEqual(messages[i], want[0]) {
					t.Fatalf("%s: %+v in one pass, %+v apart, %v", m, messages[i], want, err)
				}
			}
			got, err := a.one(t.Context(), o.Session, &messages[i])
			if err != nil || got.Status != valid[0] && got.Status != valid[1] {
				t.Fatalf("%s: %+v %v", m, got, err)
			}
			if (got.Status == schema.ResultInvalid) != (got.Pointer != nil && got.Detail != "") {
				t.Fatalf("%s: %+v, want a pointer and a detail with invalid only", m, got)
			}
			if got.Pointer != nil && !resolves(t, m, *got.Pointer) {
				t.Fatalf("%s: pointer %q leads nowhere", m, *got.Pointer)
			}
		}
	})
}

// apart returns the messages of a POST, each unchanged.
func apart(t *testing.T, body []byte) []json.RawMessage {
	var members map[string]json.RawMessage
	var list []json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	if err := json.Unmarshal(members["messages"], &list); err == nil && list != nil {
		return list
	}
	return []json.RawMessage{body}
}

// resolves reports whether a JSON Pointer leads to a value, or to a required member that is missing.
func resolves(t *testing.T, raw []byte, pointer string) bool {
	t.Helper()
	var v any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	if pointer == "" {
		return true
	}
	for part := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		part = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		switch in := v.(type) {
		case map[string]any:
			value, there := in[part]
			if !there {
				return pointer == "/type" || pointer == "/id" || pointer == "/status"
			}
			v = value
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(in) {
				return false
			}
			v = in[i]
		default:
			return false
		}
	}
	return true
}

func FuzzPrefer(f *testing.F) {
	for _, s := range []string{"wait=3", `wait="3"`, "respond-async, wait=10; x", "wait", "wait=-1", "wait=99999999999", ",;,", `wait=""`, "wait==3", "WAIT\t=\t3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		const longest = 25 * time.Second
		wait, preferred := preferredWait(&http.Request{Header: http.Header{"Prefer": {value}}}, longest)
		if wait < 0 || wait > longest || wait%time.Second != 0 || !preferred && wait != longest {
			t.Errorf("Prefer %q = %s %v", value, wait, preferred)
		}
	})
}
