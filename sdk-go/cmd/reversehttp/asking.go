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

// asker is a command that asks a gateway and serves nothing. Its context ends with a signal.
type asker interface {
	ask(context.Context, *asking) error
}

// asking is what such a command has.
type asking struct {
	*options
	in     io.Reader
	out    io.Writer
	stderr io.Writer
	// people says that people read what is printed, and not programs.
	people bool
	client *http.Client
	advice advice
}

// advice is what errors say that is to be done, in the words of who reads them.
type advice struct {
	// list lists recordings, of a label.
	list string
	// content gives content.
	content string
	// start serves something.
	start string
}

var adviceToPeople = advice{
	list:    "reversehttp inspect %s lists those that there are",
	content: "--data or --data-file",
	start:   "start something, such as: reversehttp inbox",
}

// ask runs a command until it has its answer, until a signal, or until nobody reads what it prints. It returns the exit code.
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
	if a.client == nil {
		a.client = &http.Client{Transport: reversehttp.NewTransport()}
	}
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

// claim finds the claim of a label, or of the only command that runs where it is empty.
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

// unfound makes a failure of an error of Find, and says what to do.
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
		return &failure{exitRefused, fmt.Errorf("the token does not own %q, nor may it look; look at REVERSEHTTP_TOKEN", label)}
	}
	return refused(who.Gateway, who.Label, err)
}

// unanswered makes a failure of an error about a recording, and says what to do.
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
		return &failure{exitFailed, fmt.Errorf("too many look at %s at once; end another inspect --follow, or a console", label)}
	case schema.CodeTokenWrong, schema.CodeTokenNeeded:
		return &failure{exitRefused, fmt.Errorf("this token may look at %s only; a replay wants the one that owns it, in REVERSEHTTP_TOKEN", label)}
	case schema.CodeNoClaim, schema.CodeClaimDeleted, schema.CodeLeaseEnded:
		return &failure{exitEnded, fmt.Errorf("the claim %s ended, and its recordings with it", label)}
	case schema.CodeBadRequest, schema.CodeBadMember, schema.CodeBadJSON:
		return &failure{exitUsage, errors.New(strings.TrimSpace("the gateway does not take that: " + printable(e.Detail)))}
	}
	return &failure{exitFailed, errors.New(printable(e.Error()))}
}

// notRecorded says why there is nothing where nothing is recorded.
func notRecorded(c *recordings.Claim) error {
	return &failure{exitFailed, fmt.Errorf("nothing of %[1]s is recorded: inspection is off; leave --no-inspect out where it is served, or ask for it with \"inspect\":true", printable(c.Label()))}
}
