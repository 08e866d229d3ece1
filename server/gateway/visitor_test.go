package gateway

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"reversehttp/schema/envelope"
)

func mustAddrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// visitor is a connection that writes bytes and reads answers.
type visitor struct {
	world *world
	conn  net.Conn
	in    *bufio.Reader
	got   *reply
	done  chan struct{}
	all   []*reply // the answers that next read
	// method is the method of the request whose answer is awaited, and taking reports whether that is being
	// read.
	method string
	taking bool
}

// dial connects a visitor from an address.
func (w *world) dial(from string) *visitor {
	w.t.Helper()
	conn, err := w.network.dial(from)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close() })
	return &visitor{world: w, conn: conn, in: bufio.NewReader(conn)}
}

// write writes on its own goroutine, since a peer that refuses may not read everything.
func (v *visitor) write(p []byte) {
	go func() { _, _ = v.conn.Write(p) }()
}

// read reads one answer to a request of a method; informational ones are skipped.
func (v *visitor) read(method string) *reply {
	for {
		resp, err := http.ReadResponse(v.in, &http.Request{Method: method})
		if err == nil && resp.StatusCode < 200 {
			continue
		}
		return newReply(resp, err)
	}
}

// visit sends the bytes of one request, whose answer await returns.
func (w *world) visit(raw string) *visitor {
	w.t.Helper()
	v := w.dial(visitorAddr)
	v.send(raw)
	return v
}

func (v *visitor) send(raw string) {
	v.begin(raw)
	v.receive()
}

// begin sends one request without reading the answer.
func (v *visitor) begin(raw string) {
	v.method, _, _ = strings.Cut(raw, " ")
	v.taking, v.done = false, make(chan struct{})
	v.write([]byte(raw))
}

// receive begins to read the answer, unless that has begun.
func (v *visitor) receive() {
	if v.taking {
		return
	}
	v.taking = true
	go func() {
		defer close(v.done)
		v.got = v.read(v.method)
	}()
}

// await waits for the answer.
func (v *visitor) await() *reply {
	v.world.t.Helper()
	<-v.done
	if v.got.Err != nil {
		v.world.t.Fatalf("visitor: %v", v.got.Err)
	}
	return v.got
}

// pending reports whether the answer has not arrived yet.
func (v *visitor) pending() bool {
	select {
	case <-v.done:
		return false
	default:
		return true
	}
}

// ask sends one request and waits for the answer of the gateway itself.
func (w *world) ask(raw string) *reply {
	w.t.Helper()
	return w.visit(raw).await()
}

// get returns a plain request for a target at a host, after which the connection ends.
func get(host, target string, fields ...string) string {
	return requestTo("GET", host, target, fields...)
}

func requestTo(method, host, target string, fields ...string) string {
	raw := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", method, target, host)
	for _, f := range fields {
		raw += f + "\r\n"
	}
	return raw + "\r\n"
}

// host is the authority of the label demo in the shape of its own host.
const host = "demo.localhost:8080"

// toString returns a target with each byte as a character.
func toString(target string) string { return envelope.Characters(target) }

// rest returns the bytes after the last answer, until the connection ends.
func (v *visitor) rest() []byte {
	b, _ := io.ReadAll(v.in)
	return bytes.TrimSpace(b)
}
