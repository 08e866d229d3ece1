package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	reversehttp "reversehttp/sdk-go"
)

// pages prints requests on a terminal, one below another.
type pages struct {
	mu    sync.Mutex // guards the fields below
	out   io.Writer
	begun bool
}

func (p *pages) claimed(url, _, about string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.begun = true
	fmt.Fprintf(p.out, "%s  %s; Ctrl-C ends it\n\n", printable(url), about)
}

// code prints the QR code of the URL.
func (p *pages) code(lines []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, "%s\n\n", strings.Join(lines, "\n"))
}

func (p *pages) state(s reversehttp.State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.begun && s != reversehttp.Closed {
		fmt.Fprintf(p.out, "-- %s\n\n", s)
	}
}

func (p *pages) console(url string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, "-- console: %s\n\n", printable(url))
}

func (p *pages) shared(url string, lease time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, "-- %s\n\n", sharing(url, lease))
}

func (p *pages) draining() {}

func (p *pages) waits(string) {}

func (p *pages) began(exchange) {}

func (p *pages) ended(x exchange) {
	if x.fault == "" {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, "-- %s %s: %s\n\n", printable(x.method), printable(x.target), printable(x.fault))
}

func (p *pages) received(q *request) {
	var b strings.Builder
	q.print(&b)
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = io.WriteString(p.out, b.String())
}

func (p *pages) close(*failure) {}
