package reversehttp

import (
	"errors"
	"net"
	"net/http"
	"time"

	"reversehttp/schema"
)

const (
	// After a link or a stream that did not come through, a slower transport is used this long.
	slowerFor = 5 * time.Minute
	// How long a link or a stream may take until its first byte, where none came through yet: less than the gateway lets
	// visitors wait for one that polls.
	firstByteMost = 4 * time.Second
	// And where the last one did: what is between passes them, and is slow.
	nextByteMost = 10 * time.Second
)

// ways are the transports that a session may use at a time. They belong to the loop that polls.
type ways struct {
	allowed Transport
	links   time.Time // until then no link is opened
	breaks  int       // links that came to nothing, one after the other
	doubt   bool      // that is why none is: an outage may have been the reason
	streams time.Time // until then no stream is asked for
	framed  time.Time // until then none in the framed form is
	passed  Transport // came through last in this session of the gateway; empty if none did
}

func newWays(t Transport) ways { return ways{allowed: t} }

// next returns the transport to use.
func (w *ways) next(at *claimed, g *gateway) Transport {
	now := time.Now()
	linked := w.allowed == TransportAuto || w.allowed == TransportLink
	framed := linked || w.allowed == TransportFramed
	switch {
	case linked && at.Link != "" && !now.Before(w.links):
		return TransportLink
	case framed && g.framed && !now.Before(w.framed) && !now.Before(w.streams):
		return TransportFramed
	case w.allowed == TransportPoll || now.Before(w.streams):
		return TransportPoll
	case g.streams:
		return TransportStream
	}
	return TransportPoll
}

// renew forgets what kept the faster ones away: there is another session, perhaps by another way.
func (w *ways) renew() {
	w.links, w.breaks, w.doubt = time.Time{}, 0, false
	w.streams, w.framed, w.passed = time.Time{}, time.Time{}, ""
}

// patience returns how long the first byte may take by a way.
func (w *ways) patience(way Transport, g *gateway) time.Duration {
	if w.passed == way {
		return g.patience(nextByteMost)
	}
	return firstByteMost
}

// note takes note of how a transport ended. It reports true if another is to be used at once.
func (w *ways) note(way Transport, useful bool, err error) (fell bool) {
	if useful && way != TransportPoll {
		w.passed = way
	}
	if way == TransportLink {
		return w.noteLink(useful, err)
	}
	if w.doubt && err != nil && (passes(err) || !errors.As(err, new(*Error))) {
		w.links, w.doubt = time.Time{}, false
	}
	switch {
	case err == errWithheld || err == errSilent:
		w.streams = time.Now().Add(slowerFor)
		return err == errWithheld
	case way == TransportFramed && mangled(err):
		w.framed = time.Now().Add(slowerFor)
		return true
	}
	return false
}

// noteLink suspends links for a while if an intermediary does not let one through, if one was silent after
// its welcome, or if two in a row came to nothing. A gateway that cannot be reached, or that asks to retry
// later, says nothing about links.
func (w *ways) noteLink(useful bool, err error) (fell bool) {
	var op *net.OpError
	switch {
	case useful:
		w.breaks = 0
		return false
	case err == nil, told(err), errors.As(err, &op) && op.Op == "dial":
		return false
	case err == errLinkSilent:
		w.doubt = true
	case notPassed(err):
		w.doubt = err == errWithheld && w.passed == TransportLink
	default:
		if w.breaks++; w.breaks < 2 {
			return false
		}
		w.doubt = true
	}
	w.links, w.breaks = time.Now().Add(slowerFor), 0
	return true
}

// comes logs by which way requests come, if that has changed.
func (p *poller) comes(at *claimed, way Transport) {
	p.mu.Lock()
	before := p.way
	p.way = way
	p.mu.Unlock()
	if before == way {
		return
	}
	switch way {
	case TransportLink:
		p.session.log.Info("requests come by a link", "label", at.Label)
	case TransportFramed:
		p.session.log.Info("requests come by a framed stream", "label", at.Label)
	case TransportStream:
		p.session.log.Info("requests come by a stream", "label", at.Label)
	case TransportPoll:
		p.session.log.Info("requests come by batches", "label", at.Label)
	}
}

// told reports whether an error is what the gateway says of its session, or of a load that passes, as to a poll.
func told(err error) bool {
	var refused *Error
	if !errors.As(err, &refused) {
		return false
	}
	if passes(err) && refused.Code != codeUnexpected {
		return true
	}
	switch refused.Code {
	case schema.CodeTokenNeeded, schema.CodeTokenWrong, schema.CodeNoSession, schema.CodeNoClaim, schema.CodeSessionFenced,
		schema.CodeClaimDeleted, schema.CodeTakenDown, schema.CodeLeaseEnded, schema.CodeBadCursor, schema.CodeDraining:
		return true
	}
	return false
}

// passes reports whether a refusal, by the gateway or an intermediary, means that the same request may
// succeed later.
func passes(err error) bool {
	var refused *Error
	return errors.As(err, &refused) && (refused.Status == http.StatusTooManyRequests || refused.Status >= 500)
}

// mangled reports whether an error of a stream in the framed form shows that an intermediary changes it.
func mangled(err error) bool {
	var refused *Error
	return errors.As(err, &refused) && refused.Code == codeUnexpected && refused.Status < 500
}

// notPassed reports whether an error when opening a link shows that an intermediary does not let links
// through.
func notPassed(err error) bool {
	var refused *Error
	return err == errWithheld || errors.As(err, &refused) && !passes(err)
}
