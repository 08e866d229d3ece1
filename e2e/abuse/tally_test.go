package abuse

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"reversehttp/schema"
)

// tally counts ends by their names.
type tally struct {
	mu sync.Mutex // guards of
	of map[string]int
}

func (c *tally) add(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil {
		c.of = map[string]int{}
	}
	c.of[name]++
}

// total counts all ends except the named ones.
func (c *tally) total(but ...string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, count := range c.of {
		if !slices.Contains(but, name) {
			n += count
		}
	}
	return n
}

// count counts the ends of a name.
func (c *tally) count(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.of[name]
}

// String lists the ends: 12 × 503 queue_full, 3 × 200.
func (c *tally) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.of) == 0 {
		return "none"
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(c.of)) {
		all = append(all, fmt.Sprintf("%d × %s", c.of[name], name))
	}
	return strings.Join(all, ", ")
}

// endOf names how a request was answered: its status, with the code of a problem.
func endOf(status int, content []byte) string {
	var p schema.Problem
	if json.Unmarshal(content, &p) == nil && p.Code != "" {
		return strconv.Itoa(status) + " " + string(p.Code)
	}
	return strconv.Itoa(status)
}

// endOfResponse reads a response to its end and names it.
func endOfResponse(resp *http.Response, err error) string {
	if err != nil {
		return endOfError(err)
	}
	content, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return fmt.Sprintf("%d and then %s", resp.StatusCode, endOfError(err))
	}
	return endOf(resp.StatusCode, content)
}

// endOfError names an error without the parts that vary.
func endOfError(err error) string {
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return "no answer in time"
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return "no answer: " + err.Error()
}
