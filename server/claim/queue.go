package claim

import (
	"container/list"
	"slices"
)

// queue holds what waits in a claim: exchanges for a session, or sessions for an exchange, never
// both. claim.mu guards it.
type queue struct {
	claim     *Claim
	exchanges list.List  // of *Exchange, longest first
	parked    []*Session // whose open poll waits, longest first
}

// mostAtOnce is how many exchanges are assigned to a stream or a link before it takes the first.
const mostAtOnce = 16

// put assigns x to the session that has waited longest, or queues x. The caller holds claim.mu.
func (q *queue) put(x *Exchange) {
	if x.state == ended {
		return
	}
	x.state, x.session = queued, nil
	x.due.enter()
	switch {
	case q.claim.gone != nil:
		x.fail(missing(q.claim.gone))
	case q.claim.registry.drain.begun():
		x.fail(ErrDraining)
	case len(q.parked) > 0:
		s := q.parked[0]
		x.session = s
		s.out.next.push(message{id: x.id, exchange: x})
		// A session that takes many stays first in line until it takes them: exchanges that come at
		// the same moment go together, at less than half the cost.
		if !s.poll.many || s.out.next.len() >= mostAtOnce {
			q.unpark(s)
		}
		s.poll.wake()
	default:
		x.element = q.exchanges.PushBack(x)
	}
}

// putBack puts exchanges that sessions had at the front of the queue. The caller holds claim.mu.
func (q *queue) putBack(xs []*Exchange) {
	first := q.exchanges.Front()
	for _, x := range xs {
		if q.put(x); x.element != nil && first != nil {
			q.exchanges.MoveBefore(x.element, first)
		}
	}
}

// take removes x, which is queued or assigned to a session that has not taken it. The caller holds
// claim.mu.
func (q *queue) take(x *Exchange) {
	if x.element != nil {
		q.exchanges.Remove(x.element)
		x.element = nil
		return
	}
	if x.session != nil {
		x.session.out.unassign(x)
	}
}

// pop removes and returns the exchange that has waited longest, or nil. The caller holds claim.mu.
func (q *queue) pop() *Exchange {
	e := q.exchanges.Front()
	if e == nil {
		return nil
	}
	x := q.exchanges.Remove(e).(*Exchange)
	x.element = nil
	return x
}

// fail fails all queued exchanges with why. The caller holds claim.mu.
func (q *queue) fail(why error) {
	for e := q.exchanges.Front(); e != nil; e = q.exchanges.Front() {
		e.Value.(*Exchange).fail(why)
	}
}

// movable returns how many queued exchanges can go on at another registry. The caller holds claim.mu.
func (q *queue) movable() (n int) {
	for e := q.exchanges.Front(); e != nil; e = e.Next() {
		if movable(e.Value.(*Exchange)) {
			n++
		}
	}
	return n
}

// park makes s wait for an exchange, unless it already does. The caller holds claim.mu.
func (q *queue) park(s *Session) {
	if !slices.Contains(q.parked, s) {
		q.parked = append(q.parked, s)
	}
}

// unpark removes s from the sessions that wait. The caller holds claim.mu.
func (q *queue) unpark(s *Session) {
	if i := slices.Index(q.parked, s); i >= 0 {
		q.parked = slices.Delete(q.parked, i, i+1)
	}
}
