package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// echoSocket echoes each message of a WebSocket.
func echoSocket(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = c.CloseNow() }()
	for {
		kind, message, err := c.Read(r.Context())
		if err != nil {
			return
		}
		if err := c.Write(r.Context(), kind, message); err != nil {
			return
		}
	}
}

// socketMessage is what visitors send on their WebSockets.
var socketMessage = small[:64]

func socketsWork(count, messages int) string {
	return fmt.Sprintf("WebSockets: %d × %d messages", count, messages)
}

// sockets returns a work with a number of WebSockets, each of which echoes a number of messages, one after the other.
func sockets(o *options, count, messages int) work {
	name := socketsWork(count, messages)
	if o.most > 0 {
		messages = min(messages, 5)
	}
	return work{name: name, unit: "messages/s", measure: func(_ context.Context, w way) (f figures, err error) {
		open := make([]*visitor, count)
		for i := range open {
			if open[i], err = dial(w.address, 2*time.Minute); err != nil {
				return f, err
			}
			defer open[i].close()
		}
		if err := each(open, func(_ int, v *visitor) error { return v.upgrade("/socket", w.host, "") }); err != nil {
			return f, err
		}
		took := make([][]time.Duration, count)
		begun := time.Now()
		if err := each(open, func(i int, v *visitor) (err error) {
			took[i], err = v.echoes(messages)
			return err
		}); err != nil {
			return f, err
		}
		elapsed := time.Since(begun)
		all := slices.Concat(took...)
		slices.Sort(all)
		return figures{Rate: float64(len(all)) / elapsed.Seconds(), P50Ms: percentile(all, 50), P99Ms: percentile(all, 99)}, nil
	}}
}

// echoes sends n messages, each after the echo of the previous one, and returns how long each took.
func (v *visitor) echoes(n int) (took []time.Duration, err error) {
	frame, buffer := frameOf(socketMessage), make([]byte, shortFrame)
	for range n {
		begun := time.Now()
		if _, err := v.conn.Write(frame); err != nil {
			return nil, err
		}
		back, err := v.message(buffer)
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(back, socketMessage) {
			return nil, fmt.Errorf("the echo is %q, want %q", back, socketMessage)
		}
		took = append(took, time.Since(begun))
	}
	return took, nil
}

// each calls a function for all visitors at the same time, and returns an error of one of the calls.
func each(all []*visitor, do func(int, *visitor) error) error {
	faults := make([]error, len(all))
	var done sync.WaitGroup
	for i, v := range all {
		done.Go(func() { faults[i] = do(i, v) })
	}
	done.Wait()
	for _, err := range faults {
		if err != nil {
			return err
		}
	}
	return nil
}
