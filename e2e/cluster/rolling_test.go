package cluster

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"reversehttp/e2e/cluster/check"
)

// underLoad runs faults on nodes while visitors send requests to programs by both SDKs, and returns what
// happened.
func underLoad(t *testing.T, v visitors, flags []string, faults func(*testing.T, *Nodes, *inTurn, *check.Recorder)) []check.Event {
	t.Helper()
	return underLoadAt(t, v, Options{Flags: flags}, faults)
}

// underLoadAt is underLoad for nodes with other options.
func underLoadAt(t *testing.T, v visitors, o Options, faults func(*testing.T, *Nodes, *inTurn, *check.Recorder)) []check.Event {
	t.Helper()
	var histories []io.Reader
	var here bytes.Buffer
	var logs []string
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(strings.Join(logs, "\n"))
		}
	})
	t.Run("under load", func(t *testing.T) { // what it cleans up ends before the histories are read
		c := startAs(t, o)
		to := check.NewRecorder(&here)
		byGo, byJS := []string{"go-1", "go-2", "go-3"}, []string{"js-1", "js-2", "js-3"}
		histories = append(histories, serveByJS(t, c, byJS...))
		for _, label := range byGo {
			serve(t, c, label, recorded(to))
		}
		v.labels = append(byGo, byJS...)
		b := &inTurn{nodes: c.All}
		end := v.begin(t.Context(), c, b, to)
		faults(t, c, b, to)
		end()
		for _, n := range c.All {
			logs = append(logs, "the end of the log of "+n.Name+":", n.Log())
		}
		if err := to.Flush(); err != nil {
			t.Error(err)
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	events, err := check.Read(append(histories, &here)...)
	if err != nil {
		t.Fatal(err)
	}
	return events
}

func TestNobodyNoticesThatAllNodesAreRestarted(t *testing.T) {
	t.Parallel()
	events := underLoad(t, visitors{atOnce: 20, each: 25}, append([]string{"--drain-delay", "2s"}, patient...), func(t *testing.T, c *Nodes, b *inTurn, to *check.Recorder) {
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
	})
	judge(t, events, true)
}
