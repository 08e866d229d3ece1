package kit

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"reversehttp/schema"
	"reversehttp/schema/vectors"
)

// clock lets the time of a conversation pass. In the cases steps take no time, and some compare a moment just
// before and just after a deadline. Here steps take time, so the clock keeps away from deadlines.
type clock struct {
	base   time.Time     // when the conversation began, moved by half of what steps took
	passed time.Duration // time passed in the conversation
	settle time.Duration // how long a gateway may take after each step
}

// apart is how far the clock keeps away from a deadline.
const apart = 400 * time.Millisecond

// near is how close to a deadline a conversation counts as just before or just after it.
const near = 10 * time.Millisecond

func (c *clock) wait() { time.Sleep(c.settle) }

func (c *clock) sleep(d time.Duration) {
	late := max(0, time.Since(c.base)-c.due())
	c.base = c.base.Add(late / 2)
	c.passed += d
	time.Sleep(time.Until(c.base.Add(c.due())))
}

// due returns how much real time should have passed.
func (c *clock) due() time.Duration {
	switch beside := c.passed % time.Second; {
	case beside >= time.Second-near:
		return c.passed - apart
	case beside > 0 && beside <= near:
		return c.passed + apart
	}
	return c.passed
}

// anyTimes returns a conversation that accepts any value for times.
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

// patientPoll is how long a poll waits, in seconds, for messages that a case expects at once.
const patientPoll = "20"

// patient has the polls of a conversation that expect messages wait for them: a gateway on a busy
// machine may not have read a visitor's request yet. A poll that expects none stays as it is.
func patient(c vectors.Conversation) {
	for _, step := range c.Steps {
		if step.Send == nil || step.Send.Method != http.MethodGet || step.Expect == nil {
			continue
		}
		if messages, err := json.Marshal(step.Expect.JSON); err != nil || !bytes.Contains(messages, []byte(`"type"`)) {
			continue
		}
		for i, f := range step.Send.Headers {
			if strings.EqualFold(f[0], "Prefer") && f[1] == "wait=0" {
				step.Send.Headers[i] = schema.Field{f[0], "wait=" + patientPoll}
			}
		}
	}
}
