package schema_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"reversehttp/schema"
	"reversehttp/schema/vectors"
)

// validate checks a value, as its JSON text, against the definition name of the schema id.
func validate(t *testing.T, c *jsonschema.Compiler, at string, value any) error {
	t.Helper()
	s, err := c.Compile(at)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(doc)
}

func TestVectorsAreValid(t *testing.T) {
	c := compiler(t)
	kinds := map[string]string{
		"request.json": "exchanges", "response.json": "exchanges", "invalid.json": "invalid",
		"conversation.json": "conversations", "client.json": "client",
		"doors.json": "doors", "files.json": "files", "webhooks.json": "webhooks", "waits.json": "waits",
	}
	names, err := fs.Glob(schema.FS, "vectors/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".schema.json") {
			continue
		}
		kind, known := kinds[path.Base(name)]
		if !known {
			t.Errorf("%s: no kind of cases is known for it", name)
			continue
		}
		doc := read(t, name)
		if err := validate(t, c, "reversehttp:vectors#/$defs/"+kind, doc); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := validate(t, c, "reversehttp:vectors", doc); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		seen := map[any]bool{}
		for _, one := range doc.(map[string]any)["cases"].([]any) {
			n := one.(map[string]any)["name"]
			if seen[n] {
				t.Errorf("%s: two cases are called %v", name, n)
			}
			seen[n] = true
		}
	}
}

func TestUnknownMembersOfCasesAreFaults(t *testing.T) {
	c := compiler(t)
	for _, text := range []string{
		`{"cases":[{"name":"a","why":"why","visitor":{"raw":"x"},"request":{"metod":"GET"},"received":{"status":204}}]}`,
		`{"cases":[{"name":"a","why":"why","steps":[{"await":"v","expect":{"status":200,"handled":"?0"}}]}]}`,
		`{"cases":[{"name":"a","why":"why","steps":[{"sleepMs":1,"drain":true}]}]}`,
		`{"cases":[{"name":"a","why":"why","steps":[{"link":{"url":"{link}"}}]}]}`,
		`{"cases":[{"name":"a","why":"why","steps":[{"on":"l","sends":{"json":{},"raw":"x"}}]}]}`,
		`{"cases":[{"name":"a","why":"why","steps":[{"on":"l","gets":{},"closes":1000}]}]}`,
		`{"cases":[{"name":"a","why":"why","options":{},"handler":{"fails":true},"gateway":{"poll":[]},"expect":{"polls":[]}}]}`,
		`{"cases":[{"name":"a","why":"why","options":{},"handler":{"fails":true},"gateway":{"links":[{"status":502,"does":[]}]},"expect":{"polls":[]}}]}`,
		`{"cases":[{"name":"a","why":"why","options":{},"handler":{"fails":true},"gateway":{"links":[{"does":[{"after":1,"cuts":true}]}]},"expect":{"polls":[]}}]}`,
	} {
		if err := validate(t, c, "reversehttp:vectors", json.RawMessage(text)); err == nil {
			t.Errorf("%s is valid, want a fault", text)
		}
	}
}

func TestEnvelopesOfExchangesAreValid(t *testing.T) {
	c := compiler(t)
	for _, e := range vectors.Exchanges() {
		if err := validate(t, c, "reversehttp:envelope#/$defs/response", e.Answer().Envelope("x1")); err != nil {
			t.Errorf("%s: response: %v", e.Name, err)
		}
		if err := validate(t, c, "reversehttp:envelope#/$defs/request", envelope(e.Request)); err != nil {
			t.Errorf("%s: request: %v", e.Name, err)
		}
	}
}

// envelope returns a request with the members that a case names, and with plain ones for the others.
func envelope(r vectors.Request) schema.Request {
	answer := vectors.Answer{Content: r.Content}.Envelope("")
	q := schema.Request{
		Type: schema.TypeRequest, ID: "x1", Attempt: 1, TimeoutMs: 60_000, Method: "GET", Target: "/", URL: "http://demo.test/",
		Base: "http://demo.test/", HTTPVersion: "1.1", RemoteAddr: "127.0.0.1:5", Headers: []schema.Field{},
		Body: answer.Body, BodyBase64: answer.BodyBase64,
	}
	for into, from := range map[*string]*string{
		&q.Method: r.Method, &q.Target: r.Target, &q.URL: r.URL, &q.Base: r.Base, &q.HTTPVersion: r.HTTPVersion, &q.RemoteAddr: r.RemoteAddr,
	} {
		if from != nil {
			*into = *from
		}
	}
	if r.Attempt != nil {
		q.Attempt = *r.Attempt
	}
	q.Headers = append(q.Headers, r.Headers...)
	return q
}

func TestSchemaRejectsInvalidAnswers(t *testing.T) {
	c := compiler(t)
	for _, f := range vectors.Invalid() {
		err := validate(t, c, "reversehttp:envelope#/$defs/answers", map[string]any{"messages": []any{f.Message("x1")}})
		if finds := f.Schema == nil; finds != (err != nil) {
			t.Errorf("%s: the schema finds it: %v, want %v", f.Name, err != nil, finds)
		}
	}
}

// TestConversationsPostValidAnswers checks the answers that a case expects to be accepted.
func TestConversationsPostValidAnswers(t *testing.T) {
	c := compiler(t)
	for _, v := range vectors.Conversations() {
		for i, s := range v.Steps {
			if s.Send == nil || s.Send.JSON == nil || s.Expect.Status != 202 {
				continue
			}
			messages := []json.RawMessage{s.Send.JSON}
			var many schema.Answers
			if json.Unmarshal(s.Send.JSON, &many) == nil && many.Messages != nil {
				messages = many.Messages
			}
			expected, _ := s.Expect.JSON.(map[string]any)
			results, told := expected["results"].([]any)
			if !told {
				continue
			}
			if len(results) != len(messages) {
				t.Errorf("%s: step %d: %d results for %d messages", v.Name, i, len(results), len(messages))
				continue
			}
			for j, m := range messages {
				valid := results[j].(map[string]any)["status"] != string(schema.ResultInvalid)
				err := validate(t, c, "reversehttp:envelope#/$defs/answers", map[string]any{"messages": []any{m}})
				if valid && err != nil {
					t.Errorf("%s: step %d: message %d: %v", v.Name, i, j, err)
				}
			}
		}
	}
}

// TestConversationsSendValidMessages checks what programs say on links, but of exchanges of which a result is to be invalid.
func TestConversationsSendValidMessages(t *testing.T) {
	c := compiler(t)
	for _, v := range vectors.Conversations() {
		faulty := map[string]bool{}
		for _, s := range v.Steps {
			for _, r := range s.Results {
				if strings.Contains(string(r), `"invalid"`) {
					faulty[vectors.IDOf(r)] = true
				}
			}
		}
		for i, s := range v.Steps {
			if s.Sends == nil {
				continue
			}
			for _, m := range s.Sends.List() {
				if kind := vectors.TypeOf(m); slices.Contains(said, kind) && !faulty[vectors.IDOf(m)] {
					if err := validate(t, c, "reversehttp:envelope#/$defs/"+kind, m); err != nil {
						t.Errorf("%s: step %d: %s: %v", v.Name, i, m, err)
					}
				}
			}
		}
	}
}

// said are the types of what a program says on a link.
var said = []string{
	schema.TypeHello, schema.TypeAck, schema.TypePong, schema.TypeResponse, schema.TypePart, schema.TypeInterim, schema.TypeAbort,
}

// TestConversationsNameWhatExists checks that names are given before they are used.
func TestConversationsNameWhatExists(t *testing.T) {
	for _, v := range vectors.Conversations() {
		open, links := map[string]bool{}, map[string]bool{}
		for i, s := range v.Steps {
			if (s.On != "") != links[s.On] {
				t.Errorf("%s: step %d: no link is called %s", v.Name, i, s.On)
			}
			for _, name := range []string{s.Await, s.Pending, s.Leave, s.On} {
				if name != "" && !open[name] {
					t.Errorf("%s: step %d: nothing open is called %s", v.Name, i, name)
				}
			}
			if s.Name != "" {
				if open[s.Name] {
					t.Errorf("%s: step %d: %s is open already", v.Name, i, s.Name)
				}
				open[s.Name], links[s.Name] = true, s.Link != nil
			}
			delete(open, s.Await)
			delete(open, s.Leave)
		}
		for name := range open {
			if links[name] {
				continue // a link may stay open
			}
			t.Errorf("%s: %s is never awaited", v.Name, name)
		}
	}
}

func TestScriptedBatchesAreValid(t *testing.T) {
	c := compiler(t)
	for _, s := range vectors.Client() {
		for i, r := range s.Gateway.Requests {
			if r.Status != 200 {
				continue
			}
			var batch schema.Batch
			if err := json.Unmarshal(r.JSON, &batch); err != nil || batch.Cursor == "" || len(batch.Messages) == 0 {
				t.Errorf("%s: batch %d is none: %v", s.Name, i, err)
			}
			for j, m := range batch.Messages {
				var typed struct {
					Type string `json:"type"`
				}
				if err := json.Unmarshal(m, &typed); err != nil {
					t.Errorf("%s: batch %d: message %d: %v", s.Name, i, j, err)
				}
				if typed.Type != schema.TypeRequest && typed.Type != schema.TypeCancel {
					continue // a type that an SDK must skip
				}
				if err := validate(t, c, "reversehttp:envelope#/$defs/"+typed.Type, m); err != nil {
					t.Errorf("%s: batch %d: message %d: %v", s.Name, i, j, err)
				}
			}
		}
		for route, replies := range map[string][]vectors.Reply{
			"claims": s.Gateway.Claims, "requests": s.Gateway.Requests, "responses": s.Gateway.Responses, "session": s.Gateway.Session,
		} {
			for i, r := range replies {
				if err := reply(t, c, route, r); err != nil {
					t.Errorf("%s: %s %d: %v", s.Name, route, i, err)
				}
			}
		}
	}
}

func TestScriptedLinksAreValid(t *testing.T) {
	c := compiler(t)
	types := map[string]string{
		schema.TypeRequest: "request", schema.TypeCancel: "cancel", schema.TypeLinkResults: "linkResults", schema.TypeLinkError: "linkError",
	}
	for _, s := range vectors.Client() {
		for i, o := range s.Gateway.Links {
			if err := reply(t, c, "links", o.Reply); err != nil {
				t.Errorf("%s: link %d: %v", s.Name, i, err)
			}
			for j, a := range o.Does {
				if a.Sends == nil {
					continue
				}
				for _, m := range a.Messages("") {
					name, known := types[vectors.TypeOf(m)]
					if !known {
						continue // a ping, or a type that an SDK must skip
					}
					if err := validate(t, c, "reversehttp:envelope#/$defs/"+name, m); err != nil {
						t.Errorf("%s: link %d: act %d: %v", s.Name, i, j, err)
					}
				}
			}
		}
	}
}

// reply checks the content of a scripted answer against the schema of its route and status.
func reply(t *testing.T, c *jsonschema.Compiler, route string, r vectors.Reply) error {
	switch {
	case r.JSON == nil || route == "requests" && r.Status == 200:
		return nil
	case r.Status >= 400:
		var p schema.Problem
		if err := json.Unmarshal(r.JSON, &p); err != nil || p.Status != r.Status {
			return fmt.Errorf("problem says status %d, want %d (%v)", p.Status, r.Status, err)
		}
		return validate(t, c, "reversehttp:problem#/$defs/problem", r.JSON)
	case route == "responses":
		return validate(t, c, "reversehttp:envelope#/$defs/results", r.JSON)
	case route == "claims":
		return validate(t, c, "reversehttp:control#/$defs/claimAnswer", r.JSON)
	}
	return fmt.Errorf("unexpected content with status %d", r.Status)
}
