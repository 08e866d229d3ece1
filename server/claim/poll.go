package claim

import (
	"cmp"
	"context"
	"math/rand/v2"
	"runtime"
	"time"
)

// Batch is the result of a poll: messages, and the cursor of the last one.
type Batch struct {
	Cursor   string
	Messages []Message

	notes []noting // that are due before it is handed over
}

// Message is a request or a cancellation.
type Message struct {
	// ID is the exchange's id.
	ID string
	// Exchange is the exchange of a request; nil for a cancellation.
	Exchange *Exchange
	// Cursor names the message.
	Cursor string
	// Cancel is empty for a request.
	Cancel CancelReason
	// Attempt counts the deliveries of a request, from 1.
	Attempt int
	// MayRepeat reports whether a request would be delivered again if the session were lost now.
	MayRepeat bool
	// Timeout is how long the gateway still waits for the answer.
	Timeout time.Duration
}

// poll is an open poll of a session. claim.mu guards it, but for the channel.
type poll struct {
	session *Session
	woken   chan struct{}   // buffered, one place
	yields  bool            // a newer poll took its place
	begun   bool            // it has redelivered what was not acknowledged before
	full    int             // the most unacknowledged content, in bytes; 0 means fullBatch
	timer   *time.Timer     // of the wait; nil until the first one
	nap     Napper          // how to wait; nil means on woken
	link    LinkDoor        // the door of a link, which does not wait; nil for any other poll
	stuck   bool            // a link took nothing because too much is unacknowledged
	many    bool            // it is a stream or a link: requests that come at the same moment go together
	hungUp  func() bool     // see [Flow.HungUp]; nil if unknown
	left    bool            // it ended because its program hung up
	parting <-chan struct{} // see [Flow.Parting]
}

// wake ends the wait for p. The caller holds claim.mu.
func (p *poll) wake() {
	if p.link != nil {
		p.link.Ready()
		return
	}
	poke(p.woken)
	if p.nap != nil {
		p.nap.Rouse()
	}
}

// poke wakes the receiver of a channel of capacity 1. Poking twice is like poking once.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// parted reports whether the node that accepted the poll is about to end.
func (p *poll) parted() bool {
	select {
	case <-p.parting:
		return true
	default:
		return false
	}
}

// waitBy makes the poll wait by n from now on, or on its channel if n is nil.
func (p *poll) waitBy(n Napper) {
	p.session.claim.mu.Lock()
	defer p.session.claim.mu.Unlock()
	p.nap = n
}

// next waits until take returns a batch, the deadline passes, or take reports that the session
// holds all it may. It reports whether the poll is over.
func (p *poll) next(ctx context.Context, until time.Time, take func() (*Batch, bool)) (b *Batch, over bool, err error) {
	s, c := p.session, p.session.claim
	timeUp := !time.Now().Before(until)
	for {
		c.mu.Lock()
		switch {
		case p.yields:
			c.mu.Unlock()
			return nil, true, nil
		case s.gone == ErrMoved, p.parted(): // the program's next poll reaches its session elsewhere
			c.queue.unpark(s)
			s.out.giveBack()
			c.mu.Unlock()
			return nil, true, nil
		case s.gone != nil:
			defer c.mu.Unlock()
			return nil, true, s.gone
		case ctx.Err() != nil:
			c.queue.unpark(s)
			s.out.giveBack()
			p.left = p.hungUp != nil && p.hungUp()
			c.mu.Unlock()
			return nil, true, ctx.Err()
		}
		b, full := take()
		if b != nil || full {
			c.queue.unpark(s)
		}
		if full {
			s.out.giveBack() // others may get it
		}
		if b != nil || full || timeUp {
			c.mu.Unlock()
			if b != nil && len(b.notes) > 0 && !b.noted() {
				continue
			}
			if b != nil {
				err = nil
			}
			return b, full || err != nil, err
		}
		c.queue.park(s) // what woke it may be gone, such as a visitor
		c.mu.Unlock()
		timeUp, err = p.wait(ctx, until, c.registry)
		runtime.Gosched() // so that requests that others have ready go along
	}
}

// wait returns when the poll is woken or its time is over. When the gateway stops it fails with
// ErrDraining, at a different time for each poll.
func (p *poll) wait(ctx context.Context, until time.Time, r *Registry) (over bool, why error) {
	draining := r.drain.begins
	for napped := p.nap != nil; napped; {
		p.nap.Until(until) // before the check below: whatever comes after it rouses the nap
		select {
		case <-p.woken:
			return false, nil
		case <-draining:
			draining, why = nil, ErrDraining
			until = time.Now().Add(rand.N(r.drain.spread))
			continue
		default:
		}
		napped = p.nap.Nap()
		switch {
		case ctx.Err() != nil:
			return true, nil
		case !time.Now().Before(until):
			return true, why
		}
	}
	if p.timer == nil {
		p.timer = time.NewTimer(time.Until(until))
	} else {
		p.timer.Reset(time.Until(until))
	}
	timer := p.timer
	defer timer.Stop()
	for {
		select {
		case <-p.woken:
			return false, nil
		case <-ctx.Done():
			return true, nil
		case <-p.parting:
			return false, nil // next looks
		case <-timer.C:
			return true, why
		case <-draining:
			draining, why = nil, ErrDraining
			timer.Reset(rand.N(r.drain.spread))
		}
	}
}

// openPoll acknowledges messages up to cursor and makes a new poll the session's. The caller must
// close it.
func openPoll(s *Session, cursor *string, flow Flow) (*poll, error) {
	c := s.claim
	c.mu.Lock()
	defer c.mu.Unlock()
	p, err := openPollLocked(s, cursor)
	if err == nil {
		s.inline = flow.Inline
		p.full, p.many = flow.Unacknowledged, flow.Stream
		p.hungUp, p.parting = flow.HungUp, flow.Parting
	}
	if err == nil && !c.lease.polled { // its record is to say that the claim is in use
		c.lease.polled = true
		c.keeper.mending.after(0)
	}
	return p, err
}

// openPollLocked is openPoll. The caller holds claim.mu.
func openPollLocked(s *Session, cursor *string) (*poll, error) {
	if s.gone != nil {
		return nil, s.gone
	}
	if err := s.acknowledge(cursor); err != nil {
		return nil, err
	}
	if s.claim.registry.drain.begun() {
		return nil, ErrDraining
	}
	return newPoll(s), nil
}

// newPoll makes the session's poll, replacing an older one. The caller holds claim.mu.
func newPoll(s *Session) *poll {
	if s.poll != nil {
		s.poll.yields = true
		s.wake()
	} else {
		s.claim.lease.pollBegins()
	}
	s.life.hangup.forget()
	s.poll = &poll{session: s, woken: make(chan struct{}, 1)}
	return s.poll
}

func (p *poll) close() {
	p.session.claim.mu.Lock()
	defer p.session.claim.mu.Unlock()
	p.end()
}

// end notes the end of the poll, unless a newer one took its place. The caller
// holds claim.mu.
func (p *poll) end() {
	if p.yields {
		return
	}
	s, c := p.session, p.session.claim
	c.queue.unpark(s)
	s.poll = nil
	c.lease.pollEnds()
	s.life.touch()
	if p.left {
		s.life.hangup.note()
	}
}

// yield ends the poll, if there is one, as a newer poll would. The caller holds claim.mu.
func (p *poll) yield() {
	if p == nil {
		return
	}
	p.end()
	p.yields = true
	p.session.out.giveBack()
	p.wake()
}

// giveBack requeues requests assigned to a poll that ended before it took them. The caller holds
// claim.mu.
func (o *outbox) giveBack() {
	var moving []*Exchange
	o.next.keep(func(m *message) bool {
		if m.exchange != nil {
			moving = append(moving, m.exchange)
		}
		return m.cancel != ""
	})
	o.session.claim.queue.putBack(moving)
}

// fullBatch is how many bytes of content make a batch full, so that on a slow line it arrives
// before its session counts as lost.
const fullBatch = 1 << 20

// take returns messages for the session: unacknowledged ones, once a poll, and then those that
// wait; nil if there are none. It reports whether the most that may be unacknowledged is. The
// caller holds claim.mu.
func (p *poll) take(most int) (b *Batch, full bool) {
	s := p.session
	isFull := func() bool { return s.out.sent.len() >= most || s.out.sent.size >= cmp.Or(p.full, fullBatch) }
	if !p.begun || isFull() {
		s.out.tidy()
	}
	from := s.out.sent.len()
	if !p.begun {
		from, p.begun = 0, true
	}
	for !isFull() {
		m, ok := s.out.nextMessage()
		if !ok {
			break
		}
		s.out.assign(m)
	}
	giving := s.out.sent.list()[from:]
	if len(giving) == 0 {
		return nil, isFull()
	}
	return s.out.give(giving[:min(len(giving), most)]), false
}

// assign appends m to the messages that the session was given. The caller holds claim.mu.
func (o *outbox) assign(m message) {
	o.given++
	given := sentMessage{number: o.given, id: m.id, cancel: m.cancel}
	if x := m.exchange; x != nil {
		o.session.numbers.add(x)
		x.state, x.session = delivered, o.session
		if x.due.given.IsZero() {
			x.due.given = time.Now()
		}
		o.session.held[x.id] = x
		given.size = x.request.weight()
		o.session.claim.adoption.came() // its program may have answered an earlier delivery
	}
	o.sent.push(given)
	o.sent.size += given.size
}

// give returns a batch of those of the given messages that still wait. The caller holds claim.mu.
func (o *outbox) give(giving []sentMessage) *Batch {
	now := time.Now()
	b := &Batch{Messages: make([]Message, len(giving))}
	for i := range giving {
		m := &giving[i]
		m.at, m.noted = now, false
		b.Messages[i] = Message{ID: m.id, Cursor: cursorOf(o.session.id, m.number), Cancel: m.cancel}
		if m.cancel == "" {
			x := o.session.held[m.id]
			x.attempt++
			x.watch.delivered(o.session)
			b.Messages[i].Exchange, b.Messages[i].Attempt = x, x.attempt
			b.Messages[i].MayRepeat = x.mayRepeat()
			b.noteFor(x, o.session, m.number)
			b.Messages[i].Timeout = max(x.due.given.Add(x.Timeout).Sub(now), 0)
		}
	}
	b.Cursor = b.Messages[len(giving)-1].Cursor
	return b
}
