package cluster

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"reversehttp/e2e/cluster/natsserver"
)

// rounds is how often each node, and the leader of NATS, is killed under load.
var rounds = flag.Int("rounds", 1, "how often each node, and the leader of NATS, is killed under load")

// folder has what all tests share.
var folder string

func TestMain(m *testing.M) {
	flag.Parse()
	var err error
	if folder, err = os.MkdirTemp("", "reversehttp-cluster-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := m.Run()
	_ = os.RemoveAll(folder)
	os.Exit(status)
}

// binary returns the path of the gateway, which GATEWAY_BINARY may name.
var binary = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("GATEWAY_BINARY"); path != "" {
		return path, nil
	}
	path := filepath.Join(folder, "gateway")
	return path, Build(context.Background(), path)
})

// patient are flags with which programs of a busy machine may be silent for long.
var patient = []string{"--acknowledge", "1m", "--no-poller", "1m"}

// start starts three nodes with flags for a test.
func start(t *testing.T, flags ...string) *Nodes {
	t.Helper()
	return startAs(t, Options{Flags: flags})
}

// startWithCables starts three nodes that can be cut off, with flags for a test.
func startWithCables(t *testing.T, flags ...string) *Nodes {
	t.Helper()
	return startAs(t, Options{Flags: flags, Cables: true})
}

func startAs(t *testing.T, o Options) *Nodes {
	t.Helper()
	o.Dir, o.Count = t.TempDir(), 3
	if o.NATS == nil {
		o.NATS = natsserver.ForTest(t, 1)[0]
	}
	var err error
	if o.Binary, err = binary(); err != nil {
		t.Fatal(err)
	}
	c, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	t.Cleanup(func() {
		if t.Failed() {
			for _, n := range c.All {
				t.Logf("the end of the log of %s:\n%s", n.Name, n.Log())
			}
		}
	})
	return c
}

// until waits for a condition, for as long as even a very busy machine needs.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for began := time.Now(); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Since(began) > 2*time.Minute {
			t.Fatal("waited for too long: ", what)
		}
	}
}

// home returns the node that keeps the only claim.
func (c *Nodes) home(t *testing.T) *Node {
	t.Helper()
	for _, n := range c.All {
		if n.signal(nil) == nil {
			continue
		}
		if keeps, err := n.Metric("reversehttp_claims "); err == nil && keeps == 1 {
			return n
		}
	}
	t.Fatal("no node keeps the claim")
	return nil
}

// claims returns how many claims all nodes but one keep.
func (c *Nodes) claims(but *Node) (sum float64) {
	for _, n := range c.others(but) {
		keeps, err := n.Metric("reversehttp_claims ")
		if err != nil {
			return -1 // so that it is asked again
		}
		sum += keeps
	}
	return sum
}

// takeovers returns how many claims a node has taken over for a reason.
func (n *Node) takeovers(why string) float64 {
	count, err := n.Metric(`reversehttp_node_takeovers_total{why="` + why + `"}`)
	if err != nil {
		return 0 // there is no line before the first
	}
	return count
}

// others returns the nodes but one.
func (c *Nodes) others(but *Node) (all []*Node) {
	for _, n := range c.All {
		if n != but {
			all = append(all, n)
		}
	}
	return all
}
