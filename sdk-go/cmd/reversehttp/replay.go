package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"

	"reversehttp/schema"
	"reversehttp/sdk-go/cmd/reversehttp/recordings"
)

// replayedMost bounds content that replaces recorded content, in bytes; the gateway accepts as much JSON.
const replayedMost = 1 << 20

// replay delivers a recorded request to the handler again.
type replay struct {
	ID       string   `arg:"" help:"Recording whose request is sent to the handler again; reversehttp inspect lists them."`
	Label    string   `arg:"" optional:"" help:"Label that has the recording. Default: that of --label, or of the only command that runs here."`
	Method   string   `placeholder:"METHOD" help:"Method, in place of the recorded one."`
	Target   string   `placeholder:"TARGET" help:"Path and query, in place of the recorded ones."`
	Header   []string `sep:"none" placeholder:"NAME:VALUE" help:"Field, in place of those of that name; may be repeated. A field without a value is removed."`
	Data     *string  `placeholder:"TEXT" help:"Content, in place of the recorded content."`
	DataFile string   `placeholder:"FILE" help:"The same from a file; - is standard input."`
}

func (r *replay) ask(ctx context.Context, a *asking) error {
	if r.Data != nil && r.DataFile != "" {
		return &failure{exitUsage, errors.New("--data and --data-file are one content: give one of them")}
	}
	fields, err := parseFields(r.Header)
	if err != nil {
		return &failure{exitUsage, err}
	}
	with := change{method: r.Method, target: r.Target, fields: fields}
	if r.Data != nil {
		with.content, with.replaces = []byte(*r.Data), true
	}
	if r.DataFile != "" {
		if with.content, err = r.read(a.in); err != nil {
			return &failure{exitUsage, err}
		}
		with.replaces = true
	}
	c, err := a.claim(ctx, r.Label)
	if err != nil {
		return err
	}
	x, err := a.repeat(ctx, c, r.ID, with)
	if x == nil && err != nil {
		return err
	}
	if errors.Is(err, errStopped) {
		return fmt.Errorf("the replay %s is still running; reversehttp inspect --id %s shows how it ends", printable(x.ID), printable(x.ID))
	}
	if err != nil {
		return err
	}
	p := a.printer(c)
	p.begin(1, false)
	p.exchange(x)
	return nil
}

func (r *replay) read(in io.Reader) ([]byte, error) {
	if r.DataFile != "-" {
		f, err := os.Open(r.DataFile)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	content, err := io.ReadAll(io.LimitReader(in, replayedMost+1))
	if err == nil && len(content) > replayedMost {
		err = fmt.Errorf("--data-file: give %d MiB at most", replayedMost>>20)
	}
	return content, err
}

// change has the members that replace those of a recorded request.
type change struct {
	method, target string
	fields         []schema.Field // bytes as characters; fields without a value are removed
	content        []byte
	replaces       bool // content replaces the recorded content, even if it is empty
}

// parseFields parses fields of the form name:value.
func parseFields(lines []string) ([]schema.Field, error) {
	var fields []schema.Field
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		if !ok || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return nil, fmt.Errorf("field %q: give one such as X-Again:1", printable(line))
		}
		fields = append(fields, schema.Field{name, latin1(value)})
	}
	return fields, nil
}

// repeat replays a request and waits until the new exchange has ended. If an exchange began, it is returned
// even with an error.
func (a *asking) repeat(ctx context.Context, c *recordings.Claim, id string, with change) (*recordings.Exchange, error) {
	var body schema.ReplayRequest
	if with.method != "" {
		body.Method = &with.method
	}
	if with.target != "" {
		body.Target = new(latin1(with.target))
	}
	if len(with.fields) > 0 {
		r, err := c.Get(ctx, id)
		if err != nil {
			return nil, a.unanswered(c, id, err)
		}
		body.Headers = new(replaced(r.Request.Headers, with.fields))
	}
	switch {
	case !with.replaces:
	case utf8.Valid(with.content):
		body.Body = new(string(with.content))
	default:
		body.BodyBase64 = new(base64.StdEncoding.EncodeToString(with.content))
	}
	l, err := c.List(ctx, recordings.Filter{Limit: 1})
	if err != nil {
		return nil, a.unanswered(c, id, err)
	}
	again, err := c.Replay(ctx, id, body)
	if err != nil {
		if !c.Inspect() {
			return nil, notRecorded(c)
		}
		return nil, a.unanswered(c, id, err)
	}
	begun := &recordings.Exchange{}
	begun.ID = again
	x, err := c.Ended(ctx, again, l.Change)
	switch {
	case err == nil:
		return x, nil
	case ctx.Err() != nil:
		return begun, context.Cause(ctx)
	}
	return begun, a.unanswered(c, again, err)
}

// replaced returns fields with all of a name replaced by those in others.
func replaced(fields, others []schema.Field) []schema.Field {
	all := []schema.Field{}
	for _, f := range fields {
		if !named(others, f[0]) {
			all = append(all, f)
		}
	}
	for _, f := range others {
		if f[1] != "" {
			all = append(all, f)
		}
	}
	return all
}

func named(fields []schema.Field, name string) bool {
	for _, f := range fields {
		if strings.EqualFold(f[0], name) {
			return true
		}
	}
	return false
}
