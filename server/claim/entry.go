package claim

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// Entry is the node of a cluster that accepted a visitor's request, at the node that keeps the
// claim. It knows which requests programs may have had, so that none that may not be repeated is
// given to a second program if this node ends.
type Entry interface {
	// Note says that a session is about to be given the request. If wait is true, it returns once
	// the entry knows, and fails if the entry does not learn it.
	Note(n Note, wait bool) error
	// Before returns the last note of another node that had the request, or nil if there is none.
	Before() *Note
	// Taken calls f once, soon: with true once the entry has the beginning of the response, after which
	// it takes no other, and with false if it does not say so. f must not wait.
	Taken(f func(taken bool))
}

// Note says which session is given a request.
type Note struct {
	// ID is that of the exchange, and Attempt counts its deliveries, this one included.
	ID      string
	Attempt int
	// Session is the id of the session, and Number that of the message. An empty session means that
	// none had the request.
	Session string
	Number  uint64
	// Lost says that a node or a session was lost that may have had the request. It matters only for requests
	// that may be given to several. The id is empty if no node noted any.
	Lost bool
	// Judged are, for a program's request with answers, the exchanges whose answers were accepted before
	// the claim moved. Nil means none.
	Judged []string
}

// noting is a note that is due before a message of a batch is handed over.
type noting struct {
	entry    Entry
	exchange *Exchange
	note     Note
	wait     bool
}

// noteFor adds the note that a request of the batch needs, if any. The caller holds claim.mu.
func (b *Batch) noteFor(x *Exchange, s *Session, number uint64) {
	if e := x.request.Entry; e != nil {
		b.notes = append(b.notes, noting{e, x, Note{ID: x.id, Attempt: x.attempt, Session: s.id, Number: number}, !x.mayRepeat()})
	}
}

// noted informs the entries of the requests of what is about to be handed over, and takes those out of
// the batch whose entry does not learn it: their visitors are gone from here. It reports whether a
// message is left. The caller holds no lock.
func (b *Batch) noted() bool {
	var refused sync.Map
	var waiting sync.WaitGroup
	for _, n := range b.notes {
		tell := func() {
			if err := n.entry.Note(n.note, n.wait); err != nil {
				n.exchange.Reject(ErrVisitorGone)
				refused.Store(n.exchange, true)
			}
		}
		if n.wait {
			waiting.Go(tell)
		} else {
			tell()
		}
	}
	waiting.Wait()
	b.notes = nil
	b.Messages = slices.DeleteFunc(b.Messages, func(m Message) bool {
		_, gone := refused.Load(m.Exchange)
		return gone && m.Exchange != nil
	})
	return len(b.Messages) > 0
}

// A node that takes a claim over knows neither its sessions nor its exchanges. For a while it
// therefore adopts the sessions that programs show, and holds exchanges for sessions that have not
// come yet.

// adoption is what a claim does for the sessions and exchanges of the node from which it was taken
// over. claim.mu guards it.
type adoption struct {
	claim   *Claim
	since   time.Time     // of the takeover; zero if there was none
	offered chan struct{} // see offers
}

// lasts reports whether the takeover was so recent that sessions may still come. The caller holds
// claim.mu.
func (a *adoption) lasts() bool {
	return time.Now().Before(a.since.Add(a.claim.registry.times.Acknowledge))
}

// Adopts reports whether a claim was taken over from another node so recently that its sessions may
// still come.
func Adopts(c *Claim) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gone == nil && c.adoption.lasts()
}

// Adopt returns the session of a claim that adopts, as a program shows it, or nil if the claim does
// not adopt any more, or id can be none of a session. The caller has checked the claim's token.
func Adopt(c *Claim, id string) *Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.adoption.lasts() || c.gone != nil {
		return nil
	}
	return c.adoption.session(id)
}

// session returns a live session of the claim with an id, and makes it if there is none. It returns
// nil if it cannot be made. The caller holds claim.mu.
func (a *adoption) session(id string) *Session {
	if !isName(id) {
		return nil
	}
	c := a.claim
	s := newSession(c, id)
	s.adopted, s.cursors = true, true
	if living, err := c.registry.place(s); living != nil || err != nil {
		return living
	}
	if seat(s) != nil {
		return nil
	}
	c.registry.serving.Add(1)
	return s
}

// resume continues an exchange that another node had, with what its entry knows of it. The caller
// holds claim.mu.
func resume(x *Exchange, n *Note) {
	c := x.claim
	if x.state == ended {
		return
	}
	if c.gone != nil || n.Session == "" {
		c.queue.put(x)
		return
	}
	var s *Session
	if c.adoption.lasts() {
		s = c.adoption.session(n.Session)
	}
	switch {
	case s == nil && x.mayRepeat():
		c.queue.put(x)
	case s == nil:
		x.lost = true
		x.fail(ErrSessionLost)
	case s.shown && n.Number > s.had: // its program says that it never had it
		c.queue.put(x)
	default:
		x.due.enter()
		x.due.given = time.Now()
		x.state, x.session, x.number = delivered, s, n.Number
		s.held[x.id] = x
		if s.shown {
			x.state = running
		} else {
			s.out.given = max(s.out.given, n.Number)
			s.out.expect(sentMessage{number: n.Number, at: x.due.given, id: x.id, size: x.request.weight(), noted: true})
		}
	}
	c.adoption.came()
}

// came notes that a session holds another exchange. The caller holds claim.mu.
func (a *adoption) came() {
	if a.offered != nil {
		close(a.offered)
		a.offered = nil
	}
}

// offers returns a channel that is closed when a session holds another exchange. The caller holds
// claim.mu.
func (a *adoption) offers() chan struct{} {
	if a.offered == nil {
		a.offered = make(chan struct{})
	}
	return a.offered
}

// expect puts a message that another node gave among those that are unacknowledged. The caller holds
// claim.mu.
func (o *outbox) expect(m sentMessage) {
	o.sent.push(m)
	slices.SortFunc(o.sent.list(), func(a, b sentMessage) int { return cmp.Compare(a.number, b.number) })
	o.sent.size += m.size
}

// offerTime is how long after a takeover an answer waits for an exchange that its entry has not offered
// yet.
const offerTime = 5 * time.Second

// Adopted reports whether a session was made at another registry.
func Adopted(s *Session) bool { return s.adopted }

// await waits until an adopted session holds an exchange, for a moment after the takeover: its program may
// answer before the exchange is resumed.
func (d Delivery) await() {
	s := d.session
	timer := time.NewTimer(time.Until(s.claim.adoption.since.Add(offerTime)))
	defer timer.Stop()
	for {
		s.claim.mu.Lock()
		here := !s.claim.adoption.lasts() || s.held[d.id] != nil || s.tombs.has(d.id)
		offered := s.claim.adoption.offers()
		s.claim.mu.Unlock()
		if here {
			return
		}
		select {
		case <-offered:
		case <-timer.C:
			return
		}
	}
}
