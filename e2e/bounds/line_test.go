package bounds

import (
	"bytes"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// line is a slow line to a gateway: each connection through it has a rate in both directions.
type line struct {
	address, to string
	rate        int // bytes a second

	claims, links atomic.Int64 // requested

	relays sync.WaitGroup
	mu     sync.Mutex // guards the fields below
	ends   []net.Conn
}

// startLine starts a line that ends with the test.
func startLine(t *testing.T, gateway string, rate int) *line {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{address: listener.Addr().String(), to: strings.TrimPrefix(gateway, "http://"), rate: rate}
	l.relays.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			l.open(c)
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		l.mu.Lock()
		for _, c := range l.ends {
			_ = c.Close()
		}
		l.mu.Unlock()
		l.relays.Wait()
	})
	return l
}

// open connects a program to the gateway.
func (l *line) open(program net.Conn) {
	gateway, err := net.Dial("tcp", l.to)
	if err != nil {
		_ = program.Close()
		return
	}
	l.mu.Lock()
	l.ends = append(l.ends, program, gateway)
	l.mu.Unlock()
	l.relays.Go(func() { l.carry(gateway, program) })
	l.relays.Go(func() { l.carry(program, gateway) })
}

// carry copies one direction to its end.
func (l *line) carry(to, from net.Conn) {
	buf := make([]byte, 4<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			l.note(buf[:n])
			time.Sleep(time.Duration(n) * time.Second / time.Duration(l.rate))
			if _, err := to.Write(buf[:n]); err != nil {
				_ = from.Close()
				return
			}
		}
		if err != nil {
			_ = to.(*net.TCPConn).CloseWrite()
			return
		}
	}
}

// note counts what the head of a request asks for.
func (l *line) note(head []byte) {
	head, _, _ = bytes.Cut(head, []byte("\r\n"))
	switch method, target, _ := strings.Cut(string(head), " "); {
	case method == http.MethodPost && strings.HasPrefix(target, "/claims "):
		l.claims.Add(1)
	case method == http.MethodGet && strings.HasSuffix(target, "/link HTTP/1.1"):
		l.links.Add(1)
	}
}
