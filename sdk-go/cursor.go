package reversehttp

import (
	"strconv"
	"strings"
	"sync"
)

// A poll brings messages in their order. Requests of a tunnel begin side by side, and one that is on its way may not have
// begun when a later one has. So the cursor moves over a message only when all before it have begun too: the number that
// a cursor begins with tells which they are. A cursor of another form moves nothing; what comes again is known by its id.

// More messages than these are not kept in mind while an earlier one is missing: the cursor stays then.
const aheadMost = 16384

// ahead are the numbers of messages that began before an earlier one.
type ahead map[uint64]bool

// cursor is what was begun, it and all before it.
type cursor struct {
	mu     sync.Mutex // guards what follows
	at     string
	ahead  ahead
	astray bool // something was begun that it does not show
}

// get returns what a poll acknowledges.
func (c *cursor) get() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

// numbered splits a cursor into the number of its message and the rest.
func numbered(cursor string) (n uint64, rest string, ok bool) {
	digits, rest, ok := strings.Cut(cursor, "-")
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, rest, ok && err == nil
}

// began moves the cursor over a message of a tunnel, if it may.
func (c *cursor) began(cursor string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, of, ok := numbered(cursor)
	here, same, known := numbered(c.at)
	if !ok || !known || of != same || len(c.ahead) >= aheadMost {
		c.astray, c.ahead = c.astray || cursor != "", nil
	}
	if c.astray {
		return
	}
	if n <= here {
		return
	}
	if c.ahead == nil {
		c.ahead = ahead{}
	}
	c.ahead[n] = true
	c.at = c.ahead.pass(here, of)
}

// pass returns the cursor of the last message of which all before it began.
func (a ahead) pass(here uint64, of string) string {
	for a[here+1] {
		here++
		delete(a, here)
	}
	return strconv.FormatUint(here, 10) + "-" + of
}

// moveTo moves the cursor to that of a poll.
func (c *cursor) moveTo(cursor string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = cursor
	n, of, ok := numbered(cursor)
	if !ok || len(c.ahead) == 0 {
		return
	}
	for m := range c.ahead {
		if m <= n {
			delete(c.ahead, m)
		}
	}
	c.at = c.ahead.pass(n, of)
}

// exact returns the cursor, or none if messages after it have begun.
func (c *cursor) exact() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.astray || len(c.ahead) > 0 {
		return ""
	}
	return c.at
}
