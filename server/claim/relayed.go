package claim

import (
	"context"
	"time"
)

// Coming is content of an answer that the program is still sending. The zero value is the whole
// rest of the answer.
type Coming struct {
	// Answer is the response whose content this is. Fits is as the fits of [Delivery.Answer].
	Answer *Answer
	Fits   func(*Request) error
	// Seq is the number of the part whose content this is; 0 for none.
	Seq int
	// Lasts removes the deadline between parts: the sender is known to live.
	Lasts bool
	// Behind is how many bytes of content may pile up before the caller while [Stream.Write] waits.
	// They count in the budget.
	Behind int
}

// relay begins to relay the content of a message. The stream is nil unless the result is
// [Accepted]. The same response again is a [Duplicate] if all of its content came, and a [Conflict]
// otherwise. It fails as [Delivery.Answer] and [Delivery.Part] do.
func (d Delivery) relay(m Coming) (stream *Stream, result Result, err error) {
	if m.Answer == nil {
		return d.relayPart(m.Seq)
	}
	m.Answer.More, m.Answer.relayed = true, true
	if result, err = d.Answer(m.Answer, m.Fits); err != nil || result != Accepted {
		return nil, result, err
	}
	s := d.session
	s.claim.mu.Lock()
	defer s.claim.mu.Unlock()
	x := s.held[d.id]
	if x == nil {
		return nil, Late, nil
	}
	return &Stream{Exchange: x, session: s, relayed: true}, Accepted, nil
}

func (d Delivery) relayPart(seq int) (stream *Stream, result Result, err error) {
	same := func(t tombstone) bool { return seq <= t.parts }
	var fault error
	result, err = d.settle(same, func(x *Exchange) Result {
		p := x.parts
		var result Result
		if result, fault = p.judge(seq); result == Accepted && fault == nil {
			p.raw, p.relayed = true, true
			stream = &Stream{Exchange: x, session: d.session, relayed: true, seq: seq}
		}
		return result
	})
	if fault != nil {
		return nil, Unknown, fault
	}
	return stream, result, err
}

// judge returns the result of a part with a number: [Accepted] if it is the next one. It fails with
// [ErrNotAnswering] or [ErrGap]. The caller holds claim.mu.
func (p *parts) judge(seq int) (Result, error) {
	switch {
	case p == nil || p.raw && !p.relayed:
		return Unknown, ErrNotAnswering
	case seq <= p.seq:
		return Duplicate, nil
	case p.last || p.raw:
		return Conflict, nil
	case seq > p.seq+1:
		return Unknown, ErrGap
	}
	return Accepted, nil
}

// pause ends the content of a message that more follows, and waits while the visitor is slow, or
// until ctx ends. The next part continues the answer.
func (w *Stream) pause(ctx context.Context) Result {
	c, p := w.Exchange.claim, w.Exchange.parts
	c.mu.Lock()
	if w.Exchange.state != answering {
		c.mu.Unlock()
		return Late
	}
	p.raw, p.relayed, p.seq, p.moved = false, false, w.seq, time.Now()
	c.mu.Unlock()
	if p.waitForRoom(ctx) {
		return Late
	}
	return Accepted
}
