package claim

import "time"

// Link is an open poll that does not wait: it notifies its door when messages are available, and passes on
// answers without waiting for visitors. The door calls [LinkDoor.Heard] to show that the program lives.
type Link struct {
	poll *poll
	door LinkDoor
	most int
	// closed says that Close was called; claim.mu guards it.
	closed bool
}

// LinkDoor is the door of a [Link]. Ready and Confirmed may be called with the claim locked: they must
// not block or call the claim.
type LinkDoor interface {
	// Ready is called when [Link.Take] may return something after it returned nothing.
	Ready()
	// Confirmed is called once the result of content taken by [Link.Answer] or [Link.Part] is
	// known, or that of a whole answer for which Expected was called.
	Confirmed(Confirmation)
	// Expected is called by [Link.Answer] for a whole answer whose result is confirmed later.
	Expected(id string)
	// Heard returns when the program was last heard.
	Heard() time.Time
	// RoundTrip returns the round-trip time to the program.
	RoundTrip() time.Duration
}

// Confirmation is the result of a message whose content was taken on a link.
type Confirmation struct {
	// ID is the exchange's id, and Seq the number of the part; 0 for the response.
	ID  string
	Seq int
	// Size is the length of the message's content in bytes.
	Size   int
	Result Result
	// Whole says that the message was a whole answer.
	Whole bool
	// Window is how many bytes of the exchange's content may be unconfirmed from now on; 0 means no
	// change.
	Window int
}

// Windows bound how many bytes of an exchange's content may be unconfirmed on a link: First at the
// beginning, growing up to Most while the round trip to the program, not the visitor, holds the
// content back.
type Windows struct{ First, Most int }

// Link opens a link, replacing the session's poll. It acknowledges and fails as [Session.Open]
// does. The session uses cursors from now on. The caller must close the link.
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

// Take returns the messages to send now: unacknowledged ones, once a link, and then those that
// wait. It returns nil if there are none, if the most that may be unacknowledged is, or after Close. It fails
// with [ErrReplaced] if a newer poll replaced the link, or with the reason for which the session
// ended.
func (l *Link) Take() (*Batch, error) {
	for {
		if b, err := l.take(); b == nil || len(b.notes) == 0 || b.noted() {
			return b, err
		}
	}
}

// take is Take but for the notes.
func (l *Link) take() (*Batch, error) {
	p, s := l.poll, l.poll.session
	c := s.claim
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case p.yields:
		return nil, ErrReplaced
	case s.gone != nil:
		return nil, s.gone
	case l.closed: // while the door was about to take
		return nil, nil
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

// Acknowledge marks the messages up to a cursor as received, unless the link was replaced. It fails
// with [ErrBadCursor].
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

// unstick wakes a link that was waiting for an acknowledgement. The caller holds claim.mu.
func (p *poll) unstick() {
	if p.stuck {
		p.stuck = false
		p.wake()
	}
}

const (
	// mostUnconfirmed bounds the unconfirmed messages of an exchange, since messages without
	// content count in no window.
	mostUnconfirmed = 4_096
	// confirmationWeight is the memory, in bytes, that an unconfirmed message takes.
	confirmationWeight = 128
)

// Answer is [Delivery.Answer] on a link, and does not wait. If later is true, the result is confirmed
// later instead of returned: when the visitor has taken the content of an answer with More, or their node
// the beginning of a whole one.
func (l *Link) Answer(id string, a *Answer, fits func(*Request) error, w Windows) (result Result, later bool, err error) {
	if a.More && len(a.Content) > w.First {
		return l.exceeded(id)
	}
	d := l.poll.session.Delivery(id)
	if !a.More {
		result, doubt, err := d.give(a, fits)
		if doubt != nil {
			l.confirmOnce(doubt, result)
		}
		return result, doubt != nil, err
	}
	if !l.current() {
		result, _, err = d.give(a, fits)
		return result, false, err
	}
	a.confirms = &confirmations{id: id, door: l.door, windows: w, window: w.First, since: time.Now()}
	a.confirms.wait(0, len(a.Content), len(a.Content), Accepted)
	result, _, err = d.give(a, fits)
	return result, err == nil && result == Accepted, err
}

// Part is [Delivery.Part] on a link, and does not wait: if later is true, the result is confirmed
// when the visitor has taken the content. Content beyond the window aborts the exchange, and is a
// [Conflict].
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
		if !l.poll.yields { // otherwise the newer link confirms what was sent again
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
		came.parts.come() // the visitor's goroutine confirms parts without content
		came.hold.Relieve()
	}
	if fault != nil {
		return Unknown, false, fault
	}
	return result, later, err
}

// current reports whether the link has not been replaced by a newer poll.
func (l *Link) current() bool {
	l.poll.session.claim.mu.Lock()
	defer l.poll.session.claim.mu.Unlock()
	return !l.poll.yields
}

// exceeded aborts an exchange whose content exceeds its window.
func (l *Link) exceeded(id string) (Result, bool, error) {
	result, err := l.poll.session.Delivery(id).Abort()
	if result == Accepted {
		result = Conflict
	}
	return result, false, err
}

// Close ends the link. Messages that it took stay with the session. hungUp says that the program
// closed the connection without a word, as the kernel reports it; see [Times.Closed]. Only the
// first call counts. Answers that come afterwards are still judged.
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

// confirmations are the unconfirmed messages of an answer. claim.mu guards them.
type confirmations struct {
	id      string
	door    LinkDoor
	windows Windows
	waiting fifo[confirmation]
	window  int       // the most unconfirmed content, in bytes
	from    int       // where in the content the current measurement of the visitor's pace began
	since   time.Time // when
}

// confirmation is one unconfirmed message.
type confirmation struct {
	seq, size int
	upTo      int // where in the content of the answer the message ends
	result    Result
}

// confirmsTo returns the confirmations of an answer for a link. It drops those of an older link,
// whose results can reach nobody.
func (p *parts) confirmsTo(id string, door LinkDoor, w Windows) *confirmations {
	if p.confirms == nil || p.confirms.door != door {
		p.dropConfirms()
		p.confirms = &confirmations{id: id, door: door, windows: w, window: max(w.First, p.size+p.taking), from: p.total, since: time.Now()}
	}
	return p.confirms
}

// dropConfirms drops the confirmations of an older link. The caller holds claim.mu.
func (p *parts) dropConfirms() {
	for c := p.confirms; c != nil && c.waiting.len() > 0; {
		p.popConfirmation()
	}
}

// popConfirmation removes and returns the oldest one, and gives back its memory: parts take some,
// the answer itself takes none. The caller holds claim.mu.
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

// confirm confirms the messages whose content the visitor has taken. The caller holds claim.mu.
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

// widen doubles the window if the visitor took half of it in less than two round trips, since then
// the window is what holds the content back. It returns the new window, or 0 if it did not change.
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

// endConfirms confirms all remaining messages when the exchange has ended. The caller holds
// claim.mu.
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
