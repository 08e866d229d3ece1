package cluster

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"reversehttp/server/cluster/engine"
)

func TestNodesThatAreGoneAreForgotten(t *testing.T) {
	t.Parallel()
	n := &Node{}
	n.figures = newFigures(n)
	p := newPeers(n)
	here, before, gone := processOf{"a", "2"}, processOf{"a", "1"}, processOf{"b", "1"}
	long := time.Now().Add(-2 * deadTime)
	for _, of := range []processOf{here, before, gone} {
		p.mute[of], p.cut[of], p.fresh[of], p.dead[of] = long, long, long, long
		p.told[of.node] = true
		n.figures.up.WithLabelValues(of.node).Set(1)
	}
	recent := processOf{"c", "1"}
	p.cut[recent], p.fresh[recent], p.dead[recent] = time.Now(), time.Now(), time.Now()
	p.forget([]engine.Live{{Node: engine.Node{Name: "a", Run: "2"}}})
	for name, c := range map[string]struct {
		of   map[processOf]time.Time
		want []processOf
	}{
		"mute":  {p.mute, []processOf{here}},
		"cut":   {p.cut, []processOf{here, recent}},
		"fresh": {p.fresh, []processOf{recent}},
		"dead":  {p.dead, []processOf{recent}},
	} {
		if len(c.of) != len(c.want) {
			t.Errorf("%s = %v, want %v", name, c.of, c.want)
		}
		for _, of := range c.want {
			if _, is := c.of[of]; !is {
				t.Errorf("%s = %v, want %v", name, c.of, c.want)
			}
		}
	}
	told := make(chan prometheus.Metric, 2)
	if n.figures.up.Collect(told); len(told) != 1 {
		t.Errorf("reversehttp_peer_up has %d nodes, want the one that is there", len(told))
	}
}
