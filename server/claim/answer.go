package claim

// Result is what became of an answer.
type Result int

// The results that the core gives. A door adds "invalid".
const (
	Accepted Result = iota
	Duplicate
	Conflict
	Late
	Unknown
)

// String gives the word of the wire.
func (r Result) String() string {
	return [...]string{"accepted", "duplicate", "conflict", "late", "unknown"}[r]
}

// Holds gives the request of an open exchange that the session holds, or nil.
func (s *Session) Holds(id string) *Request {
	s.claim.mu.Lock()
	defer s.claim.mu.Unlock()
	if x := s.held[id]; x != nil {
		return x.request
	}
	return nil
}

// Answerable fails with [ErrSessionFenced] or [ErrNoSession] where the session
// may not answer any more. One whose claim has ended still may.
func (s *Session) Answerable() error {
	s.claim.mu.Lock()
	defer s.claim.mu.Unlock()
	return s.answerable()
}

func (s *Session) answerable() error {
	if s.gone == ErrSessionFenced || s.gone == ErrNoSession {
		return s.gone
	}
	return nil
}

// Answer ends an exchange with a, which the core does not look into. The caller
// does not change a afterwards.
func (s *Session) Answer(id string, a *Answer) (Result, error) {
	return s.settle(id, a, func(x *Exchange) { x.finish(Done, a, nil) })
}

// Abort gives an exchange up: the visitor gets [ErrHandlerFailed].
func (s *Session) Abort(id string) (Result, error) {
	return s.settle(id, nil, func(x *Exchange) {
		x.seen = true
		x.fail(ErrHandlerFailed)
	})
}

func (s *Session) settle(id string, a *Answer, how func(*Exchange)) (Result, error) {
	c := s.claim
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := s.answerable(); err != nil {
		return Unknown, err
	}
	x := s.held[id]
	if x == nil {
		return s.judge(id, a), nil
	}
	s.touch()
	how(x) // and so acknowledges it: a poll leaves out what has ended
	return Accepted, nil
}
