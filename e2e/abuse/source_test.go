package abuse

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"
)

// source is a loopback address that connections come from, by which the gateway counts.
type source string

const (
	programs source = "127.0.0.2" // of honest programs
	prober   source = "127.0.0.3" // reads the health and the metrics
	proxy    source = "127.0.0.9" // is in --trusted-proxies
)

// neighbour returns the address of an honest visitor.
func neighbour(i int) source { return source(fmt.Sprintf("127.0.1.%d", 1+i)) }

// attacker returns one of 50,000 addresses of the attacker.
func attacker(i int) source { return source(fmt.Sprintf("127.1.%d.%d", i/250, 1+i%250)) }

// owning returns an address of the attacker's programs.
func owning(i int) source { return source(fmt.Sprintf("127.2.%d.%d", i/250, 1+i%250)) }

// visitTime is how long a request may take before it counts as lost.
const visitTime = 10 * time.Minute

// dialer returns a dialer of the address.
func (s source) dialer() *net.Dialer {
	return &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(string(s))}}
}

// dial connects to the gateway.
func (s source) dial(t *testing.T, g *gateway) net.Conn {
	t.Helper()
	c, err := s.dialer().Dial("tcp", g.address)
	if err != nil {
		t.Fatalf("connect from %s: %v", s, err)
	}
	return c
}

// transport returns a transport whose connections go to the gateway, whatever the host.
func (s source) transport(g *gateway) *http.Transport {
	d := s.dialer()
	return &http.Transport{
		MaxIdleConnsPerHost: 16,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return d.DialContext(ctx, "tcp", g.address)
		},
	}
}

// client returns a client that uses each connection once.
func (s source) client(g *gateway) *http.Client {
	transport := s.transport(g)
	transport.DisableKeepAlives = true
	return &http.Client{Transport: transport, Timeout: visitTime}
}
