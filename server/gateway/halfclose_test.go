package gateway

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"reversehttp/server/claim"
)

// TestAVisitorWhoEndsItsSideCountsAsGone needs a real connection: only there can a peer end its sending side
// and keep reading. net/http cancels the request at the end of the data, and does not distinguish the two.
func TestAVisitorWhoEndsItsSideCountsAsGone(t *testing.T) {
	onBothPorts(t, Options{}, func(t *testing.T, g *Gateway, dial func() net.Conn) {
		visit := func(request string) string {
			c := dial()
			defer func() { _ = c.Close() }()
			_ = c.SetDeadline(time.Now().Add(10 * time.Minute))
			if _, err := io.WriteString(c, request); err != nil {
				t.Fatal(err)
			}
			if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(c)
			if err != nil {
				t.Fatal(err)
			}
			return string(got)
		}
		if _, err := g.registry.Open(netip.Addr{}, "demo", "t0", claim.Settings{}); err != nil {
			t.Fatal(err)
		}
		// No session polls, so a visitor who waits gets 503 after 5 s.
		if got := visit(fmt.Sprintf("GET / HTTP/1.1\r\nHost: %s\r\n\r\n", host)); got != "" {
			t.Errorf("a visitor who ended its side got %q, want the end of the connection", got)
		}
		if n := g.registry.Stats().Exchanges; n != 0 {
			t.Errorf("%d exchanges are open, want none", n)
		}
	})
}
