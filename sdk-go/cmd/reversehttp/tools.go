package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"reversehttp/schema"
	"reversehttp/schema/secret"
	"reversehttp/sdk-go/cmd/reversehttp/recordings"
)

const (
	// How much content of each message is shown by default and at most, in bytes.
	shownUsual, shownMost = 16 << 10, 256 << 10
	// How many recordings are listed by default.
	listedUsual = 20
	// How long a tool waits by default and at most.
	waitUsual, waitMost = 30 * time.Second, 10 * time.Minute
)

// tools are the tools of an agent. Their methods may be called from any goroutine.
type tools struct {
	*asking
	usual  string // the default label
	logger *slog.Logger

	mu     sync.Mutex // guards the fields below
	served map[string]*served
	ended  bool
}

type labelled struct {
	Label string `json:"label,omitempty" jsonschema:"the label of the claim; absent: the one that was claimed here, or the only one that is served on this machine"`
}

type filtered struct {
	Method string `json:"method,omitempty" jsonschema:"only requests with this method"`
	Status string `json:"status,omitempty" jsonschema:"only answers with this status, such as 404, or of this class, such as 5xx"`
	Path   string `json:"path,omitempty" jsonschema:"only requests whose target begins so; begins with a slash"`
	Code   string `json:"code,omitempty" jsonschema:"only requests that failed with this code, such as no_handler or handler_timeout"`
}

func (f filtered) filter(limit int) (recordings.Filter, error) {
	of := filters(f)
	return of.filter(limit)
}

type listInput struct {
	labelled
	filtered
	Limit int `json:"limit,omitempty" jsonschema:"as many at most, 1 to 200; absent: 20"`
}

type listOutput struct {
	Label     string                `json:"label"`
	URL       string                `json:"url"`
	Exchanges []recordings.Exchange `json:"exchanges"`
}

func (t *tools) list(ctx context.Context, _ *mcp.CallToolRequest, in listInput) (*mcp.CallToolResult, any, error) {
	if in.Limit == 0 {
		in.Limit = listedUsual
	}
	f, err := in.filter(in.Limit)
	if err != nil {
		return nil, nil, err
	}
	c, err := t.find(ctx, in.Label)
	if err != nil {
		return nil, nil, err
	}
	l, err := c.List(ctx, f)
	switch {
	case err != nil:
		return nil, nil, t.unanswered(c, "", err)
	case len(l.Exchanges) == 0 && !c.Inspect():
		return nil, nil, notRecorded(c)
	}
	for i := range l.Exchanges {
		hide(&l.Exchanges[i])
	}
	return nil, listOutput{c.Label(), c.URL(), l.Exchanges}, nil
}

type showInput struct {
	labelled
	ID      string `json:"id" jsonschema:"the id of the recording, as list has it"`
	Most    int    `json:"most,omitempty" jsonschema:"as many bytes of content at most, of the request and of the answer; absent: 16384; at most 262144"`
	Secrets bool   `json:"secrets,omitempty" jsonschema:"show the values of Authorization, Cookie, Set-Cookie and the like, which are masked otherwise"`
}

type showOutput struct {
	Exchange   recordings.Exchange       `json:"exchange"`
	Request    shownMessage              `json:"request"`
	Response   *shownMessage             `json:"response,omitempty"`
	Interims   []schema.RecordedInterim  `json:"interims,omitempty"`
	Deliveries []schema.RecordedDelivery `json:"deliveries,omitempty"`
	Parts      int                       `json:"parts,omitempty"`
}

type shownMessage struct {
	Status     int            `json:"status,omitempty"`
	Headers    []schema.Field `json:"headers"`
	Body       string         `json:"body,omitempty"`
	BodyBase64 string         `json:"bodyBase64,omitempty"`
	Bytes      int            `json:"bytes"`
	// Cut says why content is shorter than bytes.
	Cut      string         `json:"cut,omitempty"`
	Trailers []schema.Field `json:"trailers,omitempty"`
}

func (t *tools) show(ctx context.Context, _ *mcp.CallToolRequest, in showInput) (*mcp.CallToolResult, any, error) {
	switch {
	case in.ID == "":
		return nil, nil, errors.New("id is empty: give one that list has")
	case in.Most < 0 || in.Most > shownMost:
		return nil, nil, fmt.Errorf("most %d: give 1 to %d", in.Most, shownMost)
	case in.Most == 0:
		in.Most = shownUsual
	}
	c, err := t.find(ctx, in.Label)
	if err != nil {
		return nil, nil, err
	}
	r, err := c.Get(ctx, in.ID)
	if err != nil {
		return nil, nil, t.unanswered(c, in.ID, err)
	}
	x := &r.Exchange
	if !in.Secrets {
		hide(x)
	}
	for i := range r.Interims {
		r.Interims[i].Headers = in.masked(r.Interims[i].Headers)
	}
	out := showOutput{Exchange: *x, Interims: r.Interims, Parts: len(r.Parts)}
	out.Request = in.message(&r.Request, x.RequestBytes, x.RequestCut)
	if r.Response != nil {
		out.Response = new(in.message(r.Response, x.ResponseBytes, x.ResponseCut))
	}
	if len(r.Deliveries) > 1 {
		out.Deliveries = r.Deliveries
	}
	return nil, out, nil
}

func (in *showInput) message(m *recordings.Message, bytes int, cut bool) shownMessage {
	content := m.Content()
	out := shownMessage{Status: m.Status, Headers: in.masked(m.Headers), Trailers: in.masked(m.Trailers), Bytes: bytes}
	if cut {
		out.Cut = fmt.Sprintf("only the first %d bytes were recorded", len(content))
	}
	isText := utf8.Valid(content)
	if len(content) > in.Most {
		content = content[:in.Most]
		for isText && !utf8.Valid(content) {
			content = content[:len(content)-1]
		}
		out.Cut = fmt.Sprintf("only the first %d bytes are shown; most asks for more", len(content))
	}
	if isText {
		out.Body = string(content)
	} else {
		out.BodyBase64 = base64.StdEncoding.EncodeToString(content)
	}
	return out
}

// hide masks values in the URL of an exchange that are named like secrets.
func hide(x *recordings.Exchange) {
	x.URL, x.Target = secret.URL(x.URL), secret.URL(x.Target)
	x.JSON, _ = json.Marshal(x.Recorded) // it has only strings and numbers
}

func (in *showInput) masked(fields []schema.Field) []schema.Field {
	var all []schema.Field
	for _, f := range fields {
		if !in.Secrets {
			f[1] = secret.Value(f[0], f[1])
		}
		all = append(all, f)
	}
	return all
}

type fieldInput struct {
	Name  string `json:"name"`
	Value string `json:"value" jsonschema:"empty leaves the field out"`
}

type replayInput struct {
	labelled
	waiting
	ID         string       `json:"id" jsonschema:"the id of the recording, as list has it"`
	Method     string       `json:"method,omitempty" jsonschema:"in place of the method that was recorded"`
	Target     string       `json:"target,omitempty" jsonschema:"path and query, in place of those that were recorded"`
	Headers    []fieldInput `json:"headers,omitempty" jsonschema:"in place of the fields of these names"`
	Body       *string      `json:"body,omitempty" jsonschema:"content as text, in place of what was recorded"`
	BodyBase64 *string      `json:"bodyBase64,omitempty" jsonschema:"content in base64, in place of what was recorded"`
}

type waiting struct {
	TimeoutSeconds int `json:"timeoutSeconds,omitempty" jsonschema:"how long to wait at most, 1 to 600; absent: 30"`
}

// within finds the claim of a label, and returns a context that ends when the tool's time is over.
// The caller must cancel the context unless there is an error.
func (t *tools) within(ctx context.Context, w waiting, label string) (context.Context, context.CancelFunc, *recordings.Claim, error) {
	wait := time.Duration(w.TimeoutSeconds) * time.Second
	switch {
	case wait < 0 || wait > waitMost:
		return nil, nil, nil, fmt.Errorf("timeoutSeconds %d: give 1 to %d", w.TimeoutSeconds, int(waitMost.Seconds()))
	case wait == 0:
		wait = waitUsual
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	c, err := t.find(ctx, label)
	if err != nil {
		cancel()
		return nil, nil, nil, err
	}
	return ctx, cancel, c, nil
}

func (in *replayInput) change() (with change, err error) {
	with = change{method: in.Method, target: in.Target}
	var lines []string
	for _, f := range in.Headers {
		lines = append(lines, f.Name+":"+f.Value)
	}
	if with.fields, err = parseFields(lines); err != nil {
		return with, err
	}
	switch {
	case in.Body != nil && in.BodyBase64 != nil:
		return with, errors.New("body and bodyBase64 are one content: give one of them")
	case in.Body != nil:
		with.content, with.replaces = []byte(*in.Body), true
	case in.BodyBase64 != nil:
		with.replaces = true
		if with.content, err = base64.StdEncoding.DecodeString(*in.BodyBase64); err != nil {
			return with, fmt.Errorf("bodyBase64 is not base64 (RFC 4648, 4): %w", err)
		}
	}
	return with, nil
}

func (t *tools) replay(ctx context.Context, _ *mcp.CallToolRequest, in replayInput) (*mcp.CallToolResult, any, error) {
	if in.ID == "" {
		return nil, nil, errors.New("id is empty: give one that list has")
	}
	with, err := in.change()
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel, c, err := t.within(ctx, in.waiting, in.Label)
	if err != nil {
		return nil, nil, err
	}
	defer cancel()
	x, err := t.repeat(ctx, c, in.ID, with)
	switch {
	case err == nil:
		hide(x)
		return nil, x, nil
	case x != nil && errors.Is(err, context.DeadlineExceeded):
		return nil, nil, fmt.Errorf("the replay %s has not ended in time, and goes on: show it later", x.ID)
	}
	return nil, nil, err
}

type waitInput struct {
	labelled
	filtered
	waiting
}

type waitOutput struct {
	Came     bool                 `json:"came"`
	Exchange *recordings.Exchange `json:"exchange,omitempty"`
	// Detail says what to do if nothing came.
	Detail string `json:"detail,omitempty"`
}

func (t *tools) wait(ctx context.Context, _ *mcp.CallToolRequest, in waitInput) (*mcp.CallToolResult, any, error) {
	f, err := in.filter(0)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel, c, err := t.within(ctx, in.waiting, in.Label)
	if err != nil {
		return nil, nil, err
	}
	defer cancel()
	if !c.Inspect() {
		return nil, nil, notRecorded(c)
	}
	l, err := c.List(ctx, recordings.Filter{Limit: 1})
	if err != nil {
		return nil, nil, t.unanswered(c, "", err)
	}
	for change, err := range c.Changes(ctx, l.Change) {
		switch {
		case err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
			return nil, waitOutput{Detail: "no such request to " + c.URL() + " ended in time; wait again, or look at what came with list"}, nil
		case err != nil:
			return nil, nil, t.unanswered(c, "", err)
		case change.Exchange != nil && change.Exchange.Ended() && f.Passes(change.Exchange):
			hide(change.Exchange)
			return nil, waitOutput{Came: true, Exchange: change.Exchange}, nil
		}
	}
	return nil, nil, context.Cause(ctx)
}
