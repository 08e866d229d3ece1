package cluster

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"reversehttp/e2e/cluster/check"
)

// post sends a visitor's POST for a URL to a node, and returns the status and content of the response.
func post(at *Node, url, content string) (int, string, error) {
	resp, err := dialing(at.Address).Post(url, "text/plain", strings.NewReader(content))
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(got), err
}

// answers waits until every node but one has a visitor answered.
func (c *Nodes) answers(t *testing.T, label string, but *Node) {
	t.Helper()
	for _, n := range c.others(but) {
		until(t, "a visitor of "+label+" is answered at "+n.Name, func() bool {
			status, got, err := post(n, c.URLOf(label), "hello")
			return err == nil && status == http.StatusOK && got == "hello"
		})
	}
}

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
	recordVisit(client, r, at, to, id, label)
}

// recordVisit sends a visitor's request with an id for a label to a node, and records it.
func recordVisit(client *http.Client, r *http.Request, at *Node, to *check.Recorder, id, label string) {
	to.Record(check.Event{Kind: check.Visit, ID: id, Node: at.Name, Label: label, Method: r.Method, TimeoutMs: visitTimeout.Milliseconds()})
	over := check.Event{Kind: check.Visited, ID: id}
	defer func() { to.Record(over) }()
	resp, err := client.Do(r)
	if err != nil {
		over.Cut = true
		return
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	said(&over, resp, content)
	over.Cut = err != nil
}

// visitors is a load of requests.
type visitors struct {
	// atOnce is how many visitors there are, each of whom sends so many requests a second, if the
	// machine can.
	atOnce, each int
	labels       []string // one for each visitor, in turn
}

// begin has each visitor send GET and POST in turn for a label of their own until the function that it
// returns is called, which waits for the last responses.
func (v visitors) begin(ctx context.Context, c *Nodes, b *inTurn, to *check.Recorder) (end func()) {
	stop := make(chan struct{})
	var visiting sync.WaitGroup
	for i := range v.atOnce {
		visiting.Go(func() {
			began := time.Now()
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				case <-time.After(time.Until(began.Add(time.Duration(n) * time.Second / time.Duration(v.each)))):
				}
				method := []string{http.MethodGet, http.MethodPost}[n%2]
				b.visit(ctx, c, to, fmt.Sprintf("%d-%d", i, n), method, v.labels[i%len(v.labels)])
			}
		})
	}
	return func() {
		close(stop)
		visiting.Wait()
	}
}

// judge checks a history. Unless strict is false, every visitor must have got 200.
func judge(t *testing.T, events []check.Event, strict bool) {
	t.Helper()
	for _, v := range check.Check(events) {
		t.Error(v)
	}
	at := map[string]check.Event{}
	requests, posts, failed, slowest := 0, 0, 0, time.Duration(0)
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
			if e.Status == http.StatusOK && !e.Cut {
				continue
			}
			failed++
			if strict {
				t.Errorf("%s %s at %s for %s: %d %s, cut: %v, after %v", began.Method, e.ID, began.Node, began.Label, e.Status, e.Code, e.Cut, time.Duration(e.At-began.At))
			}
		}
	}
	took := time.Duration(events[len(events)-1].At - events[0].At)
	t.Logf("%d requests, %d of them POST, in %v: %.0f a second; %d failed, the longest took %v", requests, posts, took.Round(time.Millisecond), float64(requests)/took.Seconds(), failed, slowest.Round(time.Millisecond))
}
