package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// events returns a work that measures how long an event of a streamed answer takes to reach the visitor.
func events(o *options) work {
	count := max(int(o.each/eventEvery), 10)
	return work{name: "server-sent event", measure: func(_ context.Context, w way) (f figures, err error) {
		v, err := dial(w.address, 2*time.Minute)
		if err != nil {
			return f, err
		}
		defer v.close()
		took, err := v.listen(requestOf("GET", "/events?count="+strconv.Itoa(count), w.host, "", content{}))
		if err != nil {
			return f, err
		}
		if len(took) != count {
			return f, fmt.Errorf("%d events came, want %d", len(took), count)
		}
		took = took[count/10:] // the first ones only warm up
		slices.Sort(took)
		return figures{P50Ms: percentile(took, 50), P99Ms: percentile(took, 99)}, nil
	}}
}

// listen sends a request and returns the age of each event of the response on its arrival.
func (v *visitor) listen(r request) (ages []time.Duration, err error) {
	if err := v.send(r); err != nil {
		return nil, err
	}
	status, body, err := v.receive()
	if err != nil {
		return nil, err
	}
	if status != 200 {
		return nil, fmt.Errorf("status %d, want 200", status)
	}
	lines := bufio.NewScanner(body)
	for lines.Scan() {
		text, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		if !ok {
			continue
		}
		written, err := strconv.ParseInt(string(text), 10, 64)
		if err != nil {
			return nil, err
		}
		ages = append(ages, time.Duration(time.Now().UnixNano()-written))
	}
	return ages, lines.Err()
}
