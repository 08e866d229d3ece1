package cluster

import (
	"github.com/prometheus/client_golang/prometheus"

	"reversehttp/server/cluster/engine"
)

// figures are the metrics of a node.
type figures struct {
	carried   *prometheus.CounterVec
	takeovers *prometheus.CounterVec
	handed    prometheus.Counter
	up        *prometheus.GaugeVec
	engine    prometheus.GaugeFunc
	directory prometheus.GaugeFunc
}

func newFigures(n *Node) *figures {
	return &figures{
		carried: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "reversehttp_node_carried_total", Help: "Requests that this node carried to the home of their claim.",
		}, []string{"what"}),
		takeovers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "reversehttp_node_takeovers_total", Help: "Claims that this node took over from another, or whose lost record it wrote again.",
		}, []string{"why"}),
		handed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "reversehttp_node_handed_over_total", Help: "Claims that this node handed over to another before it ended.",
		}),
		up: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "reversehttp_peer_up", Help: "Whether another node answers.",
		}, []string{"node"}),
		engine: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "reversehttp_engine_up", Help: "Whether the engine takes heartbeats and sends changes.",
		}, func() float64 { return boolean(n.options.Engine.State().Up) }),
		directory: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "reversehttp_directory_size", Help: "Labels that this node knows the home of.",
		}, func() float64 {
			size := 0
			n.options.Engine.Homes(func(string, engine.Home) bool { size++; return true })
			return float64(size)
		}),
	}
}

// Metrics returns the metrics of the node, to be registered with those of the gateway.
func (n *Node) Metrics() []prometheus.Collector {
	f := n.figures
	return []prometheus.Collector{f.carried, f.takeovers, f.handed, f.up, f.engine, f.directory}
}
