package family

import (
	"bufio"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"reversehttp/server/gateway"
)

// A program that sends data is alive even without answers to PING, which wait behind other data. A silent one
// counts as gone after 25 s.
func TestAConnectionEndsWhenItsProgramIsSilent(t *testing.T) {
	for name, says := range map[string]time.Duration{"something now and then": 20 * time.Second, "nothing": 0} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, gateway.Options{}, func(b *bubble) {
				l := b.dial(visitorAt)
				l.say("GET /.well-known/ptth/http%3A%2F%2Fdemo.localhost%3A8080/ HTTP/1.1\r\nHost: localhost:8080\r\n" +
					"Authorization: Bearer t0\r\nConnection: upgrade\r\nUpgrade: ptth\r\nALPN: h2\r\n\r\n")
				resp, err := http.ReadResponse(l.in, nil)
				if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
					t.Fatalf("answer %+v %v, want 101", resp, err)
				}
				begun := time.Now()
				var pings atomic.Int64
				ended := make(chan time.Duration, 1)
				go func() {
					_, _ = io.ReadFull(l.in, make([]byte, len(http2.ClientPreface)))
					frames := http2.NewFramer(nil, bufio.NewReader(l.in))
					for {
						f, err := frames.ReadFrame()
						if err != nil {
							ended <- time.Since(begun)
							return
						}
						if f.Header().Type == http2.FramePing {
							pings.Add(1)
						}
					}
				}()
				frames := http2.NewFramer(l.Conn, nil)
				if err := frames.WriteSettings(); err != nil {
					t.Fatal(err)
				}
				for range 10 {
					time.Sleep(20 * time.Second)
					if says > 0 {
						_ = frames.WriteWindowUpdate(0, 1)
					}
				}
				select {
				case after := <-ended:
					if says > 0 || after != silentMost || pings.Load() != 1 {
						t.Errorf("the connection ended after %v, and %d questions", after, pings.Load())
					}
				default:
					if says == 0 || pings.Load() == 0 {
						t.Errorf("the connection is open after %v, and %d questions", time.Since(begun), pings.Load())
					}
				}
				_ = l.Close()
			})
		})
	}
}
