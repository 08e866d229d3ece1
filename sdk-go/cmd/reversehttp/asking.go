package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"golang.org/x/term"

	"reversehttp/schema"
	reversehttp "reversehttp/sdk-go"
	"reversehttp/sdk-go/cmd/reversehttp/recordings"
)

// asker is a command that sends requests to a gateway and does not serve. A signal ends its
// context.
type asker interface {
	ask(context.Context, *asking) error
}

// asking is the state of such a command.
type asking struct {
	*options
	in     io.Reader
	out    io.Writer
	stderr io.Writer
	// people is whether people read the output, rather than programs.
	people bool
	client *http.Client
	advice advice
}

// advice has the parts of errors that say what to do, worded for their reader.
type advice struct {
	// list says how to list the recordings of a label.
	list string
	// content says how to supply content.
	content string
	// start says how to serve something.
	start string
}

var adviceToPeople = advice{
	list:    "reversehttp inspect %s lists those that there are",
	content: "--data or --data-file",
	start:   "start something, such as: reversehttp inbox",
}

// ask runs a command until it is done, a signal comes, or nobody reads its output. It returns the
// exit code.
func (o *options) ask(c asker, signals <-chan os.Signal, stdout, stderr io.Writer) int {
	out := &reported{out: stdout, broken: make(chan struct{})}
	ctx, stop := context.WithCancelCause(context.Background())
	defer stop(nil)
	go func() {
		select {
		case <-signals:
		case <-out.broken:
		case <-ctx.Done():
		}
		stop(errStopped)
	}()
	f, terminal := stdout.(*os.File)
	a := &asking{options: o, in: os.Stdin, out: out, stderr: stderr, client: o.CA.client(), advice: adviceToPeople}
	a.people = !o.JSON && terminal && term.IsTerminal(int(f.Fd()))
	defer a.client.CloseIdleConnections()
	err := c.ask(ctx, a)
	var failed *failure
	if errors.As(err, &failed) && failed.code == exitCut {
		return concluded(err, stderr)
	}
	if err == nil || errors.Is(err, errStopped) || context.Cause(ctx) == errStopped {
		return exitDone
	}
	return concluded(err, stderr)
}

var errStopped = errors.New("stopped by a signal")

// claim finds the claim of a label, or, if label is empty, of the only running command.
func (a *asking) claim(ctx context.Context, label string) (*recordings.Claim, error) {
	who, err := a.own(label, a.advice.start)
	if err != nil {
		return nil, &failure{exitUsage, err}
	}
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	c, err := recordings.Find(ctx, a.client, who.Gateway, who.Label, who.Token)
	if err != nil {
		return nil, unfound(who, err)
	}
	return c, nil
}

// unfound converts an error of Find to a failure that says what to do.
func unfound(who owned, err error) error {
	var e *reversehttp.Error
	label := printable(who.Label)
	switch {
	case errors.Is(err, recordings.ErrNone):
		return &failure{exitFailed, fmt.Errorf("the gateway at %s has no recordings: it is of an older version", who.Gateway)}
	case !errors.As(err, &e):
	case e.Code == schema.CodeNoClaim || e.Code == schema.CodeClaimDeleted || e.Code == schema.CodeLeaseEnded:
		return &failure{exitEnded, fmt.Errorf("nobody claims %q at %s; recordings end with their claim", label, who.Gateway)}
	case e.Code == schema.CodeTokenWrong || e.Code == schema.CodeTokenNeeded:
		return &failure{exitRefused, fmt.Errorf("the token neither owns %q nor may view it; check REVERSEHTTP_TOKEN", label)}
	}
	return refused(who.Gateway, who.Label, err)
}

// unanswered converts an error about a recording to a failure that says what to do.
func (a *asking) unanswered(c *recordings.Claim, id string, err error) error {
	var e *reversehttp.Error
	if !errors.As(err, &e) {
		return &failure{exitUnreachable, fmt.Errorf("the gateway does not answer: %s", cause(err))}
	}
	label, id := printable(c.Label()), printable(id)
	switch e.Code {
	case schema.CodeNoExchange:
		if id == "" {
			return notRecorded(c)
		}
		return &failure{exitFailed, fmt.Errorf("%s has no recording %s: it is unknown, or dropped for newer ones; "+a.advice.list, label, id, label)}
	case schema.CodeRecordingCut:
		return &failure{exitFailed, fmt.Errorf("only the beginning of the content of %s was recorded; give all of it with %s", id, a.advice.content)}
	case schema.CodeContentTooLarge:
		return &failure{exitUsage, errors.New("the gateway takes a megabyte in place of what was recorded, in base64 less; give less")}
	case schema.CodeRateLimited:
		return &failure{exitFailed, fmt.Errorf("%s has four replays a second; try again in a moment", label)}
	case schema.CodeQuotaExceeded:
		return &failure{exitFailed, fmt.Errorf("too many are watching %s; end another inspect --follow, or a console", label)}
	case schema.CodeTokenWrong, schema.CodeTokenNeeded:
		return &failure{exitRefused, fmt.Errorf("this token may only view %s; a replay needs the token that owns it, in REVERSEHTTP_TOKEN", label)}
	case schema.CodeNoClaim, schema.CodeClaimDeleted, schema.CodeLeaseEnded:
		return &failure{exitEnded, fmt.Errorf("the claim %s ended, and its recordings with it", label)}
	case schema.CodeBadRequest, schema.CodeBadMember, schema.CodeBadJSON:
		return &failure{exitUsage, errors.New(strings.TrimSpace("the gateway refuses that: " + printable(e.Detail)))}
	}
	return &failure{exitFailed, errors.New(printable(e.Error()))}
}

// notRecorded returns an error if the claim does not record exchanges.
func notRecorded(c *recordings.Claim) error {
	return &failure{exitFailed, fmt.Errorf("nothing of %[1]s is recorded: inspection is off; leave --no-inspect out where it is served, or ask for it with \"inspect\":true", printable(c.Label()))}
}
