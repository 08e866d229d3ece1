package vectors

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"unicode/utf8"

	"reversehttp/schema"
)

// Exchange is a case of request.json or response.json.
type Exchange struct {
	Case
	// File is the name of its file, without the extension.
	File string `json:"-"`
	// Via lists the runtimes that can express the case. Empty means all.
	Via      []string `json:"via"`
	Visitor  Visitor  `json:"visitor"`
	Request  Request  `json:"request"`
	Response *Answer  `json:"response"`
	Received Received `json:"received"`
}

// Visitor is what a visitor sends, byte for byte, followed by BodyRepeat.
type Visitor struct {
	Raw        string  `json:"raw"`
	RawBase64  string  `json:"rawBase64"`
	BodyRepeat *Repeat `json:"bodyRepeat"`
}

// Request is the expected envelope of a request. Nil members are not compared.
type Request struct {
	Method      *string        `json:"method"`
	Target      *string        `json:"target"`
	URL         *string        `json:"url"`
	Base        *string        `json:"base"`
	HTTPVersion *string        `json:"httpVersion"`
	RemoteAddr  *string        `json:"remoteAddr"`
	Attempt     *int           `json:"attempt"`
	Headers     []schema.Field `json:"headers"`
	Absent      []string       `json:"absent"`
	// Fetched says that the content comes by bodyUrl.
	Fetched bool `json:"fetched"`
	Content
}

// Answer is what a handler answers.
type Answer struct {
	Status  int            `json:"status"`
	Headers []schema.Field `json:"headers"`
	Content
}

// Received is the answer that a visitor must get.
type Received struct {
	Status  int            `json:"status"`
	Headers []schema.Field `json:"headers"`
	Absent  []string       `json:"absent"`
	Content
}

// In reports whether the runtime can express the case.
func (e Exchange) In(runtime string) bool {
	return len(e.Via) == 0 || slices.Contains(e.Via, runtime)
}

// Bytes returns the bytes that the visitor sends. The variables are host, label and visitor.
func (v Visitor) Bytes(vars map[string]string) []byte {
	raw := []byte(v.Raw)
	if v.RawBase64 != "" {
		raw = decode(v.RawBase64)
	}
	for name, value := range vars {
		raw = bytes.ReplaceAll(raw, []byte("{"+name+"}"), []byte(value))
	}
	return append(raw, v.BodyRepeat.text()...)
}

// Answer returns the handler's answer: 204 if the case has none.
func (e Exchange) Answer() Answer {
	if e.Response == nil {
		return Answer{Status: 204}
	}
	return *e.Response
}

// Envelope returns the answer as the message for the exchange id.
func (a Answer) Envelope(id string) schema.Response {
	r := schema.Response{Type: schema.TypeResponse, ID: id, Status: a.Status, Headers: a.Headers}
	switch b := a.Bytes(); {
	case a.BodyBase64 != nil || !utf8.Valid(b):
		r.BodyBase64 = new(base64.StdEncoding.EncodeToString(b))
	case a.Body != nil || len(b) > 0:
		r.Body = new(string(b))
	}
	return r
}

// Diff returns how an envelope differs from what the case expects, or "".
func (r Request) Diff(got schema.Request, vars map[string]string) string {
	for _, m := range []struct {
		name string
		want *string
		got  string
	}{
		{"method", r.Method, got.Method},
		{"target", r.Target, got.Target},
		{"url", r.URL, got.URL},
		{"base", r.Base, got.Base},
		{"httpVersion", r.HTTPVersion, got.HTTPVersion},
		{"remoteAddr", r.RemoteAddr, got.RemoteAddr},
	} {
		if m.want != nil && m.got != Fill(*m.want, vars) {
			return fmt.Sprintf("%s = %q, want %q", m.name, m.got, Fill(*m.want, vars))
		}
	}
	if r.Attempt != nil && got.Attempt != *r.Attempt {
		return fmt.Sprintf("attempt = %d, want %d", got.Attempt, *r.Attempt)
	}
	if d := DiffFields(r.Headers, r.Absent, got.Headers, vars); d != "" {
		return d
	}
	want := r.Bytes()
	if r.Fetched != (got.BodyURL != "") {
		return fmt.Sprintf("bodyUrl = %q, want fetched content: %v", got.BodyURL, r.Fetched)
	}
	if r.Fetched {
		return ""
	}
	content := Content{Body: got.Body, BodyBase64: got.BodyBase64}
	switch {
	case got.Body != nil && got.BodyBase64 != nil:
		return "body and bodyBase64 are both there"
	case len(want) == 0 && (got.Body != nil || got.BodyBase64 != nil):
		return fmt.Sprintf("content = %q, want none", short(content.Bytes()))
	case len(want) > 0 && utf8.Valid(want) && got.Body == nil:
		return "body is absent"
	case len(want) > 0 && !utf8.Valid(want) && got.BodyBase64 == nil:
		return "bodyBase64 is absent"
	}
	return diffContent(want, content.Bytes())
}

// Diff returns how the answer that a visitor got differs from what the case expects, or "". In
// fields each character is one byte.
func (r Received) Diff(status int, fields []schema.Field, content []byte, vars map[string]string) string {
	if status != r.Status {
		return fmt.Sprintf("status = %d, want %d (content %q)", status, r.Status, short(content))
	}
	if d := DiffFields(r.Headers, r.Absent, fields, vars); d != "" {
		return d
	}
	return diffContent(r.Bytes(), content)
}

// DiffContent returns how fetched content differs from what the case expects, or "".
func (r Request) DiffContent(got []byte) string { return diffContent(r.Bytes(), got) }

func diffContent(want, got []byte) string {
	if bytes.Equal(got, want) {
		return ""
	}
	return fmt.Sprintf("content = %d bytes %q, want %d bytes %q", len(got), short(got), len(want), short(want))
}

func short(b []byte) []byte { return b[:min(len(b), 200)] }
