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

// This test needs a real connection, because only that can be reset.
func TestAnAnswerInHTTP10ThatIsCutShortEndsWithAReset(t *testing.T) {
	onBothPorts(t, Options{}, func(t *testing.T, g *Gateway, dial func() net.Conn) {
		o, err := g.registry.Open(netip.Addr{}, "demo", "t0", claim.Settings{})
		if err != nil {
			t.Fatal(err)
		}
		s := o.Session
		for _, cut := range []bool{false, true} {
			c := dial()
			_ = c.SetDeadline(time.Now().Add(10 * time.Minute))
			if _, err := fmt.Fprintf(c, "GET / HTTP/1.0\r\nHost: %s\r\n\r\n", host); err != nil {
				t.Fatal(err)
			}
			p, err := s.Open(nil, 10*time.Second, claim.Flow{})
			if err != nil {
				t.Fatal(err)
			}
			b, _, err := p.Next(t.Context(), time.Time{}, nil)
			if err != nil || len(b.Messages) != 1 {
				t.Fatalf("poll: %v %v", b, err)
			}
			id := b.Messages[0].Exchange.ID()
			if r, err := s.Delivery(id).Answer(&claim.Answer{Status: 200, Content: []byte("first"), More: true}, nil); r != claim.Accepted || err != nil {
				t.Fatalf("answer: %v %v", r, err)
			}
			buf := make([]byte, 4096)
			if n, err := c.Read(buf); n == 0 || err != nil {
				t.Fatal(n, err)
			}
			if cut {
				s.Delivery(id).Abort()
			} else {
				s.Delivery(id).Part(t.Context(), claim.Part{Seq: 1})
			}
			if _, err := io.ReadAll(c); (err != nil) != cut {
				t.Errorf("cut %v: the connection ended with %v", cut, err)
			}
			_ = c.Close()
		}
	})
}
