package family

import (
	"net"
	"sync"
	"time"
)

// A program may close a connection of HTTP/1.1 after an answer, or when it is idle, without
// announcing it, and so while the next request is on its way. Nobody can then know whether the
// program had that request, so a POST would be lost. A request that may not be repeated therefore
// goes only over a connection that is fresh, or whose program is known to keep it:
//
//	unknown    the connection rests first, until it is closed or has stayed open for settle
//	closes     the same for any request; the program brings fresh connections
//	keeps      it is used again
//	idles      up to half the time after which the program was seen to close; then it is given up
//
// What is learnt applies to all connections of a claim from one address.
type habit struct {
	mu     sync.Mutex    // guards what follows
	keeps  bool          // it was seen to keep a connection after an answer
	closes bool          // it was recently seen to close one at once
	idle   time.Duration // the shortest idle time after which it closed one; 0 means never
}

// trust says how a connection that has answered may be used.
type trust int

const (
	use    trust = iota // it is certainly open
	rest                // it has to prove that it stays open
	giveUp              // it may close at any moment
)

// settle is how long a connection must stay open after an answer to show that its program does not
// close it.
const settle = time.Second

// closed notes that the program closed a connection, and how long after an answer.
func (h *habit) closed(after time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case after < settle:
		h.closes = true
	case h.idle == 0 || after < h.idle:
		h.idle = after
	}
}

// kept notes that a connection stayed open for settle after an answer, or was used again.
func (h *habit) kept() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.keeps, h.closes = true, false
}

// closesAtOnce reports whether the program closes a connection after its answer.
func (h *habit) closesAtOnce() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.closes
}

// trusts returns how a connection may be used whose last answer was age ago.
func (h *habit) trusts(age time.Duration) trust {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case age < settle && (h.closes || !h.keeps):
		return rest
	case h.idle > 0 && age >= h.idle/2:
		return giveUp
	}
	return use
}

// habits holds the habits of programs seen recently.
type habits struct {
	mu  sync.Mutex // guards all
	all map[string]*habit
}

// mostHabits bounds the number of programs that are remembered.
const mostHabits = 1_024

// of returns the habit of the program that serves a label from an address.
func (h *habits) of(label string, from net.Addr) *habit {
	address, _, err := net.SplitHostPort(from.String())
	if err != nil {
		address = from.String()
	}
	name := label + " " + address
	h.mu.Lock()
	defer h.mu.Unlock()
	if one := h.all[name]; one != nil {
		return one
	}
	if h.all == nil {
		h.all = make(map[string]*habit)
	}
	for old := range h.all {
		if len(h.all) < mostHabits {
			break
		}
		delete(h.all, old)
	}
	h.all[name] = &habit{}
	return h.all[name]
}
