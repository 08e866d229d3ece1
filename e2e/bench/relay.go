package main

import (
	"net"
	"time"
)

// relayDelay is how long a relay delays data in each direction, half of the round trip.
const relayDelay = 10 * time.Millisecond

// relay relays connections to an address, and delays their data. It does not delay opening a connection.
type relay struct {
	listener net.Listener
	to       string
}

// startRelay starts a relay to an address, until it is closed.
func startRelay(to string) (*relay, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &relay{l, to}
	go r.accept()
	return r, nil
}

func (r *relay) address() string { return r.listener.Addr().String() }

// close stops accepting connections. Open ones end with their peers.
func (r *relay) close() { _ = r.listener.Close() }

func (r *relay) accept() {
	for {
		near, err := r.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", r.to)
		if err != nil {
			_ = near.Close()
			continue
		}
		go later(far, near)
		go later(near, far)
	}
}

// piece is the data of one read, and when to write it.
type piece struct {
	bytes []byte
	due   time.Time
}

// later copies from one connection to the other with the delay, and closes both at the end.
func later(to, from net.Conn) {
	way := make(chan piece, 1024)
	go func() {
		defer close(way)
		for {
			b := make([]byte, 32<<10)
			n, err := from.Read(b)
			if n > 0 {
				way <- piece{b[:n], time.Now().Add(relayDelay)}
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range way {
		time.Sleep(time.Until(p.due))
		if _, err := to.Write(p.bytes); err != nil {
			break
		}
	}
	_ = to.Close()
	_ = from.Close()
	for range way {
	}
}
