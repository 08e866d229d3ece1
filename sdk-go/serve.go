package reversehttp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"reversehttp/schema"
)

const (
	// How often a draining session shows that it is alive: half of the time that the gateway allows
	// a program whose connection closed.
	drainPoll = time.Second
	// How long telling the gateway that the session ends may take.
	goodbyeTimeout = 3 * time.Second
)

var errServing = errors.New("reversehttp: serve: the session is serving already")

// Serve passes visitors' requests to the handler, each in its own goroutine, until the session is
// closed. A nil handler is http.DefaultServeMux. Serve may be called once.
//
// After Close, Shutdown or Delete it returns ErrClosed; otherwise it returns why it cannot
// continue: ErrLabelTaken, ErrClaimDeleted or another *Error. A temporary failure, such as an
// outage of the network or of the gateway, does not end it.
//
// Serve returns when everything that it began has ended, including handlers, which should return
// when their context ends.
func (s *Session) Serve(handler http.Handler) error {
	if handler == nil {
		handler = http.DefaultServeMux
	}
	s.mu.Lock()
	serving := s.serving
	s.serving = true
	s.mu.Unlock()
	if serving && s.polls.Err() != nil {
		return ErrClosed
	}
	if serving {
		return errServing
	}
	s.runner.handler = handler
	defer close(s.done)

	reason := s.poller.run()
	if s.deleting.Load() {
		reason = ErrClosed
	}
	var refused *Error
	switch {
	case errors.Is(reason, ErrClaimDeleted) && errors.As(reason, &refused):
		s.left.Do(func() {}) // its sessions went with it; what runs may still be answered
	case errors.As(reason, &refused):
		s.left.Do(func() {})
		s.end(reason)
	}
	if refused != nil {
		reason = fmt.Errorf("reversehttp: serve: %w", reason)
	}
	s.drain()
	s.leave()
	s.stop()
	s.end(ErrClosed)
	s.links.Wait()
	closeIdle(s.transport)
	s.standing.set(Closed)
	return reason
}

// drain waits until every exchange has ended. The gateway moves on the exchanges of a session that
// closes its connection and then neither polls nor answers for 2 s, so drain polls every second,
// and at once after a link is lost.
func (s *Session) drain() {
	idle := make(chan struct{})
	s.starting.Lock() // what a link has seen to be in time has begun
	go func() {
		defer close(idle)
		s.running.Wait()
	}()
	s.starting.Unlock()
	t := time.NewTicker(drainPoll)
	defer t.Stop()
	for {
		var lost chan struct{}
		l := s.link.Load()
		if l != nil {
			lost = l.ended
		}
		select {
		case <-idle:
			return
		case <-lost:
			if t.Reset(drainPoll); l.err == errLinkLeft { // for the requests to go elsewhere
				continue
			}
		case <-t.C:
			if l != nil { // it shows life by itself
				continue
			}
		}
		if s.life.Err() == nil {
			s.showLife()
		}
	}
}

// showLife polls once. It begins no requests and acknowledges no cursor: they move on when the
// session leaves.
func (s *Session) showLife() {
	at := s.current()
	content, err := s.poller.ask(s.life, at, 0)
	if err != nil {
		s.exchanges.loseStreams(at, err)
		return
	}
	b, _ := newBatch(content)
	for _, m := range b.messages {
		if m.Type == schema.TypeCancel {
			s.exchanges.cancel(m.ID, m.Reason)
		}
	}
}

// leave reports to the gateway, once, that this program stops serving, and what it has not begun.
func (s *Session) leave() {
	s.left.Do(func() {
		at := s.current()
		ctx, cancel := context.WithTimeout(context.Background(), goodbyeTimeout)
		defer cancel()
		c := call{method: "DELETE", url: at.Session, bearer: at.Token, cursor: at.cursor.get()}
		if err := s.gateway.call(ctx, c, nil); err != nil {
			s.log.Debug("session not ended", "label", at.Label, "error", err)
		}
	})
}

// Close ends the session at once: it cancels the contexts of handlers and drops their answers. The
// claim lives on for its lease. Close waits at most 3 s until the gateway knows, and does not wait
// for handlers, as Serve does. It may be called more than once and always returns nil.
func (s *Session) Close() error {
	s.end(ErrClosed)
	s.leave()
	s.standing.set(Closed)
	s.mu.Lock()
	serving := s.serving
	s.serving = true // Serve would find an ended session
	s.mu.Unlock()
	if !serving {
		close(s.done)
		closeIdle(s.transport)
	}
	return nil
}

// Shutdown ends the session once running handlers have answered: it takes no more requests, waits
// for the handlers and their answers, and tells the gateway what it did not begin. If ctx ends
// first, Shutdown closes the session and returns the error of ctx. The claim lives on for its
// lease.
func (s *Session) Shutdown(ctx context.Context) error {
	s.stop()
	s.mu.Lock()
	serving := s.serving
	s.mu.Unlock()
	if !serving {
		return s.Close()
	}
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		s.Close()
		return ctx.Err()
	}
}

// Delete gives up the label, with all sessions of the claim, and then does what Shutdown does. If
// the gateway refuses or cannot be reached, the session continues.
func (s *Session) Delete(ctx context.Context) error {
	at := s.current()
	s.deleting.Store(true)
	if err := s.gateway.call(ctx, call{method: "DELETE", url: at.Claim, bearer: at.Token}, nil); err != nil {
		s.deleting.Store(false)
		return fmt.Errorf("reversehttp: delete: %w", err)
	}
	s.left.Do(func() {})
	return s.Shutdown(ctx)
}
