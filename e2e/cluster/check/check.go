package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Violation is something that must not happen.
type Violation struct {
	// Rule is one of those in README.md: I1 to I8, claims, homes, or history if the history itself
	// makes no sense.
	Rule string
	// What says what happened, with the ids of the events.
	What string
}

func (v Violation) String() string { return v.Rule + ": " + v.What }

// Slack is how much longer than the timeout of their claim a visitor may wait.
const Slack = 6 * time.Second

// Check returns the violations in a history, in the order of the rules.
func Check(events []Event) []Violation {
	h := read(events)
	for _, rule := range []func(*history){answers, begins, handed, losses, waits, accepted, numbers, counts, homes, claims} {
		rule(h)
	}
	return h.found
}

// history is a history by what its events are about.
type history struct {
	found []Violation

	visits   []*visit
	byID     map[string]*visit
	faults   []*fault
	counted  map[string]Event // by node
	became   []Event
	calls    []*call
	begun    []Event // in the order in which they happened
	lastSeen int64
}

// visit is all that is known of a visitor's request.
type visit struct {
	Event
	over     *Event // nil if it is not over
	begins   []Event
	answers  []Event
	answered []Event
}

// fault is a fault of a node, until it is mended.
type fault struct {
	Event
	until int64
}

// call is a call about a claim.
type call struct {
	Event
	over *Event
}

// sort sorts events by time.
func sort(events []Event) {
	slices.SortStableFunc(events, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
}

func (h *history) find(rule, what string, args ...any) {
	h.found = append(h.found, Violation{rule, fmt.Sprintf(what, args...)})
}

// forever is a time after all.
const forever = int64(1<<63 - 1)

// read sorts the events by what they are about.
func read(events []Event) *history {
	events = slices.Clone(events)
	sort(events)
	h := &history{byID: make(map[string]*visit), counted: make(map[string]Event)}
	calls := make(map[string]*call)
	for i := range events {
		e := events[i]
		h.lastSeen = max(h.lastSeen, e.At)
		v := h.byID[e.ID]
		switch e.Kind {
		case Visited, Begin, Answer, Answered:
			if v == nil {
				h.find("history", "%s of request %q, which nobody sent", e.Kind, e.ID)
				continue
			}
		}
		switch e.Kind {
		case Visit:
			if v != nil {
				h.find("history", "two requests %q", e.ID)
				continue
			}
			v = &visit{Event: e}
			h.byID[e.ID] = v
			h.visits = append(h.visits, v)
		case Visited:
			if v.over != nil {
				h.find("I1", "the visitor of %s got %d and then %d", e.ID, v.over.Status, e.Status)
			}
			v.over = &e
		case Begin:
			v.begins = append(v.begins, e)
			h.begun = append(h.begun, e)
		case Answer:
			v.answers = append(v.answers, e)
		case Answered:
			v.answered = append(v.answered, e)
		case Call:
			c := &call{Event: e}
			calls[e.ID] = c
			h.calls = append(h.calls, c)
		case Returned:
			if c := calls[e.ID]; c == nil || c.over != nil {
				h.find("history", "call %q returned, and was not under way", e.ID)
			} else {
				c.over = &e
			}
		case Became:
			h.became = append(h.became, e)
		case Fault:
			h.faults = append(h.faults, &fault{e, forever})
		case Mended:
			for _, f := range h.faults {
				if f.Node == e.Node && f.Do == e.Do && f.until == forever {
					f.until = e.At
				}
			}
		case Counts:
			h.counted[e.Node] = e
		default:
			h.find("history", "an event of the unknown kind %q", e.Kind)
		}
	}
	return h
}

// touched reports whether one of these faults of a node, or of any if there are none, overlaps a
// time. An empty node stands for all.
func (h *history) touched(node string, from, to int64, kinds ...string) bool {
	for _, f := range h.faults {
		if (f.Node == node || node == "") && f.At <= to && from <= f.until && (len(kinds) == 0 && f.Do != Drain || slices.Contains(kinds, f.Do)) {
			return true
		}
	}
	return false
}

// The faults that rules tell apart. Any other word is a fault, too.
const (
	// Drain is a node that ends gently, which nobody may notice.
	Drain = "drain"
	// Kill is a process that ends at once.
	Kill = "kill"
)

// end returns when a visit was over, or the history.
func (v *visit) end(h *history) int64 {
	if v.over != nil {
		return v.over.At
	}
	return h.lastSeen
}

// answers is I1: a visitor gets one answer at most, and one that was given for them.
func answers(h *history) {
	for _, v := range h.visits {
		if v.over == nil || v.over.Content == "" || v.over.Cut || v.over.Code != "" {
			continue
		}
		if !slices.ContainsFunc(v.answers, func(a Event) bool { return a.Content == v.over.Content }) {
			h.find("I1", "the visitor of %s got content %s, which no program gave for them", v.ID, v.over.Content)
		}
	}
}

// mostBegins is how often a request may be begun that may be delivered again.
const mostBegins = 3

// begins is I2: a POST is begun once.
func begins(h *history) {
	for _, v := range h.visits {
		most := mostBegins
		if v.Redeliver != "any" && !idempotent(v.Method) {
			most = 1
		}
		if len(v.begins) > most {
			h.find("I2", "%s %s was begun %d times, at most %d allowed: %s", v.Method, v.ID, len(v.begins), most, exchanges(v.begins))
		}
	}
}

// idempotent reports whether a method is, by RFC 9110, 9.2.2, and the QUERY draft.
func idempotent(method string) bool {
	return slices.Contains([]string{"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "QUERY"}, method)
}

// exchanges lists where requests were begun.
func exchanges(events []Event) string {
	var all []string
	for _, e := range events {
		all = append(all, fmt.Sprintf("exchange %s attempt %d session %s", e.Exchange, e.Attempt, e.Session))
	}
	return strings.Join(all, ", ")
}

// handed is I3: what a problem says about whether the handler had the request is true.
func handed(h *history) {
	for _, v := range h.visits {
		switch {
		case v.over == nil:
		case v.over.Handed == "?0" && len(v.begins) > 0:
			h.find("I3", "the visitor of %s got an answer that no handler had it, but one did: %s", v.ID, exchanges(v.begins))
		case v.over.Handed == "?1" && len(v.begins) == 0:
			h.find("I3", "the visitor of %s got an answer that a handler had it, but none did", v.ID)
		}
	}
}

// losses is I4: visitors of a node that nothing was done to get an answer. It may be cut if something
// was done to another node after it had begun.
func losses(h *history) {
	for _, v := range h.visits {
		o := v.over
		if o == nil || o.Left || h.touched(v.Node, v.At, o.At) || o.Cut && o.Status != 0 && h.touched("", v.At, o.At) {
			continue
		}
		if o.Status == 0 || o.Cut || o.Code != "" {
			h.find("I4", "the visitor of %s at node %s, which was left alone, got %d %s", v.ID, v.Node, o.Status, o.Code)
		}
	}
}

// waits is I5: nobody waits longer than the timeout and some slack.
func waits(h *history) {
	for _, v := range h.visits {
		end := Event{At: v.end(h)}
		if most := time.Duration(v.TimeoutMs)*time.Millisecond + Slack; end.since(v.Event) > most && !h.touched(v.Node, v.At, end.At) {
			h.find("I5", "the visitor of %s waited %v, at most %v allowed", v.ID, end.since(v.Event).Round(time.Millisecond), most)
		}
		if v.over == nil && !h.touched(v.Node, v.At, end.At) {
			h.find("I5", "the visitor of %s got nothing to the end of the history", v.ID)
		}
	}
}

// accepted is I6: an answer that was accepted has reached the visitor, if they and their node live.
func accepted(h *history) {
	for _, v := range h.visits {
		for _, result := range v.answered {
			if result.Do != "accepted" || v.over != nil && (v.over.Left || v.over.Status != 0 && v.over.Code == "") || h.touched(v.Node, v.At, v.end(h), Kill) {
				continue
			}
			h.find("I6", "the answer to %s in exchange %s was accepted, and did not reach the visitor", v.ID, result.Exchange)
		}
	}
}

// numbers is I7: the numbers of first deliveries of a session grow.
func numbers(h *history) {
	type at struct {
		session string
		term    uint64
	}
	last := make(map[at]Event)
	for _, e := range h.begun {
		if e.Attempt > 1 || e.Number == 0 {
			continue
		}
		a := at{e.Session, e.Term}
		if before, ok := last[a]; ok && e.Number <= before.Number {
			h.find("I7", "session %s got number %d (%s) after %d (%s) in term %d", e.Session, e.Number, e.ID, before.Number, before.ID, e.Term)
		}
		last[a] = e
	}
}

// counts is I8: each exchange has one end, as counted by all nodes that were not killed.
func counts(h *history) {
	var begun, ended, open int64
	for _, e := range h.counted {
		begun, open = begun+e.Begun, open+e.Open
		for _, n := range e.Outcomes {
			ended += n
		}
	}
	if len(h.counted) == 0 || slices.ContainsFunc(h.faults, func(f *fault) bool { return f.Do == Kill }) {
		return
	}
	if begun != ended+open {
		h.find("I8", "nodes counted %d exchanges, of which %d ended and %d are open", begun, ended, open)
	}
}

// homes checks that a label has one home in a term, and that terms grow.
func homes(h *history) {
	type at struct {
		label string
		term  uint64
	}
	type of struct{ label, node, run string }
	home, last := make(map[at]Event), make(map[of]uint64)
	for _, e := range h.became {
		a := at{e.Label, e.Term}
		if other, ok := home[a]; ok && (other.Node != e.Node || other.Run != e.Run) {
			h.find("homes", "nodes %s and %s are home of %s in term %d", other.Node, e.Node, e.Label, e.Term)
		}
		home[a] = e
		o := of{e.Label, e.Node, e.Run}
		if e.Term <= last[o] {
			h.find("homes", "node %s is home of %s in term %d after term %d", e.Node, e.Label, e.Term, last[o])
		}
		last[o] = e.Term
	}
}
