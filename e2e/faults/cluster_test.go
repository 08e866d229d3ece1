package faults

import (
	"net"
	"strings"
	"testing"

	"reversehttp/e2e/cluster"
	"reversehttp/e2e/cluster/natsserver"
)

// startCluster starts three gateways that are one, and a balancer that gives each connection to another
// of them.
func startCluster(t *testing.T, flags []string) *gateway {
	t.Helper()
	c, err := cluster.Start(t.Context(), cluster.Options{Dir: t.TempDir(), Count: 3, NATS: natsserver.ForTest(t, 1)[0], Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		for _, n := range c.All {
			if log := n.Log(); strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic") || strings.Contains(log, "level=ERROR") {
				t.Errorf("%s logs:\n%s", n.Name, log)
			}
		}
	})
	address := c.Balancer.Address()
	_, port, _ := net.SplitHostPort(address)
	return &gateway{t: t, nodes: c, port: port, address: address}
}
