// Package check judges histories of a cluster of gateways: whether each visitor got one answer that
// a program gave for them, whether no request was begun twice, and whether each label had one owner
// and one home at a time. README.md has the format of a history and what is checked.
package check

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Event is a line of a history.
type Event struct {
	// At is when it happened, in nanoseconds of the machine's monotonic clock, which all processes
	// share.
	At   int64 `json:"at"`
	Kind Kind  `json:"kind"`

	// ID joins events: it is that of the visitor's request, which the program sees too, or that of
	// a call about a claim.
	ID    string `json:"id,omitempty"`
	Node  string `json:"node,omitempty"`
	Label string `json:"label,omitempty"`
	// Exchange, Session, Number and Attempt are those that a program was given.
	Exchange string `json:"exchange,omitempty"`
	Session  string `json:"session,omitempty"`
	Number   uint64 `json:"number,omitempty"`
	Attempt  int    `json:"attempt,omitempty"`
	Term     uint64 `json:"term,omitempty"`
	Run      string `json:"run,omitempty"`

	Method string `json:"method,omitempty"`
	// Redeliver is the term of the claim, and TimeoutMs how long a visitor waits at most.
	Redeliver string `json:"redeliver,omitempty"`
	TimeoutMs int64  `json:"timeoutMs,omitempty"`
	// Status is that of a response; 0 if none came.
	Status int    `json:"status,omitempty"`
	Code   string `json:"code,omitempty"`
	// Handed is the field of that name in a problem.
	Handed string `json:"handed,omitempty"`
	// Content is a hash of the content of an answer.
	Content string `json:"content,omitempty"`
	// Cut says that the response, or the connection without one, broke. Left says that the visitor
	// left by themselves.
	Cut  bool `json:"cut,omitempty"`
	Left bool `json:"left,omitempty"`

	// Do is what a call about a claim asks for, or what a fault is.
	Do string `json:"do,omitempty"`
	// Token is whose call it is, and New the token that it sets.
	Token string `json:"token,omitempty"`
	New   string `json:"new,omitempty"`

	// Begun, Open and Outcomes are the counts of a node.
	Begun    int64            `json:"begun,omitempty"`
	Open     int64            `json:"open,omitempty"`
	Outcomes map[string]int64 `json:"outcomes,omitempty"`
}

// Kind is what happened.
type Kind string

// The kinds. README.md says which members each has.
const (
	Visit    Kind = "visit"    // a visitor sends a request
	Visited  Kind = "visited"  // it is over for them
	Begin    Kind = "begin"    // a handler begins
	Answer   Kind = "answer"   // a program sends an answer
	Answered Kind = "answered" // the gateway says how it ended
	Call     Kind = "call"     // a program asks something about a claim
	Returned Kind = "returned" // and gets a response, or none
	Became   Kind = "became"   // a node became home of a label
	Fault    Kind = "fault"    // something is done to a node
	Mended   Kind = "mended"   // and is over
	Counts   Kind = "counts"   // what a node counted, after all is over
)

// Recorder writes a history. Its methods may be called concurrently.
type Recorder struct {
	mu sync.Mutex // held while a line is written
	w  *bufio.Writer
}

// NewRecorder returns a recorder that writes to w.
func NewRecorder(w io.Writer) *Recorder { return &Recorder{w: bufio.NewWriter(w)} }

// Record writes an event that happens now.
func (r *Recorder) Record(e Event) {
	e.At = Now()
	line, err := json.Marshal(e)
	if err != nil {
		panic(err) // the type has nothing that cannot be written
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_, _ = r.w.Write(append(line, '\n')) // Flush reports it
}

// Flush writes what is not written.
func (r *Recorder) Flush() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.w.Flush()
}

// Now returns the time of an event.
func Now() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err) // every system of ours has it
	}
	return t.Nano()
}

// Read reads histories, in the order of their events.
func Read(all ...io.Reader) (events []Event, err error) {
	for i, r := range all {
		d := json.NewDecoder(r)
		d.DisallowUnknownFields()
		for n := 1; ; n++ {
			var e Event
			if err := d.Decode(&e); err == io.EOF {
				break
			} else if err != nil {
				return nil, fmt.Errorf("check: event %d of history %d: %w", n, i+1, err)
			}
			events = append(events, e)
		}
	}
	sort(events)
	return events, nil
}

// since returns how long after another an event happened.
func (e Event) since(other Event) time.Duration { return time.Duration(e.At - other.At) }
