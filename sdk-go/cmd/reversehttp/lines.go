package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	reversehttp "reversehttp/sdk-go"
)

// lines prints the events of one of several commands on a terminal, a line each. Each line begins with the name of the
// command and is never cut.
type lines struct {
	out     io.Writer
	name    string
	colours bool
}

func (l *lines) say(format string, args ...any) {
	name := l.name
	if l.colours {
		name = paint(name, bold)
	}
	_, _ = io.WriteString(l.out, name+"  "+fmt.Sprintf(format, args...)+"\n")
}

func (l *lines) claimed(url, _, about string) { l.say("%s  %s", printable(url), printable(about)) }

func (l *lines) code(lines []string) {
	_, _ = io.WriteString(l.out, strings.Join(lines, "\n")+"\n")
}

func (l *lines) console(url string) { l.say("console: %s", printable(url)) }

func (l *lines) domain(name string, d reversehttp.Domain) { l.say("%s", domainLine(name, d)) }

func (l *lines) shared(url string, lease time.Duration) { l.say("%s", sharing(url, lease)) }

func (l *lines) state(s reversehttp.State) {
	if s != reversehttp.Closed && s != reversehttp.Online {
		l.say("%s", s)
	}
}

func (l *lines) draining() { l.say("draining; Ctrl-C again ends it at once") }

func (l *lines) waits(detail string) { l.say("%s", printable(detail)) }

func (l *lines) began(exchange) {}

func (l *lines) ended(x exchange) {
	status := "-"
	if x.status != 0 {
		status = fmt.Sprint(x.status)
	}
	if l.colours {
		status = paint(status, colourOf(status))
	}
	fault := ""
	if x.fault != "" {
		fault = "  " + printable(x.fault)
	}
	l.say("%s  %s %s  %s  %s%s", x.began.Format(time.TimeOnly), status, printable(x.method), x.took(), printable(latin1(x.target)), fault)
}

func (l *lines) received(*request) {}

func (l *lines) close(f *failure) {
	if f != nil {
		l.say("%s", printable(f.Error()))
	}
}
