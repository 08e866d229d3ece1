package fidelity

import (
	"context"
	"flag"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"reversehttp/e2e/cluster"
	"reversehttp/e2e/cluster/natsserver"
)

var clustered = flag.Bool("cluster", false, "three gateways that are one, in place of one gateway; each connection is to another")

// startCluster starts a cluster, which ends with the test, and returns a client for programs, which opens a connection
// for each request.
func startCluster(t testing.TB, shape string) (addr string, _ *http.Client) {
	ports, err := natsserver.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(ports[0])
	flags := []string{"--public-url", strings.ReplaceAll(shape, "{port}", port)}
	for _, time := range []string{"acknowledge", "closed", "no-poller", "answer", "part", "lease", "unpolled"} {
		flags = append(flags, "--"+time, patience.String())
	}
	c, err := cluster.Start(t.Context(), cluster.Options{
		Dir: t.TempDir(), Count: 3, Listen: "127.0.0.1:" + port, NATS: natsserver.ForTest(t, 1)[0], Flags: flags,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c.Balancer.Address(), &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, c.Balancer.Address())
		},
	}}
}
