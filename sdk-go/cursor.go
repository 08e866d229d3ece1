package reversehttp

import "sync"

// cursor names the last message that was begun, with all before it: a poll and a link bring messages in their order.
type cursor struct {
	mu sync.Mutex // guards what follows
	at string
}

// get returns what a poll acknowledges.
func (c *cursor) get() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

// moveTo moves the cursor to that of a message.
func (c *cursor) moveTo(cursor string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = cursor
}
