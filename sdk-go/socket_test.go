package reversehttp_test

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	reversehttp "reversehttp/sdk-go"
	"reversehttp/server/gateway"
)

// A message of a link is written by one system call, however long it is.
func TestAMessageOfALinkIsOneWrite(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	var largest atomic.Int64
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, l.addr)
		return &weighed{conn, &largest}, err
	}}
	t.Cleanup(transport.CloseIdleConnections)
	s := l.serve(t, handle(func(w http.ResponseWriter, r *http.Request) { w.Write(large[:100_000]) }),
		&reversehttp.Options{Client: &http.Client{Transport: transport}, Transport: reversehttp.TransportLink})
	resp, err := l.client(t).Get(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	if got := readBody(t, resp); got != string(large[:100_000]) {
		t.Errorf("visitor got %d, %d bytes", resp.StatusCode, len(got))
	}
	if n := largest.Load(); n < 100_000 {
		t.Errorf("the largest write has %d bytes, want all of the message", n)
	}
}

// weighed is a connection that notes its largest write.
type weighed struct {
	net.Conn
	largest *atomic.Int64
}

func (c *weighed) Write(p []byte) (int, error) {
	for n := int64(len(p)); ; {
		before := c.largest.Load()
		if n <= before || c.largest.CompareAndSwap(before, n) {
			return c.Conn.Write(p)
		}
	}
}
