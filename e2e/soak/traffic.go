package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	reversehttp "reversehttp/sdk-go"
)

// traffic makes all kinds of visits, and counts their results.
type traffic struct {
	world    *world
	visitors int
	answered atomic.Int64

	mu       sync.Mutex // guards the fields below
	done     map[string]int
	refused  int // by the gateway, while the fragile program was down
	restarts int
	faults   []error
}

func newTraffic(w *world, visitors int) *traffic {
	return &traffic{world: w, visitors: visitors, done: map[string]int{}}
}

// run sends requests until ctx ends, and waits for the last answers.
func (t *traffic) run(ctx context.Context) {
	var all sync.WaitGroup
	for range t.visitors {
		all.Go(func() {
			for ctx.Err() == nil {
				t.visit(ctx)
				pause(ctx, time.Duration(rand.IntN(60))*time.Millisecond)
			}
		})
	}
	for range t.visitors / 2 {
		all.Go(func() {
			for ctx.Err() == nil {
				t.leave(ctx)
			}
		})
	}
	all.Go(func() { t.restart(ctx) })
	all.Go(func() { t.comeAndGo(ctx) })
	all.Wait()
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

var content = bytes.Repeat([]byte{0xfe}, large)

// kinds are the kinds of visits: a request, and whether an answer is right. Without right the visitor leaves.
var kinds = []struct {
	name, method, target string
	content              []byte
	right                func([]byte) bool
}{
	{"GET", "GET", "/small", nil, func(b []byte) bool { return string(b) == small }},
	{"POST", "POST", "/echo", content[:4<<10], func(b []byte) bool { return bytes.Equal(b, content[:4<<10]) }},
	{"1 MiB up", "POST", "/up", content, func(b []byte) bool { return string(b) == fmt.Sprint(large) }},
	{"1 MiB down", "GET", "/down", nil, func(b []byte) bool { return bytes.Count(b, []byte{0xff}) == large }},
	{"tokens", "GET", "/tokens", nil, func(b []byte) bool { return bytes.Count(b, []byte("\n")) == tokens }},
	{"left while it waits", "GET", "/wait", nil, nil},
	{"left midway", "GET", "/down", nil, nil},
	{"left while it sends", "POST", "/up", content, nil},
}

// visit sends a request of a random kind to a random program.
func (t *traffic) visit(ctx context.Context) {
	k := kinds[rand.IntN(len(kinds))]
	label := nodeLabel
	switch n := rand.IntN(20); {
	case n == 0: // rarely, because visitors of a killed program wait for seconds
		label = fragileLabel
	case n < 10:
		label = steadyLabel
	}
	// A request that has begun may continue after the time is over.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	if k.right == nil {
		time.AfterFunc(time.Duration(rand.IntN(20))*time.Millisecond, cancel)
	}
	got, err := t.send(ctx, k.method, label, k.target, k.content)
	switch {
	case k.right == nil:
	case label == fragileLabel && err != nil:
		t.mu.Lock()
		t.refused++
		t.mu.Unlock()
		return
	case err != nil:
		t.fail(fmt.Errorf("%s of %s: %w", k.name, label, err))
		return
	case !k.right(got):
		t.fail(fmt.Errorf("%s of %s: a wrong answer of %d bytes: %.60q", k.name, label, len(got), got))
		return
	}
	t.answered.Add(1)
	t.mu.Lock()
	t.done[k.name]++
	t.mu.Unlock()
}

// stay is how long a visitor waits before they leave, long enough for their request to be handled.
const stay = 30 * time.Millisecond

// leave sends a request that is never answered, and leaves.
func (t *traffic) leave(ctx context.Context) {
	label := []string{steadyLabel, nodeLabel}[rand.IntN(2)]
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stay)
	defer cancel()
	if _, err := t.send(ctx, "POST", label, "/wait", content[:1<<10]); !errors.Is(err, context.DeadlineExceeded) {
		t.fail(fmt.Errorf("a visitor of %s got an answer to /wait, which never answers: %v", label, err))
		return
	}
	t.mu.Lock()
	t.done["left"]++
	t.mu.Unlock()
}

func (t *traffic) send(ctx context.Context, method, label, target string, content []byte) ([]byte, error) {
	host := strings.Replace(t.world.origin, "127.0.0.1", label+".localhost", 1)
	r, err := http.NewRequestWithContext(ctx, method, host+target, bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	resp, err := t.world.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", resp.StatusCode, got)
	}
	return got, err
}

// restart ends the fragile program every 5 s, gently or by a kill, and starts it again.
func (t *traffic) restart(ctx context.Context) {
	w := t.world
	for gently := false; ; gently = !gently {
		pause(ctx, 5*time.Second)
		if ctx.Err() != nil {
			return
		}
		if gently {
			w.fragile.end()
		} else {
			w.fragile.kill()
		}
		p, err := w.startProgram(fragileLabel, fragileToken)
		if err != nil {
			t.fail(err)
			return
		}
		w.fragile = p
		t.mu.Lock()
		t.restarts++
		t.mu.Unlock()
	}
}

// comeAndGo claims labels, and visits each once. It releases half of them, and the lease ends the others.
func (t *traffic) comeAndGo(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		if err := t.claim(context.WithoutCancel(ctx), n%2 == 0); err != nil {
			t.fail(fmt.Errorf("a claim that comes and goes: %w", err))
		}
		pause(ctx, 200*time.Millisecond)
	}
}

func (t *traffic) claim(ctx context.Context, giveUp bool) error {
	s, err := reversehttp.Claim(ctx, t.world.origin, &reversehttp.Options{Lease: 10 * time.Second, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(handler()) }()
	_, err = t.send(ctx, "GET", s.Label(), "/small", nil)
	if giveUp {
		err = errors.Join(err, s.Delete(ctx))
	} else {
		_ = s.Close()
	}
	<-served
	t.mu.Lock()
	t.done["claims"]++
	t.mu.Unlock()
	return err
}

func (t *traffic) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults = append(t.faults, err)
}

// fault returns the first faults with the number of all, or nil.
func (t *traffic) fault() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.faults) == 0 {
		return nil
	}
	return fmt.Errorf("%d faults, the first of them:\n%w", len(t.faults), errors.Join(t.faults[:min(len(t.faults), 10)]...))
}

// write writes a summary of the traffic.
func (t *traffic) write(out io.Writer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, _ = fmt.Fprintln(out)
	for _, k := range kinds {
		_, _ = fmt.Fprintf(out, "%-20s %8d\n", k.name, t.done[k.name])
	}
	_, _ = fmt.Fprintf(out, "%-20s %8d\n%-20s %8d\n%-20s %8d\n%-20s %8d\n\n", "left while handled", t.done["left"], "claims", t.done["claims"], "restarts", t.restarts, "refused meanwhile", t.refused)
}
