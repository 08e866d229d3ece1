package reversehttp

import "sync"

// State tells how a session stands with its gateway.
type State int

// The states of a session.
const (
	// Online: the last thing the gateway said was good, a claim or the answer to a poll.
	Online State = iota
	// Reconnecting: a poll failed, or the gateway ended its side of the session. The session tries again by itself.
	Reconnecting
	// Closed: the session is over and stays so.
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

// standing holds a state and tells a listener of every change, in order and one at a time. The listener is called by
// whoever changes the state, or by whoever is in a call of it already, so it may change the state itself.
type standing struct {
	listener func(State)

	mu      sync.Mutex // guards what follows
	state   State
	untold  []State
	telling bool
}

// set changes the state. Closed is for ever.
func (s *standing) set(to State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == to || s.state == Closed {
		return
	}
	s.state = to
	s.tell(to)
}

// tell calls the listener with to, after what is untold already. The caller holds s.mu, which is free during calls.
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
