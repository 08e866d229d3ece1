package play

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
	"reversehttp/schema/vectors"
)

// A Way is how a program takes requests and answers them.
type Way struct {
	// Form is the form of polls, one of the transports of discovery. In the framed form the program also
	// answers in it. Empty means batches.
	Form string
	// Link makes the program use a link; Form then says whether its messages are framed.
	Link bool
}

// Ways returns the ways of a gateway, given the transports of its discovery document.
func Ways(transports []string) (all []Way) {
	for _, form := range transports {
		all = append(all, Way{Form: form})
	}
	return append(all, Way{Form: formJSON, Link: true}, Way{Form: formFramed, Link: true})
}

// The transports of discovery (schema/README.md, 4).
const (
	formJSON   = "json"
	formNDJSON = "ndjson"
	formSSE    = "sse"
	formFramed = "framed"
)

// String returns the name of the way, such as "framed by link".
func (w Way) String() string {
	form := w.Form
	if form == "" {
		form = formJSON
	}
	if w.Link {
		form += " by link"
	}
	return form
}

func (w Way) framed() bool { return w.Form == formFramed }

var accepts = map[string]string{
	"": "application/json", formJSON: "application/json", formNDJSON: "application/x-ndjson", formSSE: "text/event-stream", formFramed: envelope.MediaFramed,
}

// program is a session of a claim. Its polls send no cursor.
type program struct {
	site *Site
	way  Way
	schema.ClaimAnswer
	link *link
}

// claim claims the label of the site.
func (s *Site) claim(ctx context.Context, way Way) (*program, error) {
	text, err := json.Marshal(schema.ClaimRequest{Label: &s.Label, Token: &s.Token})
	if err != nil {
		return nil, err
	}
	got := s.send(ctx, vectors.Send{Method: http.MethodPost, URL: "/claims", As: s.Key, JSON: text})
	p := &program{site: s, way: way}
	if err := got.into(&p.ClaimAnswer, http.StatusOK, http.StatusCreated); err != nil {
		return nil, fmt.Errorf("claiming: %w", err)
	}
	if !way.Link {
		return p, nil
	}
	l, answer := s.open(ctx, p.Link, http.Header{"Authorization": {"Bearer " + p.Token}, "Last-Event-Id": {p.Cursor}})
	if l == nil {
		return nil, fmt.Errorf("the answer to the upgrade: %w", answer.unexpected())
	}
	if m := l.message(ctx, false); vectors.TypeOf(m) != schema.TypeWelcome {
		l.close()
		return nil, fmt.Errorf("the first message is %s, want a welcome", m)
	}
	p.link = l
	return p, nil
}

// end ends the claim, and the link.
func (p *program) end(ctx context.Context) {
	p.site.send(ctx, vectors.Send{Method: http.MethodDelete, URL: p.Claim, As: p.Token})
	if p.link != nil {
		p.link.close()
	}
}

// next waits for a request.
func (p *program) next(ctx context.Context) (r schema.Request, err error) {
	if p.link != nil {
		return p.link.request(ctx)
	}
	for range 4 {
		found, err := p.poll(ctx)
		if err != nil || found != nil {
			if found != nil {
				r = *found
			}
			return r, err
		}
	}
	return r, errors.New("no request came within four polls")
}

// poll polls once and returns the first request, or nil. It then abandons a stream.
func (p *program) poll(ctx context.Context) (*schema.Request, error) {
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	req, err := vectors.Send{Method: http.MethodGet, URL: p.Requests, As: p.Token}.Request(p.site.Origin, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accepts[p.way.Form])
	resp, err := p.site.client().Do(req.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusNoContent {
		_ = resp.Body.Close()
		return nil, nil
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("a poll: %w", newReply(resp, nil).unexpected())
	}
	defer func() { _ = resp.Body.Close() }()
	next := p.reader(resp.Body)
	for {
		message, err := next()
		if err == io.EOF {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("a poll by %s: %w", p.way, err)
		}
		if vectors.TypeOf(message) != schema.TypeRequest {
			continue
		}
		r := new(schema.Request)
		return r, json.Unmarshal(message, r)
	}
}

// reader returns a function that returns the next message of the answer to a poll, and io.EOF at its end.
func (p *program) reader(content io.Reader) func() (json.RawMessage, error) {
	in := bufio.NewReader(content)
	var batch *schema.Batch
	return func() (json.RawMessage, error) {
		switch p.way.Form {
		case formFramed:
			return vectors.Unframe(in)
		case formNDJSON, formSSE:
			return message(in, p.way.Form == formSSE)
		}
		if batch == nil {
			batch = new(schema.Batch)
			if err := json.NewDecoder(in).Decode(batch); err != nil {
				return nil, err
			}
		}
		if len(batch.Messages) == 0 {
			return nil, io.EOF
		}
		first := batch.Messages[0]
		batch.Messages = batch.Messages[1:]
		return first, nil
	}
}

// message returns the message of the next line that contains one.
func message(in *bufio.Reader, events bool) (json.RawMessage, error) {
	for {
		text, err := in.ReadString('\n')
		if err != nil {
			return nil, err
		}
		text = strings.TrimRight(text, "\r\n")
		if events {
			data, found := strings.CutPrefix(text, "data:")
			if !found {
				continue
			}
			text = strings.TrimPrefix(data, " ")
		}
		if text != "" {
			return json.RawMessage(text), nil
		}
	}
}

// fetch returns the content of a request that has a bodyUrl.
func (p *program) fetch(ctx context.Context, r schema.Request) *Reply {
	return p.site.send(ctx, vectors.Send{Method: http.MethodGet, URL: r.BodyURL, As: p.Token})
}

// answer sends one message and returns its result.
func (p *program) answer(ctx context.Context, message json.RawMessage) (r schema.Result, err error) {
	if p.link != nil {
		return p.link.answer(ctx, message, p.way.framed())
	}
	list, err := json.Marshal(map[string][]json.RawMessage{"messages": {message}})
	if err != nil {
		return r, err
	}
	send := vectors.Send{Method: http.MethodPost, URL: p.Responses, As: p.Token, JSON: list}
	req, err := send.Request(p.site.Origin, nil)
	if err != nil {
		return r, err
	}
	if p.way.framed() {
		content := frames(message)
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(content)), int64(len(content))
		req.Header.Set("Content-Type", envelope.MediaFramed)
	}
	var results schema.Results
	if err := newReply(p.site.client().Do(req.WithContext(ctx))).into(&results, http.StatusAccepted); err != nil {
		return r, fmt.Errorf("an answer: %w", err)
	}
	if len(results.Results) != 1 {
		return r, fmt.Errorf("an answer got %d results, want 1", len(results.Results))
	}
	return results.Results[0], nil
}

// respond answers an exchange; the answer must be accepted.
func (p *program) respond(ctx context.Context, r schema.Response) error {
	r.Type = schema.TypeResponse
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	got, err := p.answer(ctx, text)
	if err == nil && got.Status != schema.ResultAccepted {
		return fmt.Errorf("the answer is %s (%s), want accepted", got.Status, got.Detail)
	}
	return err
}

// into decodes a reply, which must have one of the statuses.
func (r *Reply) into(v any, statuses ...int) error {
	for _, status := range statuses {
		if r.Err == nil && r.Status == status {
			return json.Unmarshal(r.Content, v)
		}
	}
	return r.unexpected()
}

// unexpected returns an error that describes an unexpected reply.
func (r *Reply) unexpected() error {
	if r.Err != nil {
		return r.Err
	}
	return fmt.Errorf("unexpected status %d: %.300s", r.Status, r.Content)
}
