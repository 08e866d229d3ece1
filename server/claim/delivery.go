package claim

// Delivery is an exchange as a session that was given it has it: what the session's program may do
// with the request, and say of the answer. Whether the session holds the exchange is looked up by each
// of its methods, for it may end at any time.
type Delivery struct {
	session *Session
	id      string // of the exchange
}

// Delivery returns the exchange of an id as the session has it, whether it does or not.
func (s *Session) Delivery(id string) Delivery { return Delivery{s, id} }

// settle has how judge a message for the exchange where the session holds it, and same tell whether
// it repeats one where the exchange has ended.
func (d Delivery) settle(same func(tombstone) bool, how func(*Exchange) Result) (Result, error) {
	s := d.session
	s.claim.mu.Lock()
	defer s.claim.mu.Unlock()
	if err := s.answerable(); err != nil {
		return Unknown, err
	}
	x := s.held[d.id]
	if x == nil {
		return s.tombs.judge(d.id, same), nil
	}
	s.life.touch()
	r := how(x) // and so acknowledges it: a poll leaves out what is answered
	if s.poll != nil {
		s.poll.unstick()
	}
	return r, nil
}

// GiveBack takes the exchange from the session, whose program surely had nothing of
// it, and has another one get it, or the same again. One that somebody tried to hand over,
// and that is given back too often, fails with [ErrSessionLost]. It reports false where the
// exchange stays with the session, since a program may have had something of it.
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
