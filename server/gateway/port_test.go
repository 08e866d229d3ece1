package gateway

import (
	"io"
	"net"
	"testing"
	"time"

	"reversehttp/server/claim"
)

// The bounds of connections in package wire that tests of the gateway observe.
const (
	lingerTime    = 2 * time.Second
	writeGrace    = 30 * time.Second
	writeRate     = 1_024 // bytes a second
	streamsAtOnce = 128
	streamWindow  = 128 << 10 // bytes
	readBuffer    = 4 << 10   // bytes, of net/http
)

func TestALimitedConnectionIsOneOfTCP(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g, err := New(Options{Limits: claim.Limits{Connections: 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	l := g.Limit(inner)
	defer func() { _ = l.Close() }()
	accepted := make(chan net.Conn)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- c
		}
	}()
	for range 2 { // the second gets the place of the first
		peer, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = peer.SetDeadline(time.Now().Add(10 * time.Minute))
		c := <-accepted
		half, ok := c.(interface{ CloseWrite() error })
		if !ok {
			t.Fatal("one side of it cannot be ended")
		}
		if err := half.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(peer); err != nil {
			t.Errorf("the peer read until %v", err)
		}
		if _, ok := c.(interface{ SetLinger(int) error }); !ok {
			t.Error("it cannot be reset")
		}
		_ = c.Close()
		_ = c.Close()
		_ = peer.Close()
	}
	_ = l.Close()
	if _, open := <-accepted; open {
		t.Error("a closed listener accepts")
	}
}
