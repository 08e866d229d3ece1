package abuse

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"
)

// idleConnection is a connection on which one request was answered.
type idleConnection struct {
	net.Conn
	answered chan struct{} // closed when it was
}

// open connects from an address and asks for the discovery.
func (s source) open(t *testing.T, g *gateway) *idleConnection {
	t.Helper()
	c := &idleConnection{Conn: s.dial(t, g), answered: make(chan struct{})}
	if _, err := fmt.Fprintf(c, "GET /.well-known/reversehttp HTTP/1.1\r\nHost: %s\r\n\r\n", domain); err != nil {
		t.Fatal(err)
	}
	go func() {
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if endOfResponse(resp, err) == "200" {
			close(c.answered)
		}
	}()
	return c
}

// closed reports whether the gateway has closed the connection, which the kernel knows at once.
func (c *idleConnection) closed(t *testing.T) (closed bool) {
	t.Helper()
	raw, err := c.Conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Read(func(fd uintptr) bool {
		n, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		closed = n <= 0 && err != syscall.EAGAIN
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return closed
}

// givenUp is how long an attacker tries before it concludes that the gateway accepts no more.
const givenUp = 5 * time.Second

// idledAlike is by how many connections the gateway's order of idling may differ from the order of answers.
const idledAlike = 16

// keepIdle opens as many connections as it can from one address, one after the other, and lets them idle.
// Newcomers then still get in, and the gateway closes the connections that have idled longest.
func keepIdle(t *testing.T, w *world) {
	var idle []*idleConnection
	defer func() {
		for _, c := range idle {
			_ = c.Close()
		}
	}()
	held := 0
	for held < 500 {
		c := attacker(0).open(t, w.gateway)
		idle = append(idle, c)
		select {
		case <-c.answered:
			held++
			continue
		case <-time.After(givenUp):
		}
		break
	}
	w.goOn("connections idle", 50)
	for _, h := range w.crowds {
		h.end()
	}
	// The youngest first: connections closed meanwhile are older than those already checked.
	closed, oldestOpen, youngestClosed := 0, held, -1
	for i := held - 1; i >= 0; i-- {
		if idle[i].closed(t) {
			closed++
			youngestClosed = max(youngestClosed, i)
		} else {
			oldestOpen = i
		}
	}
	t.Logf("%d connections were answered and idled; %d of them were closed, %d the youngest; %d is the oldest that is open", held, closed, youngestClosed, oldestOpen)
	if closed == 0 {
		t.Errorf("the gateway closed none of %d idle connections of one address, want some", held)
	}
	if youngestClosed > oldestOpen+idledAlike {
		t.Errorf("the gateway closed idle connection %d and not %d, which idled longer; want the longest idle closed first", youngestClosed, oldestOpen)
	}
}
