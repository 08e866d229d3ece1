package cluster

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/evanw/esbuild/pkg/api"

	"reversehttp/e2e/cluster/check"
	reversehttp "reversehttp/sdk-go"
)

// What visitors send while the nodes are restarted one after the other, if the machine can.
const (
	visitorsAtOnce = 20
	requestsEach   = 25 // a second
)

// inTurn gives each connection of visitors to another node, but to none that is about to end, as a
// balancer does that asks for readiness.
type inTurn struct {
	nodes []*Node
	turn  atomic.Int64
	out   atomic.Pointer[Node] // gets no connection
}

// dial connects to the next node.
func (b *inTurn) dial(ctx context.Context) (net.Conn, *Node, error) {
	for {
		at := b.nodes[int(b.turn.Add(1))%len(b.nodes)]
		if at == b.out.Load() {
			continue
		}
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", at.Address)
		if err == nil || ctx.Err() != nil {
			return conn, at, err
		}
	}
}

// visitTimeout is the timeout of claims, which is that of the SDKs' default.
const visitTimeout = time.Minute

// visit sends a request to the next node, and records it.
func (b *inTurn) visit(ctx context.Context, c *Nodes, to *check.Recorder, id, method, label string) {
	conn, at, err := b.dial(ctx)
	if err != nil {
		return // the test is over
	}
	client := &http.Client{Timeout: 2 * visitTimeout, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}}
	r, err := http.NewRequestWithContext(ctx, method, c.URLOf(label), strings.NewReader("content"))
	if err != nil {
		panic(err)
	}
	r.Header.Set("Request-Id", id)
	to.Record(check.Event{Kind: check.Visit, ID: id, Node: at.Name, Label: label, Method: method, TimeoutMs: visitTimeout.Milliseconds()})
	over := check.Event{Kind: check.Visited, ID: id}
	defer func() { to.Record(over) }()
	resp, err := client.Do(r)
	if err != nil {
		over.Cut = true
		return
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	over.Status, over.Content, over.Cut = resp.StatusCode, string(content), err != nil
	var problem struct {
		Code string `json:"code"`
	}
	if resp.StatusCode >= 400 && json.Unmarshal(content, &problem) == nil {
		over.Code = problem.Code
	}
}

// serveByJS serves labels by the SDK for JavaScript until the test ends, and returns what has its
// history by then.
func serveByJS(t *testing.T, c *Nodes, labels ...string) *bytes.Buffer {
	t.Helper()
	source, err := filepath.Abs("../../sdk-js/src/index.ts")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "program.mjs")
	built := api.Build(api.BuildOptions{
		EntryPoints: []string{"program.js"}, Outfile: program, Bundle: true, Write: true, Platform: api.PlatformNode, Format: api.FormatESModule, Target: api.ES2022,
		Alias: map[string]string{"reversehttp": source},
	})
	if len(built.Errors) > 0 {
		t.Fatal(built.Errors)
	}
	node := exec.Command("node", append([]string{program, c.URL()}, labels...)...)
	node.Stderr = os.Stderr
	in, err := node.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	if _, err := lines.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	history := new(bytes.Buffer)
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(history, lines)
	}()
	t.Cleanup(func() {
		_ = in.Close()
		<-read
		if err := node.Wait(); err != nil {
			t.Error(err)
		}
	})
	return history
}

func TestNobodyNoticesThatAllNodesAreRestarted(t *testing.T) {
	t.Parallel()
	var histories []io.Reader
	var recorded bytes.Buffer
	t.Run("under load", func(t *testing.T) { // what it cleans up ends before the histories are read
		// Programs of a busy machine may be silent for long.
		c := start(t, "--drain-delay", "2s", "--acknowledge", "1m", "--no-poller", "1m")
		to := check.NewRecorder(&recorded)
		labels := []string{"go-1", "go-2", "go-3", "js-1", "js-2", "js-3"}
		histories = append(histories, serveByJS(t, c, labels[3:]...))
		for _, label := range labels[:3] {
			serve(t, c, label, func(w http.ResponseWriter, r *http.Request) {
				id, info := r.Header.Get("Request-Id"), reversehttp.RequestInfo(r.Context())
				to.Record(check.Event{Kind: check.Begin, ID: id, Exchange: info.ID, Attempt: info.Attempt})
				content, _ := io.ReadAll(r.Body)
				answer := id + " " + string(content)
				to.Record(check.Event{Kind: check.Answer, ID: id, Exchange: info.ID, Content: answer})
				_, _ = io.WriteString(w, answer)
			})
		}
		b := &inTurn{nodes: c.All}
		stop := make(chan struct{})
		var visiting sync.WaitGroup
		for i := range visitorsAtOnce {
			visiting.Go(func() {
				began := time.Now()
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					case <-time.After(time.Until(began.Add(time.Duration(n) * time.Second / requestsEach))):
					}
					method := []string{http.MethodGet, http.MethodPost}[n%2]
					b.visit(t.Context(), c, to, fmt.Sprintf("%d-%d", i, n), method, labels[(i+n/2)%len(labels)])
				}
			})
		}
		for _, n := range c.All {
			time.Sleep(time.Second) // of requests
			to.Record(check.Event{Kind: check.Fault, Node: n.Name, Do: check.Drain})
			ended := n.Leave()
			for n.Ready(t.Context()) {
				time.Sleep(20 * time.Millisecond)
			}
			b.out.Store(n)
			<-ended
			if err := n.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			to.Record(check.Event{Kind: check.Mended, Node: n.Name, Do: check.Drain})
			b.out.Store(nil)
		}
		close(stop)
		visiting.Wait()
		if err := to.Flush(); err != nil {
			t.Error(err)
		}
	})
	events, err := check.Read(append(histories, &recorded)...)
	if err != nil {
		t.Fatal(err)
	}
	judge(t, events)
}

// judge checks a history, and that every visitor got 200.
func judge(t *testing.T, events []check.Event) {
	t.Helper()
	for _, v := range check.Check(events) {
		t.Error(v)
	}
	at := map[string]check.Event{}
	requests, posts, slowest := 0, 0, time.Duration(0)
	for _, e := range events {
		switch e.Kind {
		case check.Visit:
			if requests++; e.Method == http.MethodPost {
				posts++
			}
			at[e.ID] = e
		case check.Visited:
			began := at[e.ID]
			slowest = max(slowest, time.Duration(e.At-began.At))
			if e.Status != http.StatusOK || e.Cut {
				t.Errorf("%s %s at %s for %s: %d %s, cut: %v, after %v", began.Method, e.ID, began.Node, began.Label, e.Status, e.Code, e.Cut, time.Duration(e.At-began.At))
			}
		}
	}
	took := time.Duration(events[len(events)-1].At - events[0].At)
	t.Logf("%d requests, %d of them POST, in %v: %.0f a second; the longest took %v", requests, posts, took.Round(time.Millisecond), float64(requests)/took.Seconds(), slowest.Round(time.Millisecond))
}
