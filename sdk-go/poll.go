package reversehttp

import (
	"context"
	"errors"
	"net/http"
	"time"

	"reversehttp/schema"
)

// The loop that polls. It runs in the goroutine of Serve, one poll at a time, and it alone claims again.
//
// A poll's cursor names what was begun, never what only arrived, so a stop at any moment leaves the rest to other
// sessions. After a failure the poll asks for an answer at once (wait=0): only that proves that the gateway is there
// again, while an open connection proves nothing.

const (
	// Longer than the gateway waits, so that only a dead connection is noticed.
	pollSlack = 10 * time.Second
	// A gateway or a proxy that answers 204 sooner than this did not wait; do not ask in a tight loop.
	soon = time.Second
)

// pollAll polls until the session is closed or cannot go on, and says why.
func (s *Session) pollAll() error {
	// A gateway that says that the session is over is there: what an outage made of the one backoff is no reason to be
	// slow with the other.
	var b, sessions backoff
	at, proven := s.current(), true
	for {
		wait := 0
		if proven {
			wait = at.Limits.WaitSeconds
		}
		since := time.Now()
		got, err := s.poll(at.ctx, at, wait)
		if s.polls.Err() != nil {
			return ErrClosed
		}
		if err == nil {
			s.standing.set(Online)
			s.begin(at, got)
			early := got.Cursor == "" && wait > 0 && time.Since(since) < soon
			if early && !pause(s.polls, b.next(0)) {
				return ErrClosed
			} else if !early {
				b.reset()
				sessions.reset()
			}
			proven = true
			continue
		}
		if at.ctx.Err() != nil {
			err = context.Cause(at.ctx)
		}
		proven = false
		v := judge(err)
		if v == final {
			return err
		}
		s.log.Warn("poll failed", "label", at.Label, "error", err)
		s.loseStreams(at, err)
		s.standing.set(Reconnecting)
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
			s.standing.set(Online)
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

// poll asks for what comes after the cursor. The batch is empty if nothing came.
func (s *Session) poll(ctx context.Context, at *claimed, wait int) (batch, error) {
	s.mu.Lock()
	cursor := at.cursor
	s.mu.Unlock()
	content, err := s.gateway.send(ctx, call{
		method: "GET", url: at.Requests, bearer: at.Token, cursor: cursor,
		prefer: waitFor(wait), within: time.Duration(wait)*time.Second + pollSlack,
	})
	if err != nil || len(content) == 0 {
		return batch{}, err
	}
	return newBatch(content)
}

// begin starts what a batch brings, and moves the cursor.
func (s *Session) begin(at *claimed, b batch) {
	if b.Cursor == "" {
		return
	}
	for i := range b.Messages {
		switch m := b.Messages[i]; m.Type { // a copy: a long exchange must not keep the others of its batch in memory
		case schema.TypeRequest:
			fresh, known := s.exchanges.begin(s.life, at, &m.Request)
			if fresh != nil {
				s.running.Go(func() { s.run(fresh, &m.Request, m.fault) })
			}
			if known != nil {
				s.running.Go(func() { s.post(known) })
			}
		case schema.TypeCancel:
			s.exchanges.cancel(m.ID, m.Reason)
		}
	}
	s.mu.Lock()
	at.cursor = b.Cursor
	s.mu.Unlock()
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
// something in between and passes.
func refusedForGood(e *Error) bool {
	passes := e.Status == http.StatusRequestTimeout || e.Status == http.StatusTooManyRequests
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
