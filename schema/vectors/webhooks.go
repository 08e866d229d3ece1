package vectors

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"reversehttp/schema"
)

// Webhooks is a case of webhooks.json.
type Webhooks struct {
	Case
	Hook struct {
		Preset      string `json:"preset"`
		Secret      string `json:"secret"`
		Topic       string `json:"topic"`
		Unsubscribe bool   `json:"unsubscribe"`
		Origin      string `json:"origin"`
	} `json:"hook"`
	Steps []WebhookStep `json:"steps"`
}

// WebhookStep is a request to a receiver, or the end of a waiting one.
type WebhookStep struct {
	// At is the time of the step, in seconds since 1970. Zero means 1700000000, or the time of the
	// step before.
	At      int64           `json:"at"`
	Request *WebhookRequest `json:"request"`
	// Answers is the status with which the handler answers. Zero means 204.
	Answers int  `json:"answers"`
	Fails   bool `json:"fails"`
	// Waits says that the handler answers only at the step with Release, where the answer is
	// compared.
	Waits   bool `json:"waits"`
	Release bool `json:"release"`
	// Handled says that the handler gets the request with its content.
	Handled  bool            `json:"handled"`
	Received WebhookReceived `json:"received"`
}

// WebhookRequest is what a sender sends.
type WebhookRequest struct {
	Method  string         `json:"method"`
	Target  string         `json:"target"`
	Headers []schema.Field `json:"headers"`
	Content
}

// WebhookReceived is the answer that a sender gets. Without a status it is an error of the handler.
type WebhookReceived struct {
	Status  int            `json:"status"`
	Code    string         `json:"code"`
	Headers []schema.Field `json:"headers"`
	Absent  []string       `json:"absent"`
	Content
}

// Hooks returns the cases of webhooks.json.
func Hooks() []Webhooks { return load[Webhooks]("webhooks.json") }

// New returns the request.
func (r WebhookRequest) New() *http.Request {
	target := r.Target
	if target == "" {
		target = "/"
	}
	made, err := http.NewRequest(r.Method, "http://demo.test"+target, bytes.NewReader(r.Bytes()))
	if err != nil {
		panic(fmt.Errorf("vectors: %w", err))
	}
	for _, f := range r.Headers {
		made.Header.Add(f[0], f[1])
	}
	return made
}

// Diff returns how an answer differs from what the case expects, or "".
func (w WebhookReceived) Diff(got *http.Response) string {
	content, err := io.ReadAll(got.Body)
	if err != nil || got.StatusCode != w.Status {
		return fmt.Sprintf("status = %d, %v, want %d (content %q)", got.StatusCode, err, w.Status, short(content))
	}
	var fields []schema.Field
	for name, values := range got.Header {
		for _, value := range values {
			fields = append(fields, schema.Field{name, value})
		}
	}
	if d := DiffFields(w.Headers, w.Absent, fields, nil); d != "" {
		return d
	}
	if w.Code != "" {
		var p schema.Problem
		if err := json.Unmarshal(content, &p); err != nil || string(p.Code) != w.Code || p.Status != w.Status {
			return fmt.Sprintf("problem = %q, want the code %s", short(content), w.Code)
		}
		return ""
	}
	if w.Body == nil {
		return ""
	}
	return diffContent(w.Bytes(), content)
}
