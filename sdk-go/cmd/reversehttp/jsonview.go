package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	reversehttp "reversehttp/sdk-go"
)

// jsonView prints each event as a line of JSON. README.md lists the members.
type jsonView struct {
	name  string     // of the command, if up runs it; otherwise empty
	mu    sync.Mutex // guards the fields below
	out   io.Writer
	begun bool // the claimed event was printed
}

func newJSONView(out io.Writer) *jsonView { return &jsonView{out: out} }

type event struct {
	Event  string `json:"event"`
	TimeMs int64  `json:"timeMs"`
}

func happened(name string, at time.Time) event { return event{name, at.UnixMilli()} }

func (v *jsonView) claimed(url, label, about string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.begun = true
	v.print(struct {
		event
		URL    string `json:"url"`
		Label  string `json:"label"`
		Serves string `json:"serves"`
	}{happened("claimed", time.Now()), url, label, about})
}

func (v *jsonView) shared(url string, lease time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.print(struct {
		event
		URL     string `json:"url"`
		LeaseMs int64  `json:"leaseMs"`
	}{happened("shared", time.Now()), url, lease.Milliseconds()})
}

func (v *jsonView) state(s reversehttp.State) {
	v.mu.Lock()
	defer v.mu.Unlock()
	// The claimed event implies the first online, and the ended event implies closed.
	if v.begun && s != reversehttp.Closed {
		v.printState(s.String(), "")
	}
}

func (v *jsonView) draining() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.printState("draining", "")
}

// printState prints a state event. The caller holds v.mu.
func (v *jsonView) printState(s, detail string) {
	v.print(struct {
		event
		State  string `json:"state"`
		Detail string `json:"detail,omitempty"`
	}{happened("state", time.Now()), s, detail})
}

func (v *jsonView) waits(detail string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.printState("waiting", detail)
}

func (v *jsonView) began(exchange) {}

func (v *jsonView) ended(x exchange) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.print(struct {
		event
		ID         string `json:"id"`
		Method     string `json:"method"`
		Target     string `json:"target"`
		RemoteAddr string `json:"remoteAddr"`
		TraceID    string `json:"traceId,omitempty"`
		Status     int    `json:"status,omitempty"`
		Bytes      int64  `json:"bytes"`
		DurationMs int64  `json:"durationMs"`
		Fault      string `json:"error,omitempty"`
	}{happened("exchange", x.began), x.id, x.method, latin1(x.target), x.visitor, x.trace, x.status, x.bytes, x.duration.Milliseconds(), x.fault})
}

func (v *jsonView) received(q *request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.print(struct {
		event
		*request
	}{happened("request", time.Now()), q})
}

func (v *jsonView) close(f *failure) {
	v.mu.Lock()
	defer v.mu.Unlock()
	e := struct {
		event
		ExitCode int    `json:"exitCode"`
		Detail   string `json:"detail,omitempty"`
	}{event: happened("ended", time.Now())}
	if f != nil {
		e.ExitCode, e.Detail = f.code, f.Error()
	}
	v.print(e)
}

// print prints an event. The caller holds v.mu.
func (v *jsonView) print(e any) {
	line, err := json.Marshal(e)
	if err != nil {
		panic(err) // events have only strings and numbers
	}
	if v.name != "" { // JSON needs no escape for any of its characters
		line = append([]byte(`{"name":"`+v.name+`",`), line[1:]...)
	}
	_, _ = v.out.Write(append(inert(line), '\n'))
}

// inert escapes unprintable characters in JSON, since the line may be shown on a terminal.
func inert(line []byte) []byte {
	out := make([]byte, 0, len(line)+1)
	for len(line) > 0 {
		r, n := utf8.DecodeRune(line)
		switch {
		case strconv.IsPrint(r):
			out = append(out, line[:n]...)
		case r > 0xffff:
			r -= 0x10000
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		line = line[n:]
	}
	return out
}
