package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"reversehttp/sdk-go/cmd/reversehttp/recordings"
)

// filters select recordings, for inspect and mcp.
type filters struct {
	Method string `placeholder:"METHOD" help:"Only requests with this method."`
	Status string `placeholder:"STATUS" help:"Only answers with this status, such as 404, or of this class, such as 5xx."`
	Path   string `placeholder:"PATH" help:"Only requests whose target begins with this."`
	Code   string `placeholder:"CODE" help:"Only those that failed with this code, such as no_handler."`
}

var statusFilter = regexp.MustCompile(`^[1-5]([0-9]{2}|xx|XX)$`)

// filter checks the filters and converts them.
func (f *filters) filter(limit int) (recordings.Filter, error) {
	switch {
	case f.Status != "" && !statusFilter.MatchString(f.Status):
		return recordings.Filter{}, fmt.Errorf("status %q: give one such as 404, or a class such as 5xx", printable(f.Status))
	case f.Path != "" && !strings.HasPrefix(f.Path, "/") && f.Path != "*":
		return recordings.Filter{}, fmt.Errorf("path %q: targets begin with a slash", printable(f.Path))
	case limit < 0 || limit > recordings.Most:
		return recordings.Filter{}, fmt.Errorf("limit %d: give 1 to %d", limit, recordings.Most)
	}
	return recordings.Filter{Method: f.Method, Status: strings.ToLower(f.Status), Path: latin1(f.Path), Code: f.Code, Limit: limit}, nil
}

// inspect prints recordings of the gateway.
type inspect struct {
	Label   string `arg:"" optional:"" help:"Label whose recordings are printed. Default: that of --label, or of the only command that runs here."`
	ID      string `name:"id" placeholder:"ID" help:"Print this recording in full: request, answer and times."`
	Follow  bool   `short:"f" help:"Keep running, and print each exchange when it ends."`
	Limit   int    `default:"50" placeholder:"N" help:"How many recordings to print, newest first; at most 200. Default: 50."`
	HAR     string `name:"har" placeholder:"FILE" help:"Write the recordings to this file as HAR 1.2, for browser tools; - is standard output."`
	Secrets bool   `help:"Leave passwords, cookies and the like readable in a HAR."`
	filters
}

func (i *inspect) ask(ctx context.Context, a *asking) error {
	f, err := i.filter(i.Limit)
	if err == nil && i.Limit == 0 {
		err = fmt.Errorf("--limit=0: give 1 to %d", recordings.Most)
	}
	if err == nil && (i.ID != "" && i.HAR != "" || i.Follow && (i.ID != "" || i.HAR != "")) {
		err = errors.New("--id, --har and --follow are three things: give one")
	}
	if err != nil {
		return &failure{exitUsage, err}
	}
	c, err := a.claim(ctx, i.Label)
	if err != nil {
		return err
	}
	switch {
	case i.ID != "":
		return i.one(ctx, a, c)
	case i.HAR != "":
		return i.writeHAR(ctx, a, c, f)
	}
	l, err := c.List(ctx, f)
	if err != nil {
		return a.unanswered(c, "", err)
	}
	if len(l.Exchanges) == 0 && !c.Inspect() {
		return notRecorded(c)
	}
	p := a.printer(c)
	p.begin(len(l.Exchanges), i.Follow)
	running := map[string]bool{}
	for _, x := range slices.Backward(l.Exchanges) {
		if i.Follow && !x.Ended() {
			running[x.ID] = true // it is printed when it ends
			continue
		}
		p.exchange(&x)
	}
	if !i.Follow {
		return nil
	}
	return i.follow(ctx, a, c, p, f, l.Change)
}

// follow prints each exchange when it ends.
func (i *inspect) follow(ctx context.Context, a *asking, c *recordings.Claim, p *printer, f recordings.Filter, after string) error {
	for change, err := range c.Changes(ctx, after) {
		switch {
		case err != nil && ctx.Err() != nil:
			return nil
		case err != nil:
			return a.unanswered(c, "", err)
		case change.Exchange != nil && change.Exchange.Ended() && f.Passes(change.Exchange):
			p.exchange(change.Exchange)
		case change.Cleared:
			p.cleared()
		}
	}
	return nil
}

func (i *inspect) one(ctx context.Context, a *asking, c *recordings.Claim) error {
	r, err := c.Get(ctx, i.ID)
	if err != nil {
		if !c.Inspect() {
			return notRecorded(c)
		}
		return a.unanswered(c, i.ID, err)
	}
	if !a.people {
		_, err = a.out.Write(append(inert(r.JSON), '\n'))
		return err
	}
	var b strings.Builder
	printRecording(&b, r)
	_, err = io.WriteString(a.out, b.String())
	return err
}

func (i *inspect) writeHAR(ctx context.Context, a *asking, c *recordings.Claim, f recordings.Filter) error {
	if i.HAR == "-" {
		if err := c.WriteHAR(ctx, f, i.Secrets, a.out); err != nil {
			return a.unanswered(c, "", err)
		}
		return nil
	}
	// Only the owner may read what strangers sent.
	file, err := os.OpenFile(i.HAR, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return &failure{exitUsage, err}
	}
	err = c.WriteHAR(ctx, f, i.Secrets, file)
	if e := file.Close(); err == nil && e != nil {
		return e
	}
	if err != nil {
		return a.unanswered(c, "", err)
	}
	return nil
}
