package cluster

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	reversehttp "reversehttp/sdk-go"
)

// servePlaced serves a label by a transport until the test ends. Its claim is kept by the first node,
// and all that follows goes to the second one.
func servePlaced(t *testing.T, c *Nodes, label string, by reversehttp.Transport, handler http.HandlerFunc) {
	t.Helper()
	var at atomic.Pointer[Node] // takes what the program sends
	at.Store(c.All[0])
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, at.Load().Address)
	}}}
	s, err := reversehttp.Claim(t.Context(), c.URL(), &reversehttp.Options{Label: label, Transport: by, Client: client, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if claims, err := c.All[0].Metric("reversehttp_claims "); err != nil || claims == 0 {
		t.Fatalf("%s keeps %v claims, %v", c.All[0].Name, claims, err)
	}
	at.Store(c.All[1])
	untilTheEnd(t, s, handler)
}

// transports are those of programs whose connections differ.
var transports = []reversehttp.Transport{reversehttp.TransportLink, reversehttp.TransportFramed, reversehttp.TransportStream}
