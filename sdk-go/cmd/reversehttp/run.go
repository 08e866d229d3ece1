package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alecthomas/kong"

	reversehttp "reversehttp/sdk-go"
	"reversehttp/server/process"
)

const (
	// How long finding the gateway and claiming may take.
	claimTimeout = 20 * time.Second
	// How long giving up the label may take at the end.
	deleteTimeout = 2 * time.Second
	// How long a second signal waits if no exchange runs that it would cut.
	idleTimeout = 500 * time.Millisecond
	// How long it waits at most for the label to be given up.
	goodbyeTimeout = idleTimeout + deleteTimeout
)

var errCut = &failure{exitCut, errors.New("ended at once by a second signal")}

// command is a command that answers visitors.
type command interface {
	// open prepares the handler.
	open(v view, log *slog.Logger) (service, error)
}

// service is a prepared command.
type service struct {
	http.Handler
	about string // describes what is on the public URL
	close func() // may be nil
	// concurrency bounds the handlers that run at once. Zero means the default of the SDK.
	concurrency int
}

// run runs the command in args until a signal or the end of the claim. It returns the exit code.
func run(args []string, signals <-chan os.Signal, stdout, stderr io.Writer) (code int) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case exited:
			code = int(v)
		default:
			panic(v)
		}
	}()
	if len(args) == 0 {
		_ = run([]string{"--help"}, signals, stderr, stderr)
		return exitUsage
	}
	o := &options{}
	k, err := newParser(o, stdout, stderr)
	if err != nil {
		panic(err)
	}
	parsed, stopped, err := parse(k, args, signals)
	if stopped {
		return exitDone
	}
	if err = explained(err); err == nil {
		err = o.check()
	}
	if err == nil {
		err = o.secrets(notes(stderr))
	}
	if err != nil {
		fmt.Fprintf(stderr, "reversehttp: %s; --help lists commands and flags\n", printable(err.Error()))
		return exitUsage
	}
	if o.Completion.Shell != "" {
		_, _ = io.WriteString(stdout, o.Completion.script(k.Model))
		return exitDone
	}
	c := parsed.Selected().Target.Addr().Interface()
	if _, ok := c.(*man); ok {
		_, _ = io.WriteString(stdout, manual(k.Model, process.Version()))
		return exitDone
	}
	if c, ok := c.(*up); ok {
		return o.runAll(c, parsed, signals, stdout, stderr)
	}
	if c, ok := c.(doer); ok {
		return concluded(c.do(stdout, stderr), stderr)
	}
	if c, ok := c.(asker); ok {
		return o.ask(c, signals, stdout, stderr)
	}
	return o.run(c.(command), signals, stdout, stderr)
}

// parse parses the arguments. Files with secrets may be pipes with slow writers; a signal ends the
// wait for them.
func parse(k *kong.Kong, args []string, signals <-chan os.Signal) (parsed *kong.Context, stopped bool, err error) {
	type result struct {
		parsed *kong.Context
		err    error
		ended  any // the panic value of kong
	}
	done := make(chan result, 1)
	go func() {
		var r result
		defer func() {
			r.ended = recover()
			done <- r
		}()
		r.parsed, r.err = k.Parse(args)
	}()
	select {
	case r := <-done:
		if r.ended != nil {
			panic(r.ended)
		}
		return r.parsed, false, r.err
	case <-signals:
		return nil, true, nil
	}
}

// run serves, shows exchanges, and prints how it ended. The first signal ends it gently, the second
// at once, even if nobody reads the output.
func (o *options) run(c command, signals <-chan os.Signal, stdout, stderr io.Writer) int {
	out := &reported{out: stdout, broken: make(chan struct{})}
	v, log := o.view(c, stdout, out, stderr)
	s := &serving{options: o, view: v, log: log, note: notes(stderr), online: make(chan struct{}, 1), stop: make(chan struct{}), cut: make(chan struct{})}
	ended := make(chan *failure, 1)
	go func() { ended <- s.run(c) }()
	f := s.wait(ended, signals, out.broken)
	if f == nil {
		return exitDone
	}
	fmt.Fprintf(stderr, "reversehttp: %s\n", f)
	return f.code
}

// wait waits for the end, and causes it when a signal comes or nobody reads the output.
func (s *serving) wait(ended <-chan *failure, signals <-chan os.Signal, broken <-chan struct{}) *failure {
	select {
	case f := <-ended:
		return f
	case <-signals:
	case <-broken:
	}
	close(s.stop)
	select {
	case f := <-ended:
		return f
	case <-signals:
	}
	close(s.cut)
	select {
	case f := <-ended:
		return f
	case <-time.After(goodbyeTimeout):
		return errCut
	}
}

// notes returns a function that prints lines to w.
func notes(w io.Writer) func(string) {
	return func(text string) { fmt.Fprintf(w, "reversehttp: %s\n", text) }
}

// targetOf returns the name under which the URL of a command is remembered.
func targetOf(c command) string {
	switch c := c.(type) {
	case *forward:
		return c.Target.String()
	case *serve:
		if dir, err := filepath.Abs(c.Dir); err == nil {
			return dir
		}
		return c.Dir
	case *inbox:
		return "inbox"
	}
	return "echo"
}

// reported is a writer that reports when its reader has left.
type reported struct {
	out    io.Writer
	once   sync.Once
	broken chan struct{}
}

func (r *reported) Write(p []byte) (int, error) {
	n, err := r.out.Write(p)
	if err != nil {
		r.once.Do(func() { close(r.broken) })
	}
	return n, err
}

// serving is a running command.
type serving struct {
	*options
	// command is what is run, where up has made it ready.
	command command
	view    view
	log     *slog.Logger
	// note prints a line about the claim, before its URL is shown.
	note func(string)
	// place is where the claim is remembered. Nil means that it is not.
	place *remembered
	// online receives a value whenever the gateway is online again.
	online chan struct{}
	stop   chan struct{} // closed by the first signal
	cut    chan struct{} // closed by the second
}

func (s *serving) run(c command) *failure {
	err := s.serve(c)
	var f *failure
	if err != nil && !errors.As(err, &f) {
		f = &failure{exitFailed, err}
	}
	s.view.close(f)
	return f
}

// serve claims and serves. It returns nil after a signal.
func (s *serving) serve(c command) error {
	svc, err := c.open(s.view, s.log)
	if err != nil {
		return &failure{exitUsage, err}
	}
	if svc.close != nil {
		defer svc.close()
	}
	client := s.CA.client()
	defer client.CloseIdleConnections()
	if s.place, err = s.recall(s.Label, targetOf(c), s.note); err != nil {
		return err
	}
	defer s.place.release()
	session, err := s.claim(client, svc.concurrency)
	if session == nil {
		return err
	}
	defer s.kept(session)()
	if err := s.guarded(session); err != nil {
		s.giveUp(session)
		return err
	}
	s.view.claimed(session.URL(), session.Label(), svc.about)
	s.showCode(session.URL())
	if err := s.shared(session); err != nil {
		s.giveUp(session)
		return &failure{exitFailed, fmt.Errorf("there is no link for --share: %s", printable(err.Error()))}
	}
	if s.Domain != "" {
		s.view.domain(s.Domain, session.Domain())
	}
	defer s.inspected(session)()
	var running atomic.Int64
	served := make(chan error, 1)
	go func() { served <- session.Serve(count(&running, watch(svc.Handler, s.view))) }()
	select {
	case err := <-served:
		return ended(err)
	case <-s.stop:
	}
	s.view.draining()
	return s.end(session, served, &running)
}

// claim claims the label. It returns neither a session nor an error if a signal came first.
func (s *serving) claim(client *http.Client, concurrency int) (*reversehttp.Session, error) {
	ctx, cancel := context.WithTimeout(context.Background(), claimTimeout)
	defer cancel()
	unwatch := make(chan struct{})
	defer close(unwatch)
	go func() {
		select {
		case <-s.stop:
			cancel()
		case <-unwatch:
		}
	}()
	session, err := s.place.claim(ctx, s.Gateway, reversehttp.Options{
		Client: client, Label: s.Label, Token: s.Token, Key: s.Key, Lease: s.Lease, Timeout: s.Timeout, Transport: reversehttp.Transport(s.Transport), Concurrency: concurrency, Inspect: s.Record, Policy: s.gates.policy(), Domain: s.Domain, Logger: s.log, OnState: s.state,
	}, s.note)
	if err == nil {
		return session, nil // serve handles the signal
	}
	select {
	case <-s.stop:
		return nil, nil
	default:
		return nil, refused(s.Gateway, s.Label, err)
	}
}

// end ends a session gently; a second signal, or the time to drain, ends it at once.
func (s *serving) end(session *reversehttp.Session, served <-chan error, running *atomic.Int64) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.Drain)
	defer cancel()
	down := make(chan error, 1)
	go func() { down <- session.Shutdown(ctx) }()
	select {
	case err := <-down:
		if err == nil {
			<-served
		}
		s.giveUp(session)
		if err != nil {
			return &failure{exitCut, fmt.Errorf("exchanges still ran after %s and were cut; --drain gives them longer", s.Drain)}
		}
		return nil
	case <-s.cut:
	}
	if running.Load() == 0 { // an answer may still be on its way
		select {
		case err := <-down:
			s.giveUp(session)
			if err == nil {
				return nil
			}
			return errCut
		case <-time.After(idleTimeout):
		}
	}
	cancel() // closes the session before the claim is deleted, since exchanges may still be answered after that
	select {
	case <-down:
	case <-time.After(idleTimeout):
	}
	s.giveUp(session)
	select {
	case <-served: // exchanges that were cut are shown
	case <-time.After(idleTimeout):
	}
	return errCut
}

// giveUp deletes the claim, unless its token was given or is remembered. Nobody knows any other
// token, so nobody could use the label until its lease ends.
func (s *serving) giveUp(session *reversehttp.Session) {
	if s.Token != "" || s.place.keeps() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), deleteTimeout)
	defer cancel()
	_ = session.Delete(ctx)
}

// count counts running handlers.
func count(running *atomic.Int64, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		running.Add(1)
		defer running.Add(-1)
		next.ServeHTTP(w, r)
	})
}
