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
	domain(name string, d reversehttp.Domain) // that was asked for; after claimed
	shared(url string, lease time.Duration)   // a link that lets visitors in
	state(reversehttp.State)
	draining()
	waits(detail string) // for the local server; once
	began(exchange)
	ended(exchange)
	received(*request) // of inbox only
	close(*failure)    // nil after a signal; the last call
}

// linking is a view for people, who are told where to look at what the gateway records.
type linking interface{ console(url string) }

// view chooses the view of a command for the kind of stdout, and gives the log that goes with it. It is printed to out.
func (o *options) view(c command, stdout, out, stderr io.Writer) (view, *slog.Logger) {
	f, ok := stdout.(*os.File)
	if o.JSON || !ok || !term.IsTerminal(int(f.Fd())) || os.Getenv("TERM") == "dumb" {
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
	if f, ok := stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		stderr = t // the same terminal
	}
	return t, o.log(stderr)
}

func (o *options) log(w io.Writer) *slog.Logger {
	level := slog.LevelError
	if o.Verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}
