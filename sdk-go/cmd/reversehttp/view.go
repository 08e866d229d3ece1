package main

import (
	"io"
	"log/slog"
	"os"
	"time"

	"golang.org/x/term"

	reversehttp "reversehttp/sdk-go"
)

// view shows what happens. Its methods may be called from any goroutine.
type view interface {
	claimed(url, label, about string)
	domain(name string, d reversehttp.Domain) // the requested domain; called after claimed
	shared(url string, lease time.Duration)   // a link that lets visitors in
	state(reversehttp.State)
	draining()
	waits(detail string) // waiting for the local server; called once
	began(exchange)
	ended(exchange)
	received(*request) // only by inbox
	close(*failure)    // nil after a signal; the last call
}

// linking is a view for people, which shows them the URL of the console.
type linking interface{ console(url string) }

// view returns the view of a command for the kind of stdout, which prints to out, and the log for
// it.
func (o *options) view(c command, stdout, out, stderr io.Writer) (view, *slog.Logger) {
	f, _ := stdout.(*os.File)
	if o.JSON || !isTerminal(stdout) {
		return newJSONView(out), o.log(stderr)
	}
	if _, ok := c.(*inbox); ok {
		return &pages{out: out}, o.log(stderr)
	}
	t := newTable(out, func() (int, int) {
		w, h, err := term.GetSize(int(f.Fd()))
		if err != nil || w <= 0 || h <= 0 {
			return 80, 24
		}
		return w, h
	})
	t.colours = wantsColours()
	if f, ok := stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		stderr = t // the same terminal
	}
	return t, o.log(stderr)
}

// isTerminal reports whether w is a terminal that can show more than lines of JSON.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

func (o *options) log(w io.Writer) *slog.Logger {
	level := slog.LevelError
	if o.Verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}
