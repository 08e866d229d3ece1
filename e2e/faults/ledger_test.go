package faults

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"reversehttp/schema"
)

// handledMost is how often a request may be handled: once, and twice more if a session was lost with it and
// its method is idempotent.
const handledMost = 3

// ledger notes what visitors sent and got, and what programs printed.
type ledger struct {
	mu     sync.Mutex // guards below
	begun  map[string][]begun
	read   map[string][]string // hashes, by key
	faults []string
	sent   map[string]*exchange
	got    map[string]outcome
	kills  []time.Time // of programs
}

// begun is one run of a handler.
type begun struct {
	run     string
	attempt int
}

func newLedger() *ledger {
	return &ledger{begun: map[string][]begun{}, read: map[string][]string{}, sent: map[string]*exchange{}, got: map[string]outcome{}}
}

// hear notes a line of a program.
func (l *ledger) hear(program string, words []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case len(words) == 5 && words[0] == "begin":
		attempt, _ := strconv.Atoi(words[3])
		l.begun[words[1]] = append(l.begun[words[1]], begun{words[4], attempt})
	case len(words) == 4 && words[0] == "read":
		l.read[words[1]] = append(l.read[words[1]], words[2])
	case len(words) == 2 && words[0] == "state":
	default:
		l.faults = append(l.faults, fmt.Sprintf("program %s says %q", program, words))
	}
}

// note notes how a visit ended.
func (l *ledger) note(x *exchange, o outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent[x.key], l.got[x.key] = x, o
}

// killed notes that a program is about to be killed.
func (l *ledger) killed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kills = append(l.kills, time.Now())
}

// mute reports whether a program may have been killed after it reported the request but before its handler
// started. The caller holds l.mu.
func (l *ledger) mute(o outcome) bool {
	return o.code == schema.CodeSessionLost && slices.ContainsFunc(l.kills, func(at time.Time) bool {
		return at.After(o.since) && at.Before(o.since.Add(o.took))
	})
}

// runs returns the runs of handlers for a key.
func (l *ledger) runs(key string) []begun {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.begun[key])
}

// figures are the results of a run.
type figures struct {
	ends    map[end]int
	codes   map[schema.Code]int
	handed  map[string]int
	handled int // keys that a handler began
	runs    int // of handlers
	posts   int
	again   int // keys that were handled more than once
	mute    int // keys that a program had when it was killed, before its handler began
	longest time.Duration
}

func (f *figures) String() string {
	return fmt.Sprintf("visits %v; codes %v; handed %v; %d of %d POSTs; handled %d keys, %d of them again, in %d runs, and %d killed before their handlers began; longest visit %v",
		f.ends, f.codes, f.handed, f.posts, f.total(), f.handled, f.again, f.runs, f.mute, f.longest.Round(time.Millisecond))
}

func (f *figures) total() (n int) {
	for _, some := range f.ends {
		n += some
	}
	return n
}

// check compares what visitors got with what programs printed, and returns the figures. codes are the errors
// that the gateway may answer with.
func (l *ledger) check(t *testing.T, codes ...schema.Code) *figures {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	f := &figures{ends: map[end]int{}, codes: map[schema.Code]int{}, handed: map[string]int{}}
	faults := slices.Clone(l.faults)
	fault := func(key, format string, a ...any) {
		x, o := l.sent[key], l.got[key]
		text := fmt.Sprintf(format, a...)
		if x != nil {
			text += fmt.Sprintf("; %s of %d bytes (chunked %v), answer %s of %d; visitor: %+v; handlers: %+v", x.method, x.size, x.chunked, x.want.shape, x.want.size, o, l.begun[key])
		}
		faults = append(faults, "exchange "+key+": "+text)
	}
	for key, x := range l.sent {
		o, runs := l.got[key], l.begun[key]
		f.ends[o.end]++
		f.longest = max(f.longest, o.took)
		if x.method == http.MethodPost {
			f.posts++
		}
		if len(runs) > 0 {
			f.handled++
			f.runs += len(runs)
		}
		if len(runs) > 1 {
			f.again++
		}
		switch o.end {
		case wrong, unanswered:
			fault(key, "%s: %s", o.end, o.why)
		case refused:
			f.codes[o.code]++
			f.handed[cmp.Or(o.handed, "unknown")]++
			// A request that a proxy broke off looks malformed.
			if !slices.Contains(codes, o.code) && (o.code != schema.CodeBadRequest || !o.hurt) {
				fault(key, "code %s", o.code)
			}
			if o.handed == "?0" && len(runs) > 0 {
				fault(key, "handed is ?0, and a handler had it")
			}
			switch {
			case o.handed != "?1" || len(runs) > 0:
			case l.mute(o):
				f.mute++
			default:
				fault(key, "handed is ?1, and no handler had it")
			}
		case answered, cutShort:
			if !slices.ContainsFunc(runs, func(b begun) bool { return b.run == o.run }) {
				fault(key, "answered by %s, which did not handle it", o.run)
			}
		}
		switch {
		case x.method == http.MethodPost && len(runs) > 1:
			fault(key, "a POST handled %d times", len(runs))
		case len(runs) > handledMost:
			fault(key, "handled %d times", len(runs))
		}
		by := map[string]bool{}
		for _, b := range runs {
			program, _, _ := strings.Cut(b.run, "-")
			if by[program] {
				fault(key, "begun twice by %s", program)
			}
			by[program] = true
		}
		for _, sum := range l.read[key] {
			if sum != x.sum {
				fault(key, "a handler read content that nobody sent")
			}
		}
	}
	for key := range l.begun {
		if l.sent[key] == nil {
			fault(key, "handled, and nobody sent it")
		}
	}
	if len(faults) > 0 {
		slices.Sort(faults)
		t.Errorf("%d faults, among them\n%s", len(faults), strings.Join(faults[:min(len(faults), 20)], "\n"))
	}
	return f
}
