package main

import (
	"net"
	"time"
)

// relayDelay is how long a relay keeps what it has, in each direction: two make a round trip.
const relayDelay = 10 * time.Millisecond

// relay passes connections on to an address, and what is sent on them a while
// later. Opening a connection is not delayed.
type relay struct {
	listener net.Listener
	to       string
}

// startRelay starts a relay to an address. It ends when it is closed.
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

// close takes no more connections. Those that are open end with their peers.
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

// piece is what was read at once, and when it is due.
type piece struct {
	bytes []byte
	due   time.Time
}

// later copies from one connection to the other with a delay, and closes both at the end.
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
