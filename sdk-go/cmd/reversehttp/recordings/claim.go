// Package recordings reads a gateway's recordings of a claim, and repeats recorded requests:
// schema/README.md, section 13.
package recordings

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"reversehttp/schema"
	reversehttp "reversehttp/sdk-go"
	"reversehttp/sdk-go/internal/origins"
)

const (
	// How long an answer may take that need not wait.
	answerTimeout = 30 * time.Second
	// No honest gateway sends more: 200 recordings of 16 MiB in all, as HAR in base64.
	answerMost = 64 << 20
)

// ErrNone means that the gateway records nothing.
var ErrNone = errors.New("the gateway records nothing: it is older than recordings")

// Claim is a claim at a gateway, as its owner or a viewer sees it. Its methods may be called from any goroutine.
type Claim struct {
	client     *http.Client
	token      string
	url        string
	exchanges  string
	shares     string
	inspect    bool
	public     string
	label      string
	waitSecond int
}

// Find asks the gateway for the claim of a label. A nil client means http.DefaultClient. If the gateway
// refuses, the error is a [*reversehttp.Error].
func Find(ctx context.Context, client *http.Client, gateway, label, token string) (*Claim, error) {
	if client == nil {
		client = http.DefaultClient
	}
	o, err := origins.Parse(gateway)
	if err != nil {
		return nil, err
	}
	c := &Claim{client: o.Finding(client), label: label} // discovery is read without the token
	var d schema.Discovery
	if err := c.ask(ctx, http.MethodGet, o.Discovery.String(), nil, &d); err != nil {
		return nil, err
	}
	c.client, c.token = origins.Asking(client), token
	if d.Claims == "" {
		return nil, &reversehttp.Error{Code: "unexpected", Detail: "the answer is no discovery"}
	}
	claims, err := o.Resolve("claims", d.Claims)
	if err != nil {
		return nil, &reversehttp.Error{Code: "unexpected", Detail: err.Error()}
	}
	if c.url, err = url.JoinPath(claims, label); err != nil {
		return nil, err
	}
	c.waitSecond = max(d.Limits.WaitSeconds, 1)
	var state schema.ClaimState
	if err := c.ask(ctx, http.MethodGet, c.url, nil, &state); err != nil {
		return nil, err
	}
	c.exchanges, c.shares, c.inspect, c.public = state.Exchanges, state.Shares, state.Inspect, state.URL
	if c.exchanges == "" {
		return nil, ErrNone
	}
	if err := o.Check(map[string]string{"exchanges": c.exchanges, "shares": c.shares}); err != nil {
		return nil, &reversehttp.Error{Code: "unexpected", Detail: err.Error()}
	}
	return c, nil
}

// Label returns the label of the claim.
func (c *Claim) Label() string { return c.label }

// URL returns the public URL of the claim.
func (c *Claim) URL() string { return c.public }

// Inspect reports whether exchanges were recorded when the claim was found.
func (c *Claim) Inspect() bool { return c.inspect }

// SetInspect turns recording on or off. Turning it off drops the recordings.
func (c *Claim) SetInspect(ctx context.Context, inspect bool) error {
	return c.ask(ctx, http.MethodPatch, c.url, schema.ClaimPatch{Inspect: &inspect}, nil)
}

// Share returns the URL of a new link that admits any number of visitors.
func (c *Claim) Share(ctx context.Context, lease time.Duration) (string, error) {
	if c.shares == "" {
		return "", errors.New("the gateway makes no links: it is older than they are")
	}
	var made schema.ShareAnswer
	err := c.ask(ctx, http.MethodPost, c.shares, schema.ShareRequest{Lease: new(int(lease / time.Second)), Once: new(false)}, &made)
	return made.URL, err
}

// MintViewer returns a new token that can only read, and revokes an earlier one.
func (c *Claim) MintViewer(ctx context.Context) (string, error) {
	var state schema.ClaimState
	err := c.ask(ctx, http.MethodPatch, c.url, schema.ClaimPatch{Viewer: new(true)}, &state)
	return state.ViewerToken, err
}

// Get returns one recording.
func (c *Claim) Get(ctx context.Context, id string) (*Recording, error) {
	r := &Recording{}
	if err := c.ask(ctx, http.MethodGet, c.exchanges+"/"+url.PathEscape(id), nil, r); err != nil {
		return nil, err
	}
	return r, nil
}

// List returns the recordings that pass a filter, newest first.
func (c *Claim) List(ctx context.Context, f Filter) (List, error) {
	var l List
	err := c.ask(ctx, http.MethodGet, c.exchanges+"?"+f.query().Encode(), nil, &l)
	return l, err
}

// WriteHAR writes the recordings that pass a filter as HAR 1.2. Unless secrets is set, the gateway masks
// values that look like secrets.
func (c *Claim) WriteHAR(ctx context.Context, f Filter, secrets bool, w io.Writer) error {
	q := f.query()
	q.Set("format", "har")
	if secrets {
		q.Set("secrets", "1")
	}
	content, err := c.send(ctx, http.MethodGet, c.exchanges+"?"+q.Encode(), nil, nil)
	if err != nil {
		return err
	}
	_, err = w.Write(content)
	return err
}

// Replay delivers a recorded request to the handler again, with members replaced by those of with. It returns
// the id of the new exchange.
func (c *Claim) Replay(ctx context.Context, id string, with schema.ReplayRequest) (string, error) {
	var a schema.ReplayAnswer
	err := c.ask(ctx, http.MethodPost, c.exchanges+"/"+url.PathEscape(id)+"/replay", with, &a)
	return a.ID, err
}

// ask sends a request. It decodes the answer into into unless that is nil.
func (c *Claim) ask(ctx context.Context, method, at string, content, into any) error {
	answer, err := c.send(ctx, method, at, content, nil)
	if err != nil || into == nil {
		return err
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return &reversehttp.Error{Code: "unexpected", Detail: err.Error()}
	}
	return nil
}

// send sends a request and returns the content of the answer.
func (c *Claim) send(ctx context.Context, method, at string, content any, header http.Header) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	return c.sendFor(ctx, method, at, content, header)
}

// sendFor is send without a bound other than the context.
func (c *Claim) sendFor(ctx context.Context, method, at string, content any, header http.Header) ([]byte, error) {
	resp, err := c.open(ctx, method, at, content, header)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return readAll(resp.Body)
}

func readAll(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, answerMost+1))
	if len(b) > answerMost {
		return nil, fmt.Errorf("the answer is larger than %d bytes", answerMost)
	}
	return b, err
}

// open sends a request and returns the answer, whose content is not read. An unsuccessful status is an error.
func (c *Claim) open(ctx context.Context, method, at string, content any, header http.Header) (*http.Response, error) {
	var body io.Reader
	if content != nil {
		b, err := json.Marshal(content)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, at, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, values := range header {
		req.Header[name] = values
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 200 && resp.StatusCode <= 299 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, refusal(resp)
}

// refusal returns the error for an unsuccessful answer.
func refusal(resp *http.Response) error {
	e := &reversehttp.Error{Status: resp.StatusCode, Code: "unexpected"}
	var p schema.Problem
	if b, err := readAll(resp.Body); err == nil && json.Unmarshal(b, &p) == nil && p.Code != "" {
		e.Code, e.Detail = p.Code, p.Detail
	} else if to := origins.Redirect(resp.StatusCode, resp.Header); to != "" {
		e.Detail = to
	}
	if n, err := strconv.Atoi(strings.TrimSpace(resp.Header.Get("Retry-After"))); err == nil && n > 0 {
		e.RetryAfter = time.Duration(min(n, 3600)) * time.Second
	}
	return e
}
