package claim

import (
	"cmp"
	"slices"
	"time"
)

// Messages reach a session in two steps. next holds what waits for a poll; sent holds what
// a poll was given, by number, until it needs no acknowledgement any more. Neither holds an
// exchange that has ended: next has the id of a cancellation only, and sent has ids only.
// Whether a request in sent still waits is looked up in Session.held. One that does not is
// removed later, together with others, so that the cost of a message does not grow with
// their number.

// message is a request, or its cancellation, that waits for a poll of its session. The zero
// value stands for a request that was taken out.
type message struct {
	id       string       // of the exchange
	exchange *Exchange    // of a request
	cancel   CancelReason // of a cancellation
}

// CancelReason says why an exchange needs no answer any more.
type CancelReason string

// The reasons.
const (
	CancelVisitorGone CancelReason = "visitor_gone"
	CancelTimedOut    CancelReason = "timed_out"
	// CancelDraining says of an upgraded connection that the gateway stops, and the program is to end it.
	CancelDraining CancelReason = "draining"
)

// mostCancels bounds the cancellations of a session that were not acknowledged. Beyond it
// the oldest are dropped: their handlers learn from the results of their answers.
const mostCancels = 1_024

// sentMessage is a message that a session was given. One without an id is a cancellation
// that was dropped.
type sentMessage struct {
	number uint64
	at     time.Time    // when it was given last
	id     string       // of the exchange
	cancel CancelReason // empty for a request
	size   int          // of the content, in bytes
}

// sentMessages are the messages that a session was given, oldest first.
type sentMessages struct {
	fifo[sentMessage]
	size   int // of all content, in bytes
	left   int // how many there were after the last tidy
	looked int // how often a message was looked at; tests compare it with how many came
}

// outbox is what is on its way to a session.
type outbox struct {
	session *Session
	given   uint64        // number of the last message given to a poll
	sent    sentMessages  // given and not acknowledged
	next    fifo[message] // not given yet
	cancels int           // of both
}

// find returns the place of the first message after a number.
func (q *sentMessages) find(after uint64) int {
	i, _ := slices.BinarySearchFunc(q.list(), after+1, func(m sentMessage, n uint64) int { return cmp.Compare(m.number, n) })
	return i
}

// position returns the number of the message that a cursor names, which was given. The caller
// holds claim.mu.
func (o *outbox) position(cursor string) (uint64, error) {
	n, err := numberOf(o.session.id, cursor)
	if err != nil || n > o.given {
		return 0, ErrBadCursor
	}
	return n, nil
}

// dropSent removes the n oldest sent messages. The caller holds claim.mu.
func (o *outbox) dropSent(n int) {
	for _, m := range o.sent.list()[:n] {
		o.sent.size -= m.size
		if m.cancel != "" {
			o.cancels--
		}
	}
	o.sent.drop(n)
}

// undelivered returns the exchange of a request that the session was given and that
// nothing shows as received; nil for any other message. The caller holds claim.mu.
func (o *outbox) undelivered(m *sentMessage) *Exchange {
	o.sent.looked++
	// The exchange may have been taken back and given again, by a later message.
	if x := o.session.held[m.id]; m.cancel == "" && x != nil && x.state == delivered && x.number == m.number {
		return x
	}
	return nil
}

// waits reports whether a message that the session was given needs an acknowledgement.
// The caller holds claim.mu.
func (o *outbox) waits(m *sentMessage) bool { return m.cancel != "" || o.undelivered(m) != nil }

// tidy removes the sent messages that do not wait. The caller holds claim.mu.
func (o *outbox) tidy() {
	o.sent.size = 0
	o.sent.keep(func(m *sentMessage) bool {
		if !o.waits(m) {
			return false
		}
		o.sent.size += m.size
		return true
	})
	o.sent.left = o.sent.len()
}

// tidyAtTimes does so once half of them may be such. The caller holds claim.mu.
func (o *outbox) tidyAtTimes() {
	if o.sent.len() >= 2*o.sent.left+roomy {
		o.tidy()
	}
}

// oldestSent returns the oldest sent message that waits, or nil. The caller holds claim.mu.
func (o *outbox) oldestSent() *sentMessage {
	for o.sent.len() > 0 {
		if m := &o.sent.list()[0]; o.waits(m) {
			return m
		}
		o.dropSent(1)
	}
	return nil
}

// acknowledgeUpTo takes the messages up to a number as received; seen reports whether
// the program said so. The caller holds claim.mu.
func (o *outbox) acknowledgeUpTo(upTo uint64, seen bool) {
	n := o.sent.find(upTo)
	for i := range o.sent.list()[:n] {
		if x := o.undelivered(&o.sent.list()[i]); x != nil {
			x.state = running
			// Without a cursor it is only taken for received.
			x.seen = x.seen || seen
		}
	}
	o.dropSent(n)
}

// cancel tells the session that it need not answer x. The caller holds
// claim.mu.
func (o *outbox) cancel(x *Exchange, why CancelReason) {
	if o.session.gone != nil || o.session.door != "" {
		return
	}
	if o.cancels == mostCancels {
		o.forgetCancels(mostCancels / 2)
	}
	o.next.push(message{id: x.id, cancel: why})
	o.cancels++
	o.session.wake()
}

// forgetCancels removes the n oldest cancellations. The caller holds claim.mu.
func (o *outbox) forgetCancels(n int) {
	least := o.cancels - n
	for i, m := range o.sent.list() {
		if o.sent.looked++; o.cancels > least && m.cancel != "" {
			o.sent.list()[i] = sentMessage{number: m.number}
			o.cancels--
		}
	}
	o.next.keep(func(m *message) bool {
		if m.cancel == "" || o.cancels == least {
			return m.exchange != nil || m.cancel != ""
		}
		o.cancels--
		return false
	})
}

// unassign removes a request that waits for the session's poll. The caller holds
// claim.mu.
func (o *outbox) unassign(x *Exchange) {
	for i, m := range slices.Backward(o.next.list()) { // it came last
		if m.exchange == x {
			o.next.list()[i] = message{}
			return
		}
	}
}

// nextMessage removes and returns the next message for the session, its own first. The
// caller holds claim.mu.
func (o *outbox) nextMessage() (message, bool) {
	for o.next.len() > 0 {
		if m := o.next.pop(); m.id != "" {
			return m, true
		}
	}
	if x := o.session.claim.queue.pop(); x != nil {
		return message{id: x.id, exchange: x}, true
	}
	return message{}, false
}
