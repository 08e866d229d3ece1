package claim

// Delivery is an exchange that a session was given. Its methods are what the session's program may
// do with the request and say of the answer. Each looks up whether the session still holds the
// exchange, which may end at any time.
type Delivery struct {
	session *Session
	id      string // of the exchange
}

// Delivery returns the delivery of an exchange to the session, whether or not the session holds it.
func (s *Session) Delivery(id string) Delivery { return Delivery{s, id} }

// settle calls how for an exchange that the session holds, and same to recognise a repeat for an
// exchange that has ended.
func (d Delivery) settle(same func(tombstone) bool, how func(*Exchange) Result) (Result, error) {
	s := d.session
	s.claim.mu.Lock()
	defer s.claim.mu.Unlock()
	if err := s.answerable(); err != nil {
		return Unknown, err
	}
	x := s.held[d.id]
	switch {
	case x == nil && s.gone == ErrMoved && !s.tombs.has(d.id):
		return Unknown, ErrMoved
	case x == nil:
		return s.tombs.judge(d.id, same), nil
	}
	s.life.touch()
	r := how(x) // which acknowledges it too: polls leave out what is answered
	if s.poll != nil {
		s.poll.unstick()
	}
	return r, nil
}

// GiveBack takes the exchange from the session, whose program has certainly had nothing of it, and
// queues it again. tried says that a door tried to hand it over; an exchange that is tried and
// given back too often fails with [ErrSessionLost]. GiveBack reports false if the exchange stays
// with the session because its program may have had something of it.
func (d Delivery) GiveBack(tried bool) (gone bool) {
	s := d.session
	c := s.claim
	c.mu.Lock()
	defer c.mu.Unlock()
	x := s.held[d.id]
	if x == nil {
		return true
	}
	if x.state != delivered || x.fetched || x.seen || x.attempt > 1 { // an earlier delivery may have arrived
		return false
	}
	delete(s.held, d.id)
	s.numbers.forget(d.id, x.number)
	x.attempt--
	if tried {
		x.moves++
	}
	if x.moves > mostMoves {
		x.state, x.session = queued, nil
		x.fail(ErrSessionLost)
		return true
	}
	x.due.lookLater()
	c.queue.putBack([]*Exchange{x})
	return true
}
