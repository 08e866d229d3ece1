package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	reversehttp "reversehttp/sdk-go"
)

// exitLate is the exit code of callback if nothing came in time.
const exitLate = 3

// callback waits for the redirect of an OAuth server, and prints its parameters.
type callback struct {
	Path  string        `default:"/callback" help:"Path of the redirect. Default: /callback."`
	State string        `help:"The state that the authorization request had; requests with another one get 404. Default: any."`
	Wait  time.Duration `default:"5m" placeholder:"TIME" help:"How long to wait. Default: 5m."`
}

// outcome has the parameters of a redirect (RFC 6749, 4.1.2; iss: RFC 9207).
type outcome struct {
	Code             string `json:"code,omitempty"`
	Error            string `json:"error,omitempty"`
	ErrorDescription string `json:"error_description,omitempty"`
	State            string `json:"state,omitempty"`
	Issuer           string `json:"iss,omitempty"`
}

// ask claims, prints the URL, and serves until the redirect arrives. It prints the URL on standard error, or
// as a first line with --json, and then the parameters of the redirect as JSON.
func (c *callback) ask(ctx context.Context, a *asking) (err error) {
	if !strings.HasPrefix(c.Path, "/") || strings.ContainsAny(c.Path, "?#") {
		return &failure{exitUsage, fmt.Errorf("--path=%s: give a path such as /callback", printable(c.Path))}
	}
	if c.Wait <= 0 {
		return &failure{exitUsage, errors.New("--wait: give a time such as 5m")}
	}
	o := *a.options
	o.Record = false // a recording would contain the code
	s := &serving{options: &o, view: newJSONView(io.Discard), log: o.log(a.stderr), note: notes(a.stderr), online: make(chan struct{}, 1), stop: make(chan struct{})}
	context.AfterFunc(ctx, func() { close(s.stop) })
	if s.place, err = s.recall(s.Label, "callback", s.note); err != nil {
		return err
	}
	defer s.place.release()
	session, err := s.claim(a.client, 0)
	if session == nil {
		return c.stopped(err)
	}
	defer s.giveUp(session)
	if err := s.guarded(session); err != nil {
		session.Close()
		return err
	}
	defer s.inspected(session)()
	served := make(chan error, 1)
	go func() { served <- session.Serve(http.NotFoundHandler()) }()
	at := strings.TrimSuffix(session.URL(), "/") + c.Path
	if a.JSON {
		err = print(a.out, struct {
			URL string `json:"url"`
		}{at})
	} else {
		_, err = fmt.Fprintln(a.stderr, printable(at))
	}
	var came *http.Request
	if err == nil {
		waiting, cancel := context.WithTimeout(ctx, c.Wait)
		came, err = session.WaitFor(waiting, c.Path, &reversehttp.WaitOptions{Accept: c.accept})
		cancel()
	}
	// The answer, a page that can be closed, is on its way.
	down, cancel := context.WithTimeout(context.Background(), o.Drain)
	defer cancel()
	_ = session.Shutdown(down) // its error does not change the outcome
	ending := <-served
	switch {
	case ctx.Err() != nil && came == nil:
		return c.stopped(nil)
	case errors.Is(err, context.DeadlineExceeded):
		return &failure{exitLate, fmt.Errorf("no redirect came to %s within %s; --wait gives it longer", printable(at), c.Wait)}
	case err != nil && !errors.Is(ending, reversehttp.ErrClosed):
		return ended(ending)
	case err != nil:
		return err
	}
	got := outcomeOf(came.URL.Query())
	if err := print(a.out, got); err != nil {
		return err
	}
	if got.Error != "" {
		return &failure{exitFailed, fmt.Errorf("the server said %s", printable(strings.TrimSpace(got.Error+" "+got.ErrorDescription)))}
	}
	return nil
}

// stopped returns the end of the command if a signal came before the redirect: a script must not take that
// for success.
func (c *callback) stopped(err error) error {
	if err != nil {
		return err
	}
	return &failure{exitCut, errors.New("ended by a signal before a redirect came")}
}

// accept reports whether a request is the redirect: a GET with exactly one code or error, and the expected
// state.
func (c *callback) accept(r *http.Request) bool {
	query := r.URL.Query()
	for _, name := range []string{"code", "error", "state", "iss"} {
		if len(query[name]) > 1 { // RFC 6749, 3.1
			return false
		}
	}
	says := (query.Get("code") != "") != (query.Get("error") != "")
	return r.Method == http.MethodGet && says && (c.State == "" || query.Get("state") == c.State)
}

func outcomeOf(query url.Values) outcome {
	return outcome{query.Get("code"), query.Get("error"), query.Get("error_description"), query.Get("state"), query.Get("iss")}
}

// print writes a value as a line of JSON that is safe for terminals.
func print(w io.Writer, value any) error {
	var line bytes.Buffer
	to := json.NewEncoder(&line)
	to.SetEscapeHTML(false)
	if err := to.Encode(value); err != nil {
		return err
	}
	_, err := w.Write(append(inert(bytes.TrimSuffix(line.Bytes(), []byte{'\n'})), '\n'))
	return err
}
