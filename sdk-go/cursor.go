package reversehttp

import (
	"strconv"
	"strings"
)

// A poll brings messages in their order. Requests of a tunnel begin side by side, and one that is on its way may not have
// begun when a later one has. So the cursor moves over a message only when all before it have begun too: the number that
// a cursor begins with tells which they are. A cursor of another form moves nothing; what comes again is known by its id.

// More messages than these are not kept in mind while an earlier one is missing: the cursor stays then.
const aheadMost = 16384

// ahead are the numbers of messages that began before an earlier one.
type ahead map[uint64]bool

// numbered splits a cursor into the number of its message and the rest.
func numbered(cursor string) (n uint64, rest string, ok bool) {
	digits, rest, ok := strings.Cut(cursor, "-")
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, rest, ok && err == nil
}

// began moves the cursor over a message of a tunnel, if it may.
func (s *Session) began(at *claimed, cursor string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, of, ok := numbered(cursor)
	here, same, known := numbered(at.cursor)
	if !ok || !known || of != same || len(at.ahead) >= aheadMost {
		at.astray, at.ahead = at.astray || cursor != "", nil
	}
	if at.astray {
		return
	}
	if n <= here {
		return
	}
	if at.ahead == nil {
		at.ahead = ahead{}
	}
	at.ahead[n] = true
	at.cursor = at.ahead.pass(here, of)
}

// pass returns the cursor of the last message of which all before it began.
func (a ahead) pass(here uint64, of string) string {
	for a[here+1] {
		here++
		delete(a, here)
	}
	return strconv.FormatUint(here, 10) + "-" + of
}

// moveTo moves the cursor to that of a poll. The caller holds s.mu.
func (at *claimed) moveTo(cursor string) {
	at.cursor = cursor
	n, of, ok := numbered(cursor)
	if !ok || len(at.ahead) == 0 {
		return
	}
	for m := range at.ahead {
		if m <= n {
			delete(at.ahead, m)
		}
	}
	at.cursor = at.ahead.pass(n, of)
}

// exact returns the cursor, or none if messages after it have begun. The caller holds s.mu.
func (at *claimed) exact() string {
	if at.astray || len(at.ahead) > 0 {
		return ""
	}
	return at.cursor
}
