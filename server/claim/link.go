package claim

import "time"

// Link is an open poll that does not wait: its door is told when there is something to take, and sends answers on the
// same connection without waiting for visitors. The door shows that the program lives, by [LinkDoor.Heard].
type Link struct {
	poll *poll
	door LinkDoor
	most int
	// closed says that Close was called; claim.mu guards it.
	closed bool
}

// LinkDoor is what a [Link] asks and tells its door. Ready and Confirmed are called with the claim locked: they do not
// block and do not call the claim.
type LinkDoor interface {
	// Ready is called when [Link.Take] may return something after it returned nothing.
	Ready()
	// Confirmed is called when it is known what became of content that [Link.Answer] or [Link.Part] took.
	Confirmed(Confirmation)
	// Heard returns when the program was heard last.
	Heard() time.Time
	// RoundTrip returns how long a message to the program and its answer take.
	RoundTrip() time.Duration
}

// Confirmation is what became of the content of a message that was taken on a link.
type Confirmation struct {
	// ID is that of the exchange, and Seq the number of the part; 0 for the response.
	ID  string
	Seq int
	// Size is how much content the message has, in bytes.
	Size   int
	Result Result
	// Window is how much content of the exchange may be unconfirmed from now on, in bytes; 0 where that does not change.
	Window int
}

// Windows bound how much content of an exchange may be unconfirmed on a link, in bytes: First at first, and more up to
// Most where the visitor takes it so quickly that the way to the program holds it back.
type Windows struct{ First, Most int }

// Link opens a link, in place of the session's poll. It acknowledges and fails as [Session.Open] does; the session uses
// cursors from now on. Whoever opened it closes it.
func (s *Session) Link(cursor *string, flow Flow, door LinkDoor) (*Link, error) {
	p, err := openPoll(s, cursor, flow)
	if err != nil {
		return nil, err
	}
	s.claim.mu.Lock()
	defer s.claim.mu.Unlock()
	if !p.yields {
		s.life.useCursors()
		p.link = door
		s.life.touch()
	}
	return &Link{poll: p, door: door, most: flow.most(s.claim.registry.limits)}, nil
}

// Take returns what is to be sent now: what the session has not acknowledged first, if it did not yet, then what waits.
// It returns nil where nothing does, or as much as may be is not acknowledged. It fails with [ErrReplaced] where a newer
// poll took the link's place, and with why the session ended.
func (l *Link) Take() (*Batch, error) {
	p, s := l.poll, l.poll.session
	c := s.claim
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case p.yields:
		return nil, ErrReplaced
	case s.gone != nil:
		return nil, s.gone
	}
	c.queue.unpark(s)
	b, full := p.take(l.most)
	switch p.stuck = full; {
	case full:
		s.out.giveBack() // others may have it
	case b == nil:
		c.queue.park(s)
	}
	return b, nil
}

// Acknowledge takes the messages up to a cursor as received, unless the link was replaced. It fails with [ErrBadCursor].
func (l *Link) Acknowledge(cursor string) error {
	p, s := l.poll, l.poll.session
	s.claim.mu.Lock()
	defer s.claim.mu.Unlock()
	if p.yields || s.gone != nil {
		return nil
	}
	if err := s.acknowledge(&cursor); err != nil {
		return err
	}
	p.unstick()
	return nil
}

// unstick wakes a link that could take no more before something was acknowledged. The caller holds claim.mu.
func (p *poll) unstick() {
	if p.stuck {
		p.stuck = false
		p.wake()
	}
}

const (
	// mostUnconfirmed bounds the messages of an exchange that wait to be confirmed, for those without content count in no window.
	mostUnconfirmed = 4_096
	// confirmationWeight is what one costs in memory, in bytes.
	confirmationWeight = 128
)

// Answer is [Delivery.Answer] on a link. Where it reports true the result is confirmed later, in place of the one that it returns:
// when the visitor has taken the content of an answer that goes on.
func (l *Link) Answer(id string, a *Answer, fits func(*Request) error, w Windows) (result Result, later bool, err error) {
	if a.More && len(a.Content) > w.First {
		return l.exceeded(id)
	}
	if !a.More || !l.current() {
		result, err = l.poll.session.Delivery(id).Answer(a, fits)
		return result, false, err
	}
	a.confirms = &confirmations{id: id, door: l.door, windows: w, window: w.First, since: time.Now()}
	a.confirms.wait(0, len(a.Content), len(a.Content), Accepted)
	result, err = l.poll.session.Delivery(id).Answer(a, fits)
	return result, err == nil && result == Accepted, err
}

// Part is [Delivery.Part] on a link, which does not wait: where it reports true the result is confirmed when the visitor has taken
// the content. Content beyond the window aborts the exchange, as a [Conflict].
func (l *Link) Part(id string, part Part, w Windows) (result Result, later bool, err error) {
	same := func(t tombstone) bool { return part.Seq <= t.parts }
	var came *Exchange
	var fault error
	exceeded := false
	result, err = l.poll.session.Delivery(id).settle(same, func(x *Exchange) Result {
		p := x.parts
		var r Result
		if r, fault = p.judge(part.Seq); fault != nil || r == Conflict {
			return r
		}
		var to *confirmations
		if !l.poll.yields { // else the newer link confirms what was sent again
			to = p.confirmsTo(id, l.door, w)
		}
		window := w.First
		if to != nil {
			window = to.window
			exceeded = to.waiting.len() >= mostUnconfirmed
		}
		if exceeded = exceeded || r == Accepted && p.size+p.taking+len(part.Content) > window; exceeded {
			return Conflict
		}
		if r == Accepted {
			p.seq = part.Seq
			p.push(part)
		}
		if to != nil {
			to.wait(part.Seq, len(part.Content), p.total, r)
			x.hold.Add(confirmationWeight)
			later = true
		}
		came = x
		return r
	})
	switch {
	case exceeded:
		return l.exceeded(id)
	case came != nil:
		came.parts.come() // who waits for content confirms what has none
		came.hold.Relieve()
	}
	if fault != nil {
		return Unknown, false, fault
	}
	return result, later, err
}

// current reports whether no newer poll took the link's place.
func (l *Link) current() bool {
	l.poll.session.claim.mu.Lock()
	defer l.poll.session.claim.mu.Unlock()
	return !l.poll.yields
}

// exceeded aborts an exchange of which more content came than may be unconfirmed.
func (l *Link) exceeded(id string) (Result, bool, error) {
	result, err := l.poll.session.Delivery(id).Abort()
	if result == Accepted {
		result = Conflict
	}
	return result, false, err
}

// Close ends the link. What it gave stays with the session. hungUp says that the program closed the connection, as the kernel says,
// without a word: see [Times.Closed]. Only the first call counts; what comes afterwards is still judged.
func (l *Link) Close(hungUp bool) {
	p, s := l.poll, l.poll.session
	s.claim.mu.Lock()
	defer s.claim.mu.Unlock()
	if l.closed {
		return
	}
	l.closed, p.link = true, nil
	if p.left = hungUp; !p.yields {
		s.out.giveBack()
	}
	p.end()
}

// confirmations are the messages of an answer whose content the visitor has not taken. claim.mu guards them.
type confirmations struct {
	id      string
	door    LinkDoor
	windows Windows
	waiting fifo[confirmation]
	window  int       // how much content may be unconfirmed, in bytes
	from    int       // where in the content it was measured last how quickly that is taken
	since   time.Time // when
}

// confirmation is one of a message.
type confirmation struct {
	seq, size int
	upTo      int // where in the content of the answer the message ends
	result    Result
}

// confirmsTo returns the confirmations of an answer for a link. Those of an older link are dropped: its results reach nobody.
func (p *parts) confirmsTo(id string, door LinkDoor, w Windows) *confirmations {
	if p.confirms == nil || p.confirms.door != door {
		p.dropConfirms()
		p.confirms = &confirmations{id: id, door: door, windows: w, window: max(w.First, p.size+p.taking), from: p.total, since: time.Now()}
	}
	return p.confirms
}

// dropConfirms drops those of an older link. The caller holds claim.mu.
func (p *parts) dropConfirms() {
	for c := p.confirms; c != nil && c.waiting.len() > 0; {
		p.popConfirmation()
	}
}

// popConfirmation takes the oldest that waits, and gives back what it costs: a part does, an answer itself does not. The caller
// holds claim.mu.
func (p *parts) popConfirmation() confirmation {
	m := p.confirms.waiting.pop()
	if m.seq > 0 {
		p.x.hold.Shrink(confirmationWeight)
	}
	return m
}

func (c *confirmations) wait(seq, size, upTo int, r Result) {
	c.waiting.push(confirmation{seq, size, upTo, r})
}

// confirm confirms what the visitor has taken. The caller holds claim.mu.
func (p *parts) confirm() {
	c := p.confirms
	if c == nil || c.waiting.len() == 0 {
		return
	}
	taken := p.total - p.size - p.taking
	wider := c.widen(taken, p.x.hold.Short())
	for c.waiting.len() > 0 && c.waiting.list()[0].upTo <= taken {
		m := p.popConfirmation()
		c.door.Confirmed(Confirmation{ID: c.id, Seq: m.seq, Size: m.size, Result: m.result, Window: wider})
		wider = 0
	}
}

// widen doubles the window where the visitor took half of it in less than two round trips: it is the window then that holds the
// content back. It returns the new one, or 0.
func (c *confirmations) widen(taken int, short bool) int {
	if taken-c.from < c.window/2 || c.waiting.list()[0].upTo > taken {
		return 0
	}
	now := time.Now()
	quick := now.Sub(c.since) < 2*c.door.RoundTrip()
	c.from, c.since = taken, now
	if !quick || short || 2*c.window > c.windows.Most {
		return 0
	}
	c.window *= 2
	return c.window
}

// endConfirms says what became of messages whose content the visitor will not take, or has. The caller holds claim.mu.
func (p *parts) endConfirms() {
	c, late := p.confirms, p.x.unheard()
	if c == nil {
		return
	}
	for c.waiting.len() > 0 {
		m := p.popConfirmation()
		r := m.result
		if late {
			r = Late
		}
		c.door.Confirmed(Confirmation{ID: c.id, Seq: m.seq, Size: m.size, Result: r})
	}
}
