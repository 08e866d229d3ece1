package family

import (
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"reversehttp/server/gateway"
)

// TestTargetsArriveByteForByte compares bytes, since net/http refuses some of the targets.
func TestTargetsArriveByteForByte(t *testing.T) {
	for name, turn := range ways {
		if strings.HasPrefix(name, "rh") {
			continue // the gateway first asks there for the label, and the rest is the same
		}
		t.Run(name, func(t *testing.T) {
			for _, target := range []string{"/%zz/%/%2", "//a//b/../%2e?x=%zz;&&", "/caf\xc3\xa9?\xff", "/|^`{}[]<>\"\\"} {
				w := newTown(t, gateway.Options{})
				c := turn(w)
				v := w.dial()
				_, _ = io.WriteString(v, "GET "+target+" HTTP/1.1\r\nHost: "+w.authority()+"\r\n\r\n")
				_ = c.SetReadDeadline(time.Now().Add(patience))
				got := ""
				if strings.HasSuffix(name, "h2") {
					got = path(t, c)
				} else {
					line, err := c.in.ReadString('\n')
					if err != nil {
						t.Fatal(err)
					}
					got = strings.TrimSuffix(strings.TrimPrefix(line, "GET "), " HTTP/1.1\r\n")
				}
				if got != target {
					t.Errorf("target %q, want %q", got, target)
				}
				_ = v.Close()
				_ = c.Conn.Close()
			}
		})
	}
}

// path reads the target of the first request on an HTTP/2 connection.
func path(t *testing.T, c *talk) string {
	t.Helper()
	f := c.framer()
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if h, ok := frame.(*http2.MetaHeadersFrame); ok {
			return h.PseudoValue("path")
		}
	}
}
