package main

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	reversehttp "reversehttp/sdk-go"
)

const (
	// The most remembered exchanges, which is more than a screen shows.
	rowsKept = 200
	// The most lines of the log that wait to be printed.
	linesKept = 100
	// The least time between two drawings.
	drawEvery = 100 * time.Millisecond
	// A terminal with fewer columns shows neither sizes nor durations: targets need the place.
	narrow = 60
)

// table shows the newest exchanges on a terminal, below the public URL and the state. One goroutine
// redraws it in place, and close waits for that goroutine. Reporting an exchange does not wait for
// the terminal.
type table struct {
	out     io.Writer
	size    func() (width, height int)
	colours bool // set before the first drawing

	dirty chan struct{} // holds one
	quit  chan struct{}
	done  chan struct{}

	mu      sync.Mutex // guards the fields below
	url     string
	about   string
	link    string   // the URL of the console
	qr      []string // the lines of the QR code of the URL
	coded   bool     // the QR code must be printed
	told    bool     // the URL is too long for the table and was printed above it
	stands  string
	rows    []exchange // the oldest first
	total   int
	running int
	lines   []string // of the log, not yet printed
	partial string   // a line of the log without its end

	drawn         int // lines of the last drawing; of the drawing goroutine alone, as what follows
	width, height int
}

func newTable(out io.Writer, size func() (int, int)) *table {
	t := &table{out: out, size: size, stands: "claiming", dirty: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	go t.drawAll()
	return t
}

func (t *table) claimed(url, _, about string) {
	t.change(func() { t.url, t.about = url, about })
}

func (t *table) state(s reversehttp.State) {
	t.change(func() { t.stands = s.String() })
}

func (t *table) draining() {
	t.change(func() { t.stands = "draining; Ctrl-C again ends it at once" })
}

// code prints the QR code of the URL above the table.
func (t *table) code(lines []string) { t.change(func() { t.qr, t.coded = lines, true }) }

// waits prints detail above the table, like the log.
func (t *table) waits(detail string) { _, _ = io.WriteString(t, detail+"\n") }

// console prints the URL above the table, where it is not cut.
func (t *table) console(url string) {
	t.change(func() { t.link = "console: " + url })
	_, _ = io.WriteString(t, "console: "+url+"\n")
}

// shared prints the link above the table, like console.
func (t *table) shared(url string, lease time.Duration) {
	_, _ = io.WriteString(t, sharing(url, lease)+"\n")
}

// sharing returns the line about a link that lets visitors in.
func sharing(url string, lease time.Duration) string {
	return fmt.Sprintf("share, for %s: %s", lease, printable(url))
}

func (t *table) began(x exchange) {
	t.change(func() {
		t.total++
		t.running++
		if len(t.rows) == rowsKept {
			t.rows = append(t.rows[:0], t.rows[1:]...)
		}
		t.rows = append(t.rows, x)
	})
}

func (t *table) ended(x exchange) {
	t.change(func() {
		t.running--
		for i := len(t.rows) - 1; i >= 0; i-- {
			if t.rows[i].id == x.id {
				t.rows[i] = x
				return
			}
		}
	})
}

func (t *table) received(*request) {}

// close draws the table a last time and leaves it on the screen.
func (t *table) close(*failure) {
	close(t.quit)
	<-t.done
}

// Write prints the log above the table.
func (t *table) Write(p []byte) (int, error) {
	t.change(func() {
		all := strings.Split(t.partial+string(p), "\n")
		t.lines = append(t.lines, all[:len(all)-1]...)
		t.partial = all[len(all)-1]
		if n := len(t.lines) - linesKept; n > 0 {
			t.lines = append(t.lines[:0], t.lines[n:]...)
		}
	})
	return len(p), nil
}

func (t *table) change(by func()) {
	t.mu.Lock()
	by()
	t.mu.Unlock()
	select {
	case t.dirty <- struct{}{}:
	default:
	}
}

func (t *table) drawAll() {
	defer close(t.done)
	for {
		select {
		case <-t.dirty:
			t.draw()
		case <-t.quit:
			t.draw()
			return
		}
		select {
		case <-time.After(drawEvery):
		case <-t.quit:
			t.draw()
			return
		}
	}
}

// draw draws the table over the last drawing.
func (t *table) draw() {
	width, height := t.size()
	var b bytes.Buffer
	if t.drawn > 0 && (width != t.width || height != t.height) {
		b.WriteString("\x1b[2J\x1b[H") // the terminal has rewrapped the lines
		t.drawn = 0
		t.again()
	}
	if t.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", t.drawn)
	}
	t.width, t.height = width, height
	t.mu.Lock()
	if t.url != "" && len(plain(t.url)) >= width && !t.told {
		t.told = true
		fmt.Fprintf(&b, "\r%s\x1b[K\n", plain(t.url)) // the terminal breaks it, and copies it whole
	}
	if t.coded {
		t.coded = false
		for _, line := range fitting(t.qr, width) {
			fmt.Fprintf(&b, "\r%s\x1b[K\n", line)
		}
	}
	for _, line := range t.lines {
		fmt.Fprintf(&b, "\r%s\x1b[K\n", printable(line))
	}
	t.lines = nil
	lines := t.text(width, height)
	t.mu.Unlock()
	for i, line := range lines {
		line = cut(line, width-1)
		if t.colours {
			line = paintLine(i, line)
		}
		fmt.Fprintf(&b, "\r%s\x1b[K\n", line)
	}
	b.WriteString("\x1b[J")
	t.drawn = len(lines)
	_, _ = t.out.Write(b.Bytes())
}

// again prints the link to the console, the QR code, and a URL that is too long for the table again after the screen
// was cleared.
func (t *table) again() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.told, t.coded = false, t.qr != nil
	if t.link != "" && !slices.Contains(t.lines, t.link) {
		t.lines = append(t.lines, t.link)
	}
}

// text returns the lines of the table. The caller holds t.mu.
func (t *table) text(width, height int) []string {
	if t.url == "" {
		return nil
	}
	head := plain(t.url) + "  " + t.stands
	if t.told {
		head = t.stands
	}
	lines := []string{
		head,
		fmt.Sprintf("%s  exchanges: %d, running: %d; Ctrl-C ends it", plain(t.about), t.total, t.running),
	}
	space, heading := "", "TIME      METHOD   STATUS    BYTES  DURATION  TARGET"
	if width < narrow {
		lines[1] = plain(t.about)
		space, heading = fmt.Sprintf("exchanges: %d, running: %d; Ctrl-C ends", t.total, t.running), "TIME      METHOD   STATUS  TARGET"
	}
	if len(t.rows) == 0 && space == "" {
		return lines
	}
	if len(t.rows) == 0 {
		return append(lines, space)
	}
	lines = append(lines, space, heading)
	shown := t.rows[max(0, len(t.rows)-max(1, height-len(lines)-1)):]
	for i := len(shown) - 1; i >= 0; i-- {
		lines = append(lines, shown[i].row(width))
	}
	return lines
}

// row returns an exchange as a line of the table.
func (x *exchange) row(width int) string {
	status, size, took := "...", "", ""
	switch {
	case x.status != 0:
		status, size, took = fmt.Sprint(x.status), short(x.bytes), x.took()
	case x.fault != "": // the visitor left first
		status, took = "-", x.took()
	}
	row := fmt.Sprintf("%s  %-7s  %6s  ", x.began.Format(time.TimeOnly), cut(plain(x.method), 7), status)
	if width >= narrow {
		row += fmt.Sprintf("%7s  %8s  ", size, took)
	}
	if x.fault == "" {
		return row + plain(x.target)
	}
	fault := "  " + plain(x.fault)
	return row + cut(plain(x.target), max(width-1-len(row)-len(fault), 16)) + fault
}

func (x *exchange) took() string {
	switch d := x.duration; {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	default:
		return d.Round(time.Second).String()
	}
}

// short formats a number of bytes in a few characters.
func short(n int64) string {
	const units = "KMGTPE"
	if n < 10_000 {
		return fmt.Sprint(n)
	}
	f, unit := float64(n)/1024, 0
	for f >= 1000 && unit < len(units)-1 {
		f, unit = f/1024, unit+1
	}
	return fmt.Sprintf("%.1f%c", f, units[unit])
}
