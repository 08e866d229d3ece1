// Package trio runs three gateways that are one within the process of a test, for suites that have one
// gateway otherwise.
package trio

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"

	"reversehttp/e2e/cluster/cable"
	"reversehttp/server/cluster"
	"reversehttp/server/cluster/engine"
	"reversehttp/server/gateway"
)

// Serve serves at a listener three gateways with the same options, which are one, until the test ends. Each
// connection is to another of them.
func Serve(t testing.TB, l net.Listener, o gateway.Options) (gateways []*gateway.Gateway) {
	t.Helper()
	records := engine.NewMemory()
	var addresses []string
	for i := range 3 {
		name := fmt.Sprint("node", i)
		e, err := records.Connect(context.Background(), engine.Options{Node: name, Run: name, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		public, peers := port(t), port(t)
		n := cluster.New(cluster.Options{Engine: e, Name: name, Run: name, Address: peers.Addr().String(), Log: slog.New(slog.DiscardHandler)})
		o.Elsewhere, o.Records, o.Withdrawn, o.NotReady, o.Metrics = n, e, e, n.NotReady, n.Metrics()
		g, err := gateway.New(o)
		if err != nil {
			t.Fatal(err)
		}
		n.Start(peers, g)
		server := g.Server()
		served := make(chan struct{})
		go func() {
			defer close(served)
			_ = server.Serve(gateway.Listen(public))
		}()
		t.Cleanup(func() {
			_ = server.Close()
			<-served
			n.Close()
			g.Close()
			e.Close()
		})
		gateways, addresses = append(gateways, g), append(addresses, public.Addr().String())
	}
	var turn atomic.Int64
	balancer := cable.Lead(l, func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", addresses[int(turn.Add(1))%len(addresses)])
	})
	t.Cleanup(balancer.Close)
	return gateways
}

// port returns a listener on a free port of this machine.
func port(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}
