package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
)

// clock lets the time of a conversation pass. There steps take no time, and what is compared is a millisecond before or after a time is
// over. Here steps take time, so the clock keeps away from those moments.
type clock struct {
	base   time.Time     // when the conversation began, moved by half of what steps took
	passed time.Duration // in the conversation
	settle time.Duration // that a gateway has after each step
}

// apart is how far the clock keeps away from a moment at which a time is over.
const apart = 400 * time.Millisecond

// near is what conversations take for just before or just after.
const near = 10 * time.Millisecond

func (c *clock) wait() { time.Sleep(c.settle) }

func (c *clock) sleep(d time.Duration) {
	late := max(0, time.Since(c.base)-c.due())
	c.base = c.base.Add(late / 2)
	c.passed += d
	time.Sleep(time.Until(c.base.Add(c.due())))
}

// due returns what should have passed of the time of this machine.
func (c *clock) due() time.Duration {
	switch beside := c.passed % time.Second; {
	case beside >= time.Second-near:
		return c.passed - apart
	case beside > 0 && beside <= near:
		return c.passed + apart
	}
	return c.passed
}

// anyTimes returns a conversation in which times that are compared may be any.
func anyTimes(text []byte) []byte {
	var c struct {
		Rest  map[string]json.RawMessage
		Steps []map[string]json.RawMessage `json:"steps"`
	}
	if json.Unmarshal(text, &c) != nil || json.Unmarshal(text, &c.Rest) != nil {
		return text
	}
	for _, step := range c.Steps {
		for _, compared := range []string{"expect", "gets", "results"} {
			var v any
			decoder := json.NewDecoder(bytes.NewReader(step[compared]))
			decoder.UseNumber()
			if step[compared] == nil || decoder.Decode(&v) != nil {
				continue
			}
			if changed, err := json.Marshal(withAnyTimes(v)); err == nil {
				step[compared] = changed
			}
		}
	}
	steps, err := json.Marshal(c.Steps)
	if err != nil {
		return text
	}
	c.Rest["steps"] = steps
	changed, err := json.Marshal(c.Rest)
	if err != nil {
		return text
	}
	return changed
}

func withAnyTimes(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = withAnyTimes(v[i])
		}
	case map[string]any:
		for name, member := range v {
			if _, number := member.(json.Number); number && strings.HasSuffix(name, "Ms") {
				v[name] = "*"
			} else {
				v[name] = withAnyTimes(member)
			}
		}
	}
	return v
}
