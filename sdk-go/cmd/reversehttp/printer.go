package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"reversehttp/schema"
	"reversehttp/sdk-go/cmd/reversehttp/recordings"
)

// printer prints recordings, one on each line: as a table for people, otherwise as JSON.
type printer struct {
	out    io.Writer
	claim  *recordings.Claim
	people bool
	width  int
	// colours says that the rows have colours.
	colours bool
}

func (a *asking) printer(c *recordings.Claim) *printer {
	return &printer{out: a.out, claim: c, people: a.people, width: columns(), colours: a.people && wantsColours()}
}

// columns returns the width of the terminal, or 80 if standard output is not one.
func columns() int {
	if w, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil && w > 0 {
		return w
	}
	return 80
}

// begin prints the heading for a number of recordings.
func (p *printer) begin(count int, goesOn bool) {
	switch {
	case !p.people:
	case count > 0 || goesOn:
		fmt.Fprintln(p.out, "TIME      METHOD   STATUS    BYTES  DURATION  ID              TARGET")
	default:
		fmt.Fprintf(p.out, "nothing yet; try: curl %s\n", printable(p.claim.URL()))
	}
}

func (p *printer) cleared() {
	if p.people {
		fmt.Fprintln(p.out, "-- the recordings before were deleted")
		return
	}
	_, _ = io.WriteString(p.out, "{\"cleared\":true}\n")
}

func (p *printer) exchange(x *recordings.Exchange) {
	if !p.people {
		_, _ = p.out.Write(append(inert(x.JSON), '\n'))
		return
	}
	line := row(x, p.width)
	if p.colours {
		line = paintRow(line)
	}
	fmt.Fprintln(p.out, line)
}

// row returns a recording as a line for a terminal.
func row(x *recordings.Exchange, width int) string {
	status, took := "...", ""
	if x.Ended() {
		if status = "-"; x.Status != 0 {
			status = fmt.Sprint(x.Status)
		}
		if x.DoneMs != nil {
			took = (&exchange{duration: time.Duration(*x.DoneMs) * time.Millisecond}).took()
		}
	}
	at := x.ReceivedAt
	if t, err := time.Parse(time.RFC3339, at); err == nil {
		at = t.Local().Format(time.TimeOnly)
	}
	line := fmt.Sprintf("%-8s  %-7s  %6s  %7s  %8s  %-14s  ", cut(plain(at), 8), cut(plain(x.Method), 7), status, short(int64(x.ResponseBytes)), took, plain(x.ID))
	why := x.Code
	if x.ReplayOf != "" {
		why = strings.TrimSpace(why + " replay of " + x.ReplayOf)
	}
	if why == "" {
		return cut(line+plain(bytesOf(x.Target)), max(width-1, len(line)+16))
	}
	why = "  " + plain(why)
	return line + cut(plain(bytesOf(x.Target)), max(width-1-len(line)-len(why), 16)) + why
}

// printRecording writes a recording without control characters that a terminal would obey.
func printRecording(b *strings.Builder, r *recordings.Recording) {
	x := &r.Exchange
	fmt.Fprintf(b, "%s  %s\n", printable(x.ID), printable(x.ReceivedAt))
	for _, line := range facts(x) {
		fmt.Fprintf(b, "    %s\n", printable(line))
	}
	if len(r.Deliveries) > 1 {
		for _, d := range r.Deliveries {
			fmt.Fprintf(b, "    delivery %d, after %d ms, to session %s\n", d.Attempt, d.AtMs, printable(d.Session))
		}
	}
	if n := len(r.Parts); n > 0 {
		fmt.Fprintf(b, "    %d parts%s; --json lists them\n", n, map[bool]string{true: " and more"}[r.PartsCut])
	}
	b.WriteByte('\n')
	asMessage(x, &r.Request, int64(x.RequestBytes)).print(b)
	if r.Response != nil {
		for _, i := range r.Interims {
			fmt.Fprintf(b, "%d, after %d ms\n", i.Status, i.AtMs)
			printFields(b, i.Headers, "")
		}
		fmt.Fprintf(b, "%d\n", r.Response.Status)
		printBody(b, r.Response, int64(x.ResponseBytes))
	}
}

// asMessage returns a message of a recording in the form that inbox prints.
func asMessage(x *recordings.Exchange, m *recordings.Message, bytes int64) *request {
	q := &request{Method: x.Method, Target: x.Target, HTTPVersion: x.HTTPVersion, RemoteAddr: x.RemoteAddr, Bytes: bytes, content: m.Content()}
	q.Headers, q.Trailers = fieldPairs(m.Headers), fieldPairs(m.Trailers)
	return q
}

func printBody(b *strings.Builder, m *recordings.Message, bytes int64) {
	printFields(b, m.Headers, "")
	q := &request{Bytes: bytes, content: m.Content()}
	if len(q.content) > 0 {
		b.WriteByte('\n')
		q.printContent(b)
	}
	printFields(b, m.Trailers, " (trailer)")
	b.WriteByte('\n')
}

func printFields(b *strings.Builder, fields []schema.Field, note string) {
	for _, f := range fields {
		fmt.Fprintf(b, "    %s: %s%s\n", printable(f[0]), printable(bytesOf(f[1])), note)
	}
}

func fieldPairs(fields []schema.Field) [][2]string {
	var all [][2]string
	for _, f := range fields {
		all = append(all, f)
	}
	return all
}

// facts describes the course of an exchange in a few lines.
func facts(x *recordings.Exchange) []string {
	state := string(x.State)
	if x.Ended() {
		state = strings.TrimSpace(strings.ReplaceAll(string(x.Outcome), "_", " ") + " " + x.Code)
	}
	lines := []string{state}
	var times []string
	for _, t := range []struct {
		name string
		at   *int
	}{{"queued", x.QueuedMs}, {"delivered", x.DeliveredMs}, {"first byte", x.FirstByteMs}, {"done", x.DoneMs}} {
		if t.at != nil {
			times = append(times, fmt.Sprintf("%s %d ms", t.name, *t.at))
		}
	}
	if len(times) > 0 {
		lines = append(lines, strings.Join(times, ", "))
	}
	had := "it is unknown whether the handler had the request"
	if x.Handed != nil {
		had = map[bool]string{true: "the handler had the request", false: "the handler never had the request"}[*x.Handed]
	}
	if x.Session != "" {
		lines = append(lines, fmt.Sprintf("session %s, attempt %d: %s", x.Session, x.Attempt, had))
	} else {
		lines = append(lines, "no session had it")
	}
	if x.Trace != nil {
		lines = append(lines, "traceparent "+x.Trace.Traceparent)
	}
	if x.ReplayOf != "" {
		lines = append(lines, "a replay of "+x.ReplayOf)
	}
	if x.RequestCut {
		lines = append(lines, "the content of the request was recorded in part")
	}
	if x.ResponseCut {
		lines = append(lines, "the content of the answer was recorded in part")
	}
	return lines
}
