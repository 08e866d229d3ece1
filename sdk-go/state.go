package reversehttp

import "sync"

// State is the state of a session.
type State int

// The states of a session.
const (
	// Online: the last claim or poll succeeded.
	Online State = iota
	// Reconnecting: a poll failed, or the gateway ended its side of the session. The session
	// retries by itself.
	Reconnecting
	// Closed: the session has ended for good.
	Closed
)

// String returns online, reconnecting or closed.
func (s State) String() string {
	switch s {
	case Online:
		return "online"
	case Reconnecting:
		return "reconnecting"
	}
	return "closed"
}

// standing holds a state and passes every change to a listener, in order and one at a time. The goroutine
// that changes the state calls the listener, unless another call is running, which then passes on this change
// too; so the listener may change the state itself.
type standing struct {
	listener func(State)

	mu      sync.Mutex // guards what follows
	state   State
	untold  []State
	telling bool
}

// set changes the state. Closed is final.
func (s *standing) set(to State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == to || s.state == Closed {
		return
	}
	s.state = to
	s.tell(to)
}

// tell calls the listener with to, after the changes that are still untold. The caller holds s.mu,
// which is released during calls.
func (s *standing) tell(to State) {
	if s.listener == nil {
		return
	}
	s.untold = append(s.untold, to)
	if s.telling {
		return
	}
	s.telling = true
	for len(s.untold) > 0 {
		next := s.untold[0]
		s.untold = s.untold[1:]
		s.mu.Unlock()
		s.listener(next)
		s.mu.Lock()
	}
	s.telling = false
}

func (s *standing) get() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}
