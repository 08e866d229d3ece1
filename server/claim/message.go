package claim

import (
	"cmp"
	"slices"
	"time"
)

// Messages reach a session in two steps. next holds messages that wait for a poll. sent holds, by
// number, messages that a poll was given, until they need no acknowledgement. Neither holds an
// exchange that has ended: of a cancellation, next has only the id, and sent has only ids.
// Session.held reports whether a request in sent still waits. Those that do not are removed later,
// many at once, so that the cost of a message does not grow with their number.

// message is a request, or its cancellation, that waits for a poll of its session. The zero value
// stands for a removed request.
type message struct {
	id       string       // of the exchange
	exchange *Exchange    // of a request
	cancel   CancelReason // of a cancellation
}

// CancelReason says why an exchange no longer needs an answer.
type CancelReason string

// The reasons.
const (
	CancelVisitorGone CancelReason = "visitor_gone"
	CancelTimedOut    CancelReason = "timed_out"
	// CancelDraining means that the gateway is stopping and that the program should end the
	// upgraded connection.
	CancelDraining CancelReason = "draining"
)

// mostCancels bounds the unacknowledged cancellations of a session. Beyond it the oldest are
// dropped: their handlers learn of the end from the results of their answers.
const mostCancels = 1_024

// sentMessage is a message that a session was given. A dropped cancellation has no id.
type sentMessage struct {
	number uint64
	at     time.Time    // when it was given last
	id     string       // of the exchange
	cancel CancelReason // empty for a request
	size   int          // of the content, in bytes
	// noted says that another home noted it, which may then not have handed it over: a later cursor does not prove that
	// the program had it.
	noted bool
}

// sentMessages are the messages that a session was given, oldest first.
type sentMessages struct {
	fifo[sentMessage]
	size   int // bytes of all content
	left   int // number of messages after the last tidy
	looked int // number of messages looked at; tests compare it with the number of messages that came
}

// outbox holds the messages on their way to a session.
type outbox struct {
	session *Session
	given   uint64        // number of the last message given to a poll
	sent    sentMessages  // given and unacknowledged
	next    fifo[message] // not given yet
	cancels int           // of both
}

// find returns the index of the first message after a number.
func (q *sentMessages) find(after uint64) int {
	i, _ := slices.BinarySearchFunc(q.list(), after+1, func(m sentMessage, n uint64) int { return cmp.Compare(m.number, n) })
	return i
}

// position returns the number of the given message that a cursor names. The caller holds claim.mu.
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

// undelivered returns the exchange of a request that nothing shows as received, or nil for any
// other message. The caller holds claim.mu.
func (o *outbox) undelivered(m *sentMessage) *Exchange {
	o.sent.looked++
	// The exchange may have been taken back and given again in a later message.
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

// tidyAtTimes calls tidy once half of the messages may be removable. The caller holds claim.mu.
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

// acknowledgeUpTo marks the messages up to a number as received. seen says whether the program said
// so. The caller holds claim.mu.
func (o *outbox) acknowledgeUpTo(upTo uint64, seen bool) {
	n := o.sent.find(upTo)
	for i := range o.sent.list()[:n] {
		m := &o.sent.list()[i]
		if x := o.undelivered(m); x != nil {
			x.state = running
			// Without a cursor it is only assumed to be received.
			x.seen = x.seen || seen && !m.noted
		}
	}
	o.dropSent(n)
}

// cancel tells the session that x needs no answer. The caller holds claim.mu.
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
	for i, m := range slices.Backward(o.next.list()) { // it is probably the last
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
