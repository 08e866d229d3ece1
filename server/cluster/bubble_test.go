package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/schema"
	"reversehttp/server/cluster/engine"
	"reversehttp/server/gateway"
)

var interleavings = flag.Int("interleavings", 20, "how many random interleavings of each scene are tried, besides the systematic ones")

// scene is what is run in all orders: one claim, whose home is node0, and one request of a visitor.
type scene struct {
	method  string
	visitor int // the node that the visitor is connected to
	program int // the one that the program is connected to while it lives
	fault   string
	stale   bool // node1 learns late of changes in the engine
}

func (s scene) String() string {
	return fmt.Sprintf("%s, visitor at node%d, program at node%d, %s, stale %v", s.method, s.visitor, s.program, s.fault, s.stale)
}

// plan says how a run differs from the one in which the first step that could happen always happens.
type plan struct {
	choose map[int]int // by step: which of the waiting ones happens
	fault  int         // the step before which the fault happens; -1 for none
}

// outcome is what was seen in a run.
type outcome struct {
	status  int
	content string
	handed  string
	took    time.Duration
	failed  error
	begins  int
	results []string // of the answers
	calls   []string // of the program
	endless bool     // steps followed each other without end
	branch  []int    // how many steps waited, each time
	steps   []string
}

const (
	answerTime = 20 * time.Second
	// patience is for how long a client waits.
	patience = time.Minute
	// judgeTime is how much longer than that a visitor may wait: until a home whose machine is gone counts as gone, and its
	// successor has begun to wait anew.
	judgeTime = 8 * time.Second
)

// TestInterleavings plays one exchange between two nodes in many orders: bytes between the nodes, calls of the engine and
// their results come in every order that differs in one place from the plain one, and in random orders; the fault comes
// before every step.
func TestInterleavings(t *testing.T) {
	t.Parallel()
	var scenes []scene
	for _, method := range []string{"GET", "POST"} {
		for _, program := range []int{0, 1} {
			for _, fault := range []string{"none", "kill", "vanish", "leave", "stall"} {
				scenes = append(scenes, scene{method, 1, program, fault, false}, scene{method, 1, program, fault, true})
			}
			scenes = append(scenes, scene{method, 0, program, "leave", false}, scene{method, 0, program, "stall", true})
		}
	}
	for _, s := range scenes {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			plain := s.run(t, plan{fault: -1})
			var plans []plan
			for i, n := range plain.branch {
				for j := 1; j < min(n, 3); j++ {
					plans = append(plans, plan{map[int]int{i: j}, -1})
				}
				if s.fault != "none" {
					plans = append(plans, plan{nil, i})
				}
			}
			random := rand.New(rand.NewPCG(1, 2))
			for range *interleavings {
				p := plan{map[int]int{}, random.IntN(len(plain.branch)+1) - 1}
				for range 4 {
					p.choose[random.IntN(len(plain.branch)+1)] = random.IntN(3)
				}
				plans = append(plans, p)
			}
			for _, p := range plans {
				s.judge(t, p, s.run(t, p))
				if t.Failed() {
					return
				}
			}
		})
	}
}

// judge holds what was seen in a run against the rules.
func (s scene) judge(t *testing.T, p plan, o outcome) {
	t.Helper()
	var broken []string
	rule := func(holds bool, what string, args ...any) {
		if !holds {
			broken = append(broken, fmt.Sprintf(what, args...))
		}
	}
	fault := p.fault >= 0 && s.fault != "none"
	rule(!o.endless, "it does not end")
	rule(o.failed == nil, "the visitor got no response: %v", o.failed)
	rule(o.took <= answerTime+judgeTime, "the visitor waited %s", o.took)
	rule(o.status != 200 || o.content == "the answer", "the visitor got %q", o.content)
	rule(o.status != 200 || o.begins > 0, "an answer came from nowhere")
	rule(s.method == "GET" || o.begins <= 1, "a POST began %d times", o.begins)
	rule(!strings.Contains(o.handed, "handed=?0") || o.begins == 0, "handed=?0 where %d began", o.begins)
	rule(!strings.Contains(o.handed, "handed=?1") || o.begins > 0, "handed=?1 where none began")
	rule(!slices.Contains(o.results, "accepted") || o.status == 200, "accepted, and the visitor got %d", o.status)
	rule(fault && s.fault != "leave" || o.status == 200, "nothing failed, and the visitor got %d", o.status)
	if len(broken) > 0 {
		t.Errorf("%s\nsteps: %s\nprogram: %s\nplan: %+v\noutcome: %d %q %s %s, begins %d, results %v", strings.Join(broken, "; "),
			strings.Join(o.steps, "\n  "), strings.Join(o.calls, "\n  "), p, o.status, o.content, o.handed, o.took, o.begins, o.results)
	}
}

// bubble is two nodes whose network and engine are in memory.
type bubble struct {
	t        *testing.T
	schedule *schedule
	fabric   *fabric
	memory   *engine.Memory
	nodes    [2]*testNode
	served   sync.WaitGroup
}

func address(i int) string { return fmt.Sprintf("node%d", i) }

// start starts a node.
func (b *bubble) start(i int) {
	name, log := address(i), slog.New(slog.DiscardHandler)
	e, err := b.memory.Connect(b.t.Context(), engine.Options{Node: name, Run: name + "-run", Log: log})
	if err != nil {
		b.t.Fatal(err)
	}
	gated := &gatedEngine{e, name, b.schedule}
	n := New(Options{Engine: gated, Name: name, Run: name + "-run", Address: name + ":peers", Settings: map[string]string{"--public-url": publicURL}, Log: log})
	n.pool.Dial = func(ctx context.Context, address string) (net.Conn, error) { return b.fabric.dial(ctx, name, address) }
	g, err := gateway.New(gateway.Options{
		PublicURL: publicURL, Loopback: true, Elsewhere: n, Records: gated, Withdrawn: gated, NotReady: n.NotReady, SharedTokens: []string{"secret"}, Log: log,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	one := &testNode{name: name, node: n, gateway: g, server: g.Server(), engine: e}
	n.Start(b.fabric.listen(name+":peers"), g)
	public := b.fabric.listen(name)
	b.served.Go(func() { _ = one.server.Serve(gateway.Listen(public)) })
	b.nodes[i] = one
}

// kill ends a node: whatever it wrote arrives, and nothing after that.
func (b *bubble) kill(i int) {
	n := b.nodes[i]
	n.once.Do(func() {
		n.gone.Store(true)
		b.memory.Cut(n.name, engine.CutAll)
		b.fabric.sever(n.name)
		b.served.Go(func() {
			_ = n.server.Close()
			n.node.Close()
			n.gateway.Close()
			n.engine.Close()
		})
	})
}

// clientOf returns a client of a node, or of the other once that is gone.
func (b *bubble) clientOf(i int) *http.Client {
	node := new(atomic.Int32)
	node.Store(int32(i))
	return b.clientAt(node)
}

// clientAt is clientOf for a node that may become another.
func (b *bubble) clientAt(node *atomic.Int32) *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		at := int(node.Load())
		if b.nodes[at].gone.Load() {
			at = 1 - at
		}
		return b.fabric.dial(ctx, "", address(at))
	}}}
}

// handler is a program that polls and answers at once. Its requests go to one node while that lives.
type handler struct {
	client  *http.Client
	claim   schema.ClaimAnswer
	mu      sync.Mutex // guards below
	begins  int
	results []string
	calls   []string // requests and their results
}

// note keeps the result of a request.
func (h *handler) note(method, url string, status int, content []byte, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, fmt.Sprintf("%s %s %s: %d %.100s %v", time.Now().Format("05.000"), method, path.Base(url), status, content, err))
}

// do sends a request until it has an answer that is not an error of a server.
func (h *handler) do(ctx context.Context, method, url, cursor string, content []byte) (int, []byte) {
	for ctx.Err() == nil {
		r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(content))
		if err != nil {
			panic(err)
		}
		r.Header.Set("Authorization", "Bearer secret")
		r.Header.Set("Prefer", "wait=2")
		if cursor != "" {
			r.Header.Set("Last-Event-ID", cursor)
		}
		if content != nil {
			r.Header.Set("Content-Type", "application/json")
		}
		resp, err := h.client.Do(r)
		if err == nil {
			got, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			h.note(method, url, resp.StatusCode, got, err)
			if err == nil && resp.StatusCode < 500 {
				return resp.StatusCode, got
			}
		} else {
			h.note(method, url, 0, nil, err)
		}
		if !sleep(ctx, 100*time.Millisecond) {
			break
		}
	}
	return 0, nil
}

// run claims the label, and serves it until ctx ends.
func (h *handler) run(ctx context.Context, claimed func()) {
	open := func() string {
		settings := fmt.Sprintf(`{"label":"demo","token":"secret","timeoutMs":%d}`, answerTime.Milliseconds())
		if status, got := h.do(ctx, http.MethodPost, "http://gateway.example/claims", "", []byte(settings)); status/100 == 2 {
			_ = json.Unmarshal(got, &h.claim)
		}
		return h.claim.Cursor
	}
	cursor := open()
	claimed()
	for ctx.Err() == nil {
		status, got := h.do(ctx, http.MethodGet, h.claim.Requests, cursor, nil)
		if status >= 400 {
			cursor = open() // the session is gone
			continue
		}
		var batch struct {
			Cursor   string `json:"cursor"`
			Messages []struct {
				Type string `json:"type"`
				ID   string `json:"id"`
			} `json:"messages"`
		}
		if status != http.StatusOK || json.Unmarshal(got, &batch) != nil {
			continue
		}
		cursor = batch.Cursor
		for _, m := range batch.Messages {
			if m.Type != "request" {
				continue
			}
			h.mu.Lock()
			h.begins++
			h.mu.Unlock()
			_, got := h.do(ctx, http.MethodPost, h.claim.Responses, "", fmt.Appendf(nil, `{"type":"response","id":%q,"status":200,"body":"the answer"}`, m.ID))
			var answer schema.Results
			_ = json.Unmarshal(got, &answer)
			h.mu.Lock()
			for _, r := range answer.Results {
				h.results = append(h.results, string(r.Status))
			}
			h.mu.Unlock()
		}
	}
}

// run plays the scene.
func (s scene) run(t *testing.T, p plan) (o outcome) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bubble{t: t, schedule: &schedule{free: true}, memory: engine.NewMemory()}
		b.fabric = newFabric(b.schedule)
		b.start(0)
		b.start(1)
		ctx, cancel := context.WithCancel(t.Context())
		connected := new(atomic.Int32) // the node to which the program is connected
		h := &handler{client: b.clientAt(connected)}
		claimed := make(chan struct{})
		b.served.Go(func() { h.run(ctx, sync.OnceFunc(func() { close(claimed) })) })
		<-claimed
		connected.Store(int32(s.program))
		time.Sleep(5 * time.Second) // the poll is at its node
		synctest.Wait()
		if s.stale {
			b.memory.Hold("node1")
		}
		b.schedule.hold()

		over := make(chan struct{})
		b.served.Go(func() {
			defer close(over)
			since := time.Now()
			r, err := http.NewRequestWithContext(ctx, s.method, "http://demo.gateway.example/", nil)
			if err != nil {
				panic(err)
			}
			resp, err := b.clientOf(s.visitor).Do(r)
			o.failed = err
			if err == nil {
				var content []byte
				content, o.failed = io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				o.status, o.content, o.handed = resp.StatusCode, string(content), resp.Header.Get("Proxy-Status")
			}
			o.took = time.Since(since)
		})
		fault := func() {
			switch s.fault {
			case "kill":
				b.kill(0)
			case "vanish":
				b.memory.Cut("node0", engine.CutAll)
				b.fabric.vanish("node0")
				b.nodes[0].gone.Store(true)
			case "leave":
				b.served.Go(func() {
					ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
					defer cancel()
					b.nodes[0].gateway.Drain(ctx)
					_ = b.nodes[0].server.Shutdown(ctx)
					b.kill(0)
				})
			case "stall":
				time.Sleep(7 * time.Second)
			}
		}
		b.play(p, fault, over, &o)
		b.memory.Flow("node1")
		<-over
		time.Sleep(time.Second) // the result of the answer
		b.schedule.end()
		time.Sleep(3 * time.Second)
		h.mu.Lock()
		o.begins, o.results, o.calls = h.begins, h.results, h.calls
		h.mu.Unlock()
		cancel()
		b.kill(0)
		b.kill(1)
		b.served.Wait()
	})
	return o
}

// play lets steps happen until the visitor has a response.
func (b *bubble) play(p plan, fault func(), over <-chan struct{}, o *outcome) {
	for i, quiet := 0, 0; ; {
		synctest.Wait()
		n := b.schedule.choices()
		select {
		case <-over:
			if n == 0 {
				return
			}
		default:
		}
		if n == 0 {
			if quiet++; quiet == 100 { // ten seconds: what is stale arrives
				b.memory.Flow("node1")
			}
			time.Sleep(100 * time.Millisecond)
			continue
		}
		if p.fault == i {
			fault()
			synctest.Wait()
			p.fault = -1
			continue
		}
		time.Sleep(time.Millisecond) // what is far away takes time
		o.branch = append(o.branch, n)
		o.steps = append(o.steps, b.schedule.release(min(p.choose[i], n-1)))
		if i++; i == mostSteps {
			o.endless = true
			b.schedule.end()
			return
		}
	}
}

// mostSteps is more than a run has.
const mostSteps = 1000
