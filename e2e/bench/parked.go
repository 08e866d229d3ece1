package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"reversehttp/schema"
)

// memory is what a parked claim costs the gateway: the growth since no claim
// was parked, divided by their number.
type memory struct {
	Claims int `json:"claims"`
	// ResidentKiB is what the kernel counts, as it stands once all are parked.
	ResidentKiB float64 `json:"residentKiB"`
	// HeapKiB is what lives on the heap after a collection, StackKiB the stacks.
	HeapKiB    float64 `json:"heapKiB"`
	StackKiB   float64 `json:"stackKiB"`
	Goroutines float64 `json:"goroutines"`
}

// measureMemory parks claims, in each round at a new gateway.
func measureMemory(ctx context.Context, o *options, server string, log io.Writer) ([]memory, error) {
	seen := make([][]memory, len(o.claims))
	for round := range o.rounds {
		_, _ = fmt.Fprintf(log, "round %d of %d: memory\n", round+1, o.rounds)
		m, err := parkRound(ctx, o, server)
		if err != nil {
			return nil, fmt.Errorf("park claims: %w", err)
		}
		for i := range m {
			seen[i] = append(seen[i], m[i])
		}
	}
	out := make([]memory, len(o.claims))
	for i, rounds := range seen {
		out[i] = memory{
			o.claims[i], medianOf(rounds, func(m memory) float64 { return m.ResidentKiB }),
			medianOf(rounds, func(m memory) float64 { return m.HeapKiB }), medianOf(rounds, func(m memory) float64 { return m.StackKiB }),
			medianOf(rounds, func(m memory) float64 { return m.Goroutines }),
		}
	}
	return out, nil
}

func parkRound(ctx context.Context, o *options, server string) ([]memory, error) {
	gateway, address, err := startGateway(ctx, server, "--stream=10m", "--heartbeat=10m", "--lease=10m")
	if err != nil {
		return nil, err
	}
	defer gateway.stop()
	probe, err := newProbe(address)
	if err != nil {
		return nil, err
	}
	defer probe.close()
	before, err := probe.settled()
	if err != nil {
		return nil, err
	}
	var parked []*visitor
	defer func() {
		for _, v := range parked {
			v.close()
		}
	}()
	var out []memory
	for _, n := range o.claims {
		more, err := park(ctx, address, len(parked), n)
		parked = append(parked, more...)
		if err != nil {
			return nil, err
		}
		at, err := probe.until(n)
		if err != nil {
			return nil, err
		}
		after, err := probe.settled()
		if err != nil {
			return nil, err
		}
		each := func(a, b float64) float64 { return (a - b) / float64(n) }
		out = append(out, memory{
			n, each(at.resident, before.resident) / 1024, each(after.heap, before.heap) / 1024,
			each(after.stack, before.stack) / 1024, each(after.goroutines, before.goroutines),
		})
	}
	return out, nil
}

// park claims until there are to, counting from from, and leaves a poll of each
// open on a connection of its own.
func park(ctx context.Context, address string, from, to int) ([]*visitor, error) {
	parked := make([]*visitor, to-from)
	var next atomic.Int64
	var all sync.WaitGroup
	faults := make([]error, 8)
	for worker := range faults {
		all.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(parked) {
					return
				}
				if parked[i], faults[worker] = parkOne(address, "parked-"+strconv.Itoa(from+i)); faults[worker] != nil {
					next.Store(int64(len(parked)))
					return
				}
			}
		})
	}
	all.Wait()
	opened := parked[:0:0]
	for _, v := range parked {
		if v != nil {
			opened = append(opened, v)
		}
	}
	return opened, errors.Join(append(faults, ctx.Err())...)
}

func parkOne(address, label string) (*visitor, error) {
	v, err := dial(address, 10*time.Minute)
	if err != nil {
		return nil, err
	}
	c, err := v.claim(address, label)
	if err == nil {
		// As the SDKs poll: with a cursor, for a stream.
		fields := "Authorization: Bearer " + c.Token + "\r\nAccept: application/x-ndjson\r\nLast-Event-ID: " + c.Cursor + "\r\n"
		err = v.send(requestOf("GET", pathOf(c.Requests), address, fields, nil))
	}
	if err != nil {
		v.close()
		return nil, err
	}
	// Nothing comes any more; ten thousand buffers of the bench need not wait for it.
	v.reader, v.content = nil, nil
	return v, nil
}

// claim claims a label on this connection.
func (v *visitor) claim(address, label string) (c schema.ClaimAnswer, err error) {
	const typed = "Content-Type: application/json\r\n"
	if err = v.ask(requestOf("POST", "/claims", address, typed, []byte(`{"label":"`+label+`"}`)), 201); err != nil {
		return c, err
	}
	return c, json.Unmarshal(bytes.TrimSpace(v.content), &c)
}

// pathOf gives the path of a URL that the gateway gave.
func pathOf(given string) string {
	u, err := url.Parse(given)
	if err != nil {
		return given
	}
	return u.RequestURI()
}
