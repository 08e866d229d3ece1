// Package audit writes down who did what to claims, and what the operator did: a JSON object a line, in a file that only
// grows. It holds no tokens, no keys and no content.
package audit

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// The events.
const (
	ClaimMade     = "claim_made"
	ClaimChanged  = "claim_changed"  // by its owner: Members
	PolicySet     = "policy_set"     // by its owner: Policy
	ClaimReleased = "claim_released" // by its owner
	ClaimEnded    = "claim_ended"    // otherwise: Reason
	AbuseReported = "abuse_reported" // by somebody: URL, Text, Contact
	AdminCall     = "admin_call"     // Method, Path, Status
	TakenDown     = "taken_down"     // by the operator: Reason
	LabelRestored = "label_restored" // by the operator
	AdminRefused  = "admin_refused"  // a wrong key
	KeysChanged   = "keys_changed"   // Account has other keys
	Lost          = "lost"           // Count entries that could not be written
)

// Entry is a line. Empty members are left out.
type Entry struct {
	Time    string `json:"time"` // RFC 3339, in UTC, to the millisecond; set by Note
	Event   string `json:"event"`
	Label   string `json:"label,omitempty"`
	Address string `json:"address,omitempty"`
	Account string `json:"account,omitempty"`

	// Members are the names of what was set.
	Members []string `json:"members,omitempty"`
	// Policy has, by the kind of each policy that a claim has, the names in it.
	Policy map[string][]string `json:"policy,omitempty"`
	Reason string              `json:"reason,omitempty"`
	Method string              `json:"method,omitempty"`
	Path   string              `json:"path,omitempty"`
	Status int                 `json:"status,omitempty"`
	// URL, Text and Contact are what a report says.
	URL     string `json:"url,omitempty"`
	Text    string `json:"text,omitempty"`
	Contact string `json:"contact,omitempty"`
	Count   uint64 `json:"count,omitempty"`
}

// Address returns an address as entries have it.
func Address(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.Unmap().WithZone("").String()
}

// mostWaiting is how many entries wait for the disk at most. Nobody else waits for it: what finds no room is lost, and counted.
const mostWaiting = 4096

// Log is a file. A nil Log writes nothing down.
type Log struct {
	path string
	log  *slog.Logger
	open func(path string) (io.WriteCloser, error)

	entries chan Entry
	reopen  chan struct{}
	done    chan struct{} // closed once everything is written
	mu      sync.RWMutex  // held while entries is sent to, and while it is closed
	closed  bool

	written, lost atomic.Uint64

	// What follows is of the goroutine that writes.
	file    io.WriteCloser
	cut     bool   // the last line is not whole
	failing bool   // and said so
	missed  uint64 // of lost, those that the file says
}

// Open opens the file of a path, which is made where it is missing, and is for its user alone (0600).
func Open(path string, log *slog.Logger) (*Log, error) { return openWith(path, log, openFile) }

func openWith(path string, log *slog.Logger, open func(string) (io.WriteCloser, error)) (*Log, error) {
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	l := &Log{path: path, log: log, open: open, file: f, entries: make(chan Entry, mostWaiting), reopen: make(chan struct{}, 1), done: make(chan struct{})}
	go l.run()
	return l, nil
}

// openFile opens a file to append to.
func openFile(path string) (io.WriteCloser, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		if err := f.Chmod(0o600); err != nil {
			_ = f.Close()
			return nil, fmt.Errorf("%s: others may read it: %w", path, err)
		}
	}
	return f, nil
}

// Note writes an entry down, soon. It never waits.
func (l *Log) Note(e Entry) {
	if l == nil {
		return
	}
	e.Time = time.Now().UTC().Format("2006-01-02T15:04:05.000Z07:00")
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		return
	}
	select {
	case l.entries <- e:
	default:
		l.lost.Add(1)
	}
}

// Reopen has the file opened anew: the one that has its path may be another, since the old one was moved away.
func (l *Log) Reopen() {
	if l == nil {
		return
	}
	select {
	case l.reopen <- struct{}{}:
	default:
	}
}

// Written returns how many entries were written.
func (l *Log) Written() uint64 {
	if l == nil {
		return 0
	}
	return l.written.Load()
}

// Lost returns how many entries were not.
func (l *Log) Lost() uint64 {
	if l == nil {
		return 0
	}
	return l.lost.Load()
}

// Close writes what waits, and closes the file.
func (l *Log) Close() {
	if l == nil {
		return
	}
	l.mu.Lock()
	was := l.closed
	if l.closed = true; !was {
		close(l.entries)
	}
	l.mu.Unlock()
	<-l.done
}

// run writes until the log is closed.
func (l *Log) run() {
	defer close(l.done)
	defer func() { _ = l.file.Close() }()
	for {
		select {
		case <-l.reopen:
			l.again()
		case e, ok := <-l.entries:
			if !ok {
				return
			}
			l.write(e)
		}
	}
}

// again opens the file anew, or stays with the one that there is.
func (l *Log) again() {
	f, err := l.open(l.path)
	if err != nil {
		l.log.Warn("the audit log was not opened anew, and the old file is written on", "file", l.path, "error", err)
		return
	}
	_ = l.file.Close()
	l.file, l.cut = f, false
}

// write writes an entry, and before it how many were lost.
func (l *Log) write(e Entry) {
	if lost := l.lost.Load(); lost > l.missed {
		if l.put(Entry{Time: e.Time, Event: Lost, Count: lost - l.missed}) != nil {
			l.lost.Add(1)
			return
		}
		l.missed = lost
	}
	err := l.put(e)
	if err != nil {
		l.lost.Add(1)
	} else {
		l.written.Add(1)
	}
	switch {
	case err != nil && !l.failing:
		l.log.Error("the audit log cannot be written: entries are lost, and traffic goes on", "file", l.path, "error", err, "do", "make room on the disk; reversehttp_audit_lost_total counts them")
	case err == nil && l.failing:
		l.log.Warn("the audit log is written again", "file", l.path, "lost", l.missed)
	}
	l.failing = err != nil
}

// put writes a line.
func (l *Log) put(e Entry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	line = append(line, '\n')
	if l.cut { // the disk was full in the middle of a line
		line = append([]byte{'\n'}, line...)
	}
	n, err := l.file.Write(line)
	if n > 0 {
		l.cut = n < len(line)
	}
	return err
}
