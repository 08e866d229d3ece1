package claim

import (
	"net/netip"
	"runtime"
	"time"
)

// life is what shows that the program of a session lives. claim.mu guards it.
type life struct {
	session *Session
	busy    int       // requests of the program that last, besides the poll
	active  time.Time // the last sign of life
	doubted time.Time // the sign of life after which a late look found silence
	death   lazyTimer
	hangup  hangup
}

// lifetime returns how long the session lives without a sign of life. The caller holds claim.mu.
func (l *life) lifetime() time.Duration {
	s := l.session
	if s.cursors {
		return s.claim.registry.times.Acknowledge
	}
	if s.door != "" {
		return min(s.claim.terms.Lease, s.claim.registry.times.Lease)
	}
	return s.claim.terms.Lease
}

// useCursors notes that the session uses cursors, which changes its lifetime. The caller holds
// claim.mu.
func (l *life) useCursors() {
	if s := l.session; !s.cursors {
		s.cursors = true
		l.death.after(l.lifetime())
	}
}

// lapse ends the session if it gave no sign of life for its lifetime. Otherwise it arms the timer
// again.
//
// A busy gateway may not yet have read what the program sent. Its timers are late too: if this call
// is late, a silent session gets a second look, after as long as the first was late and at least a
// tenth of its lifetime. It ends if it is still silent then.
func (l *life) lapse() {
	runtime.Gosched() // behind the goroutines that already have something to read
	s, c := l.session, l.session.claim
	c.mu.Lock()
	lifetime := l.lifetime()
	linked := s.poll != nil && s.poll.link != nil
	if linked {
		l.active = latest(l.active, s.poll.link.Heard())
	}
	left, late := time.Until(l.active.Add(lifetime)), time.Since(l.death.due)
	lost, over := false, false
	switch {
	case s.gone != nil:
	case s.poll != nil && !linked || l.busy > 0: // its end arms the timer
		l.death.disarm()
	case left > 0:
		l.death.after(left)
	case c.registry.drain.begun(), l.outstays(): // it was asked to stay away, or is busy
		l.death.after(lifetime)
	case late > lifetime/lateShare && !l.doubted.Equal(l.active):
		l.doubted = l.active
		l.death.after(max(lifetime/graceShare, late))
	case c.lease.polls == 0 && c.lease.left() <= 0:
		over = true // the claim ends with it, and its program is to learn that
		l.death.after(lifetime)
	default:
		lost = true
		s.lose()
	}
	c.mu.Unlock()
	if lost {
		c.registry.sessionEnded(s, SessionLost)
	}
	if over {
		_ = c.keeper.end(ErrLeaseEnded, c.lease.over, netip.Addr{}) // an error is logged, and it is tried again
	}
}

const (
	// lateShare is the fraction of a lifetime, one in lateShare, by which a look may be late.
	lateShare = 100
	// graceShare is the least fraction of a lifetime, one in graceShare, until the second look.
	graceShare = 10
)

// outstays reports whether a silent session may live on because its program may be busy with what
// the session holds. The caller holds claim.mu.
func (l *life) outstays() bool {
	s := l.session
	return s.door != "" && len(s.held) > 0 && time.Now().Before(l.active.Add(s.claim.terms.Lease))
}

// touch notes a sign of life. The caller holds claim.mu.
func (l *life) touch() {
	l.active = time.Now()
	l.hangup.forget()
	if p := l.session.poll; (p == nil || p.link != nil) && l.session.gone == nil {
		l.death.arm(l.lifetime())
	}
}

// latest returns the later of two times.
func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
