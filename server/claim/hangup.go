package claim

import (
	"runtime"
	"slices"
	"time"
)

// hangup is what the kernel says of the program of a session: that it closed the connection of its poll without a word
// ([Flow.HungUp]). A program that was killed does, and so does one that polls anew. So it counts once nothing else shows for
// [Times.Closed] that the program lives. Then others are given what the session held and may be repeated, and visitors
// are told where nobody else serves the claim. The session lives on: its program may come back with the answers to the rest.
//
// claim.mu guards it.
type hangup struct {
	session *Session
	at      time.Time // when the connection closed; zero once the program showed that it lives
	counts  bool      // Times.Closed is over since then
	doubted time.Time // the hangup after which a late look found silence
	look    lazyTimer
}

// note notes that the connection closed. The caller holds claim.mu.
func (h *hangup) note() {
	if s := h.session; s.gone == nil && s.cursors && s.poll == nil {
		h.at = time.Now()
		h.look.arm(s.claim.registry.times.Closed)
	}
}

// forget notes that the program lives. The caller holds claim.mu.
func (h *hangup) forget() { h.at, h.counts = time.Time{}, false }

// lapse has the hangup count if nothing shows that the program lives; else it looks again later. A gateway that is late itself
// looks twice, see [life.lapse].
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

// vacate has what the session holds and may be repeated move on, and tells visitors where nobody else serves the claim. The caller
// holds claim.mu.
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
