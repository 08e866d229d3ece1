package cluster

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"reversehttp/e2e/cluster/check"
)

// fewVisitors leave a machine the time to start nodes.
var fewVisitors = visitors{atOnce: 12, each: 8}

func TestNobodyElseNoticesThatHomesAreKilled(t *testing.T) {
	t.Parallel()
	events := underLoad(t, fewVisitors, patient, func(t *testing.T, c *Nodes, b *inTurn, to *check.Recorder) {
		for range *rounds {
			for _, n := range c.All {
				time.Sleep(time.Second) // of requests
				to.Record(check.Event{Kind: check.Fault, Node: n.Name, Do: check.Kill})
				n.Kill()
				time.Sleep(time.Second) // of requests
				if err := n.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				to.Record(check.Event{Kind: check.Mended, Node: n.Name, Do: check.Kill})
			}
		}
	})
	judge(t, events, false)
}

func TestNobodyElseNoticesThatAHomeIsPaused(t *testing.T) {
	t.Parallel()
	events := underLoad(t, fewVisitors, patient, func(t *testing.T, c *Nodes, b *inTurn, to *check.Recorder) {
		time.Sleep(time.Second) // of requests
		const claims = 6
		until(t, "the nodes keep all claims", func() bool { return c.claims(nil) == claims })
		n := slices.MinFunc(c.All, func(a, b *Node) int { return cmp.Compare(c.claims(a), c.claims(b)) }) // keeps most
		to.Record(check.Event{Kind: check.Fault, Node: n.Name, Do: "pause"})
		n.Pause()
		b.out.Store(n) // a balancer notices it
		time.Sleep(8 * time.Second)
		until(t, "the others take its claims over", func() bool { return c.claims(n) == claims })
		n.Resume()
		until(t, "the node that was paused knows that it keeps nothing that others keep", func() bool { return n.Ready(t.Context()) && c.claims(nil) == claims })
		to.Record(check.Event{Kind: check.Mended, Node: n.Name, Do: "pause"})
		b.out.Store(nil)
		time.Sleep(time.Second) // of requests
	})
	judge(t, events, false)
}
