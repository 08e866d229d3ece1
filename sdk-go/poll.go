package reversehttp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
)

// The loop that polls. It runs in the goroutine of Serve, one poll at a time, and it alone claims again.
//
// A tunnel stands in for polls where it may and works (ways.go). A poll asks for a stream where the gateway has them and
// nothing keeps them back, and for a batch otherwise. Its cursor
// names what was begun, never what only arrived, so a stop at any moment leaves the rest to other sessions. After a
// failure the poll for a batch asks for an answer at once (wait=0), because an open connection proves nothing; the first
// byte of a stream proves as much.

const (
	// How much longer than the gateway waits nothing may come, and how long no more of what comes: only a dead connection is
	// noticed.
	pollSlack = 10 * time.Second
	// A gateway or a proxy that answers 204 sooner than this did not wait; do not ask in a tight loop.
	soon = time.Second
)

// pollAll polls until the session is closed or cannot go on, and says why.
func (s *Session) pollAll() error {
	// A gateway that says that the session is over is there: what an outage made of the one backoff is no reason to be
	// slow with the other.
	var b, sessions backoff
	w := newWays(s.opts.Transport)
	at, proven := s.current(), true
	for {
		var useful bool
		var err error
		way := w.next(at, s.gateway.streams)
		switch way {
		case TransportPTTH:
			useful, err = s.tunnel(at, w.patience(way, s.gateway))
		case TransportStream:
			useful, err = s.listen(at, w.patience(way, s.gateway))
		default:
			useful, err = s.batch(at, proven && !w.ask)
		}
		if s.polls.Err() != nil {
			return ErrClosed
		}
		if at.ctx.Err() != nil && err != nil {
			err = context.Cause(at.ctx)
		}
		if useful {
			b.reset()
			sessions.reset()
		}
		fell := w.note(way, useful, err)
		if err != nil && w.hopeless() {
			return fmt.Errorf("%w: %w; use TransportAuto", ErrNoTunnel, err)
		}
		if fell {
			s.log.Info("transport kept back", "label", at.Label, "transport", way, "error", err)
			proven = proven && way == TransportPTTH
			continue
		}
		if err == nil {
			s.online()
			proven = true
			if !useful && !pause(s.polls, b.next(0)) {
				return ErrClosed
			}
			continue
		}
		proven = false
		v := judge(err)
		if way == TransportPTTH && !told(err) {
			v = again
		}
		if v == final {
			return err
		}
		s.log.Warn("poll failed", "label", at.Label, "error", err)
		s.hears(err)
		s.loseStreams(at, err)
		s.standing.set(Reconnecting)
		s.comes(at, "")
		if v == again {
			if !pause(s.polls, b.next(asked(err))) {
				return ErrClosed
			}
			continue
		}
		if !pause(s.polls, sessions.next(asked(err))) {
			return ErrClosed
		}
		if err := s.claimAgain(&sessions); err != nil {
			return err
		}
		at, proven = s.current(), true
		w.renew()
		b.reset()
	}
}

// loseStreams ends what streams in a session if the gateway knows that no more. One that drains, or whose claim ended,
// still takes answers.
func (s *Session) loseStreams(at *claimed, err error) {
	var refused *Error
	if errors.As(err, &refused) && (refused.Status == http.StatusNotFound || refused.Status == http.StatusConflict) {
		s.exchanges.lose(at)
	}
}

// claimAgain claims until it succeeds, the session is closed, or trying is of no use.
func (s *Session) claimAgain(b *backoff) error {
	for {
		err := s.claim(s.polls)
		if s.polls.Err() != nil {
			return ErrClosed
		}
		if err == nil {
			s.log.Info("claimed again", "label", s.current().Label)
			s.online()
			return nil
		}
		var refused *Error
		if errors.As(err, &refused) && refusedForGood(refused) {
			return err
		}
		s.log.Warn("claiming again failed", "label", s.opts.Label, "error", err)
		if !pause(s.polls, b.next(asked(err))) {
			return ErrClosed
		}
	}
}

// batch asks for a batch, at once or when there is something, and begins it. It reports useful if something came or the
// gateway waited as long as it was asked to: it may be asked again at once.
func (s *Session) batch(at *claimed, patient bool) (useful bool, err error) {
	wait := 0
	if patient {
		wait = at.Limits.WaitSeconds
		s.comes(at, TransportPoll)
	}
	since := time.Now()
	content, err := s.poll(at.ctx, at, wait)
	if err != nil {
		return false, err
	}
	brought, err := s.beginAll(at, content)
	return err == nil && (brought || wait == 0 || time.Since(since) >= soon), err
}

// poll asks for what comes after the cursor, as a batch. There is no content if nothing came.
func (s *Session) poll(ctx context.Context, at *claimed, wait int) ([]byte, error) {
	return s.gateway.send(ctx, call{
		method: "GET", url: at.Requests, bearer: at.Token, cursor: s.cursor(at),
		prefer: waitFor(wait), within: time.Duration(wait)*time.Second + pollSlack, silence: pollSlack,
	})
}

// beginAll begins a batch. It reports whether there is something in it.
func (s *Session) beginAll(at *claimed, content []byte) (brought bool, err error) {
	b, err := newBatch(content)
	if err != nil {
		return false, err
	}
	s.online() // before its handlers begin
	s.begin(at, b)
	return b.Cursor != "", nil
}

// hears takes note of why a poll failed. After a silence connections that idle may be dead too.
func (s *Session) hears(err error) {
	if err == errNoAnswer || err == errSilent || err == errTunnelBroke {
		s.mu.Lock()
		s.silent = true
		s.mu.Unlock()
		s.gateway.client.CloseIdleConnections()
	}
}

// online notes that the gateway is there. What was sent into a silence before that is sent again: the connections that it
// is on may be dead.
func (s *Session) online() {
	s.mu.Lock()
	if s.silent {
		s.silent = false
		s.newEra()
		s.era, s.newEra = context.WithCancel(context.Background())
	}
	s.mu.Unlock()
	s.standing.set(Online)
}

// sentNow returns the time in which a call is sent that may be sent again.
func (s *Session) sentNow() context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.era
}

// cursor returns what a poll acknowledges.
func (s *Session) cursor(at *claimed) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return at.cursor
}

// begin starts what a poll brings, and moves the cursor. When the session is over, or drains, it does neither.
func (s *Session) begin(at *claimed, b envelope.Batch) {
	if at.ctx.Err() != nil {
		return
	}
	for i := range b.Messages {
		switch m := &b.Messages[i]; m.Type {
		case schema.TypeRequest:
			fresh, known := s.exchanges.begin(s.life, at, &m.Request, nil)
			if fresh != nil {
				m := &message{Message: *m} // a copy: a long exchange must not keep the others of its batch in memory
				s.running.Go(func() { s.run(fresh, m) })
			}
			if known != nil {
				s.running.Go(func() { s.post(known) })
			}
		case schema.TypeCancel:
			s.exchanges.cancel(m.ID, m.Reason)
		}
	}
	if b.Cursor != "" {
		s.mu.Lock()
		at.moveTo(b.Cursor)
		s.mu.Unlock()
	}
}

// What a failure of a poll or of a post means.
const (
	again verdict = iota // the same again, later
	over                 // the session is over: claim again
	final                // the claim is not ours, or the request will never be taken
)

type verdict int

func judge(err error) verdict {
	var refused *Error
	if !errors.As(err, &refused) {
		return again
	}
	switch {
	case refused.Code == schema.CodeDraining:
		return over
	case refused.Code == schema.CodeClaimDeleted:
		return final
	case refused.Status == http.StatusNotFound, refused.Status == http.StatusConflict,
		refused.Status == http.StatusGone, refused.Code == schema.CodeBadCursor:
		return over
	case refusedForGood(refused):
		return final
	}
	return again
}

// refusedForGood reports whether trying again is of no use. A refusal without a code of the protocol comes from
// something in between and passes, unless it is about the size; so does one of a request that was malformed when it
// came: it was whole when it left.
func refusedForGood(e *Error) bool {
	if e.Status == http.StatusRequestEntityTooLarge {
		return true
	}
	passes := e.Status == http.StatusRequestTimeout || e.Status == http.StatusTooManyRequests || e.Code == schema.CodeBadRequest
	return e.Status >= 400 && e.Status <= 499 && e.Code != codeUnexpected && !passes
}

// asked returns how long the gateway asks to wait.
func asked(err error) time.Duration {
	var refused *Error
	if errors.As(err, &refused) {
		return refused.RetryAfter
	}
	return 0
}
