package cluster

import (
	"context"
	"net"
	"sync/atomic"

	"reversehttp/e2e/cluster/cable"
)

// balance returns a balancer at an address. It gives each connection to another node than the one
// before, whatever the connection carries, and to the next one if a node refuses it. The caller calls
// Close.
func balance(address string, nodes []*Node) (*cable.Cable, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	var turn atomic.Int64
	return cable.Lead(l, func(ctx context.Context) (to net.Conn, err error) {
		for range nodes {
			at := nodes[int(turn.Add(1))%len(nodes)]
			if to, err = new(net.Dialer).DialContext(ctx, "tcp", at.Address); err == nil {
				break
			}
		}
		return to, err
	}), nil
}
