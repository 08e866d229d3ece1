package play

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"reversehttp/schema"
	"reversehttp/schema/vectors"
)

// Exchange plays a case of request.json or response.json. The error describes the difference from the case.
func (s *Site) Exchange(ctx context.Context, c vectors.Exchange, way Way) error {
	p, err := s.claim(ctx, way)
	if err != nil {
		return err
	}
	defer p.end(ctx)
	vars := s.Vars()
	v, err := s.visit(ctx, s.Label, c.Visitor.Bytes(vars))
	if err != nil {
		return err
	}
	defer func() { _ = v.conn.Close() }()
	v.receive()
	request, err := p.next(ctx)
	if err != nil {
		return err
	}
	var faults []string
	fault := func(what, how string) {
		if how != "" {
			faults = append(faults, what+": "+how)
		}
	}
	want := s.Secured(c.Request)
	fault("request", want.Diff(request, vars))
	if request.BodyURL != "" {
		fault("request", want.DiffContent(p.fetch(ctx, request).Content))
	}
	if err := p.respond(ctx, c.Answer().Envelope(request.ID)); err != nil {
		return err
	}
	select {
	case <-v.done:
	case <-ctx.Done():
		return errors.New("the visitor was not answered")
	}
	fault("received", v.got.Diff(c.Received, vars))
	if v.after > 0 {
		fault("received", fmt.Sprintf("%d bytes came after the answer", v.after))
	}
	if faults != nil {
		return errors.New(strings.Join(faults, "\n"))
	}
	return nil
}

// Secured returns the expected envelope of a request on this site: cases have http URLs, while the site may
// have public https URLs.
func (s *Site) Secured(r vectors.Request) vectors.Request {
	if strings.HasPrefix(s.PublicURL(s.Label), "https:") {
		for _, u := range []**string{&r.URL, &r.Base} {
			if *u != nil {
				*u = new(strings.Replace(**u, "http://{host}", "https://{host}", 1))
			}
		}
	}
	return r
}

// Visit sends a case's request with additional fields, and returns the answer.
func (s *Site) Visit(ctx context.Context, c vectors.Exchange, fields ...schema.Field) *Reply {
	raw := c.Visitor.Bytes(s.Vars())
	line, rest, _ := bytes.Cut(raw, []byte("\n"))
	var more bytes.Buffer
	for _, f := range fields {
		fmt.Fprintf(&more, "%s: %s\r\n", f[0], f[1])
	}
	v, err := s.visit(ctx, s.Label, bytes.Join([][]byte{line, append(more.Bytes(), rest...)}, []byte("\n")))
	if err != nil {
		return &Reply{Err: err}
	}
	defer func() { _ = v.conn.Close() }()
	v.receive()
	select {
	case <-v.done:
		return v.got
	case <-ctx.Done():
		return &Reply{Err: errors.New("the visitor was not answered")}
	}
}

// Vars returns the variables for cases of exchanges.
func (s *Site) Vars() map[string]string {
	return map[string]string{"host": s.host(s.Label), "label": s.Label, "visitor": s.Visitor}
}

// Diff describes how a visitor's answer differs from a case; empty if it does not.
func (r *Reply) Diff(want vectors.Received, vars map[string]string) string {
	if r.Err != nil {
		return r.Err.Error()
	}
	return want.Diff(r.Status, fieldsOf(r.Header), r.Content, vars)
}

// Fits reports whether a fault can be played in a way: on a link, a value that is not an object is not a
// message and ends the link.
func (w Way) Fits(c vectors.Fault) bool { return !w.Link || isObject(c.Answer) }

// Fault plays a case of invalid.json. The error describes the difference from the case.
func (s *Site) Fault(ctx context.Context, c vectors.Fault, way Way) error {
	p, err := s.claim(ctx, way)
	if err != nil {
		return err
	}
	defer p.end(ctx)
	method := c.Method
	if method == "" {
		method = http.MethodGet
	}
	v, err := s.visit(ctx, s.Label, vectors.Visit{Method: method, Target: "/"}.Bytes(s.host(s.Label), nil))
	if err != nil {
		return err
	}
	defer func() { _ = v.conn.Close() }()
	v.receive()
	request, err := p.next(ctx)
	if err != nil {
		return err
	}
	message := c.Message(request.ID)
	got, err := p.answer(ctx, message)
	if err != nil {
		return err
	}
	if got.Status != c.Result.Status {
		return fmt.Errorf("the result is %s (%s), want %s", got.Status, got.Detail, c.Result.Status)
	}
	if got.Status != schema.ResultInvalid {
		return nil
	}
	pointer := c.Result.Pointer
	if way.framed() && strings.HasPrefix(pointer, "/body") && bytes.Contains(frames(message), []byte("contentLength")) {
		pointer = "/contentLength" // the member that describes the content
	}
	if got.Pointer == nil || *got.Pointer != pointer {
		return fmt.Errorf("the pointer is %s, want %q (%s)", quoted(got.Pointer), pointer, got.Detail)
	}
	if c.ID == nil && isObject(c.Answer) && got.ID != request.ID {
		return fmt.Errorf("the id of the result is %q, want %q", got.ID, request.ID)
	}
	if err := p.respond(ctx, schema.Response{ID: request.ID, Status: 200, Headers: []schema.Field{{"X-Good", "1"}}}); err != nil {
		return fmt.Errorf("a better answer: %w", err)
	}
	select {
	case <-v.done:
	case <-ctx.Done():
		return errors.New("the visitor was not answered")
	}
	if v.got.Err != nil || v.got.Status != 200 || v.got.Header.Get("X-Good") != "1" {
		return fmt.Errorf("a better answer: %w", v.got.unexpected())
	}
	return nil
}

func isObject(v json.RawMessage) bool {
	var m map[string]any
	return json.Unmarshal(v, &m) == nil && m != nil
}

func quoted(s *string) string {
	if s == nil {
		return "absent"
	}
	return `"` + *s + `"`
}
