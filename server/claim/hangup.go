package claim

import (
	"runtime"
	"slices"
	"time"
)

// hangup records that the program of a session closed the connection of its poll without a word, as
// the kernel reports it ([Flow.HungUp]). A killed program does that, and so does one that polls
// again. A hangup therefore counts only after [Times.Closed] without another sign of life. Then
// exchanges that may be repeated move to other sessions, and visitors get an error if no other
// session serves the claim. The session lives on: its program may return with answers to the rest.
//
// claim.mu guards it.
type hangup struct {
	session *Session
	at      time.Time // when the connection closed; zero once the program showed that it lives
	counts  bool      // Times.Closed is over since then
	doubted time.Time // the hangup after which a late look found silence
	look    lazyTimer
}

// note records that the connection closed. The caller holds claim.mu.
func (h *hangup) note() {
	if s := h.session; s.gone == nil && s.cursors && s.poll == nil {
		h.at = time.Now()
		h.look.arm(s.claim.registry.times.Closed)
	}
}

// forget notes that the program lives. The caller holds claim.mu.
func (h *hangup) forget() { h.at, h.counts = time.Time{}, false }

// lapse makes the hangup count if nothing shows that the program lives. Otherwise it arms the timer
// again. A gateway that is late itself looks twice; see [life.lapse].
func (h *hangup) lapse() {
	runtime.Gosched() // behind the goroutines that already have something to read
	s, c := h.session, h.session.claim
	c.mu.Lock()
	defer c.mu.Unlock()
	most := c.registry.times.Closed
	left, late := time.Until(h.at.Add(most)), time.Since(h.look.due)
	switch {
	case s.gone != nil, h.at.IsZero(), h.counts, c.registry.drain.begun(), s.life.busy > 0: // the end of what it does arms the timer
		h.look.disarm()
	case left > 0:
		h.look.after(left)
	case late > most/lateShare && !h.doubted.Equal(h.at):
		h.doubted = h.at
		h.look.after(max(most/graceShare, late))
	default:
		h.look.disarm()
		h.counts = true
		h.vacate()
	}
}

// vacate moves on the exchanges of the session that may be repeated. If no other session serves the
// claim, their visitors get an error. The caller holds claim.mu.
func (h *hangup) vacate() {
	s := h.session
	var moving []*Exchange
	for _, x := range s.held.oldestFirst() {
		if x.mayRepeat() {
			x.moveOn()
			moving = append(moving, x)
		}
	}
	s.claim.queue.putBack(moving)
	s.out.giveBack()
	if !s.claim.served() {
		s.claim.queue.fail(ErrNoHandler)
	}
}

// served reports whether the claim has a session whose program is not known to have hung up. The caller holds c.mu.
func (c *Claim) served() bool {
	return slices.ContainsFunc(c.sessions, func(s *Session) bool { return !s.life.hangup.counts })
}
