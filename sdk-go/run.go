package reversehttp

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
)

// run has the handler answer x, and sees its answer to the gateway.
func (s *Session) run(x *exchange, m *message) {
	if s.slots != nil {
		select {
		case s.slots <- struct{}{}:
		case <-x.ctx.Done():
			s.finish(x)
			return
		}
	}
	// Deferred, so that it is done too when the handler ends its goroutine (runtime.Goexit).
	defer func() {
		if s.slots != nil {
			<-s.slots
		}
		if x.hijacked {
			return
		}
		gone := x.ctx.Err() != nil
		x.timer.Stop()
		x.cancelC(nil)
		switch {
		case x.posted:
		case gone:
			s.finish(x)
		default:
			s.give(x)
		}
	}()
	s.handle(x, m)
}

func (s *Session) finish(x *exchange) {
	x.timer.Stop()
	x.cancelC(nil)
	s.exchanges.end(x)
}

// handle sets the answer of x, unless it was posted while the handler ran.
func (s *Session) handle(x *exchange, m *message) {
	r, err := newRequest(x.ctx, m, func() *remote { return s.newRemote(x.ctx, x) })
	if m.Fault != nil {
		err = m.Fault
	}
	if err != nil {
		s.log.Error("request not understood", "id", x.id, "error", err)
		x.abort("the request was not understood: " + err.Error())
		return
	}
	w := &response{session: s, x: x, ctx: x.ctx, method: m.Method, log: s.log, limit: s.current().Limits.AnswerBytes, source: r.Body}
	var writer http.ResponseWriter = w
	if m.Upgrade != "" {
		w.upgrade, w.host, w.visitor = true, r.Host, r.RemoteAddr
		writer = upgrader{w}
		// As on a server the request ends with the handler, also where the connection goes on.
		ctx, cancel := context.WithCancelCause(r.Context())
		defer cancel(nil)
		r = r.WithContext(ctx)
	}
	body, returned := r.Body, false
	defer func() {
		body.Close()
		if returned {
			return
		}
		v := recover()
		if v != http.ErrAbortHandler {
			s.log.Error("handler panicked", "id", x.id, "method", r.Method, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		}
		switch {
		case x.hijacked:
			x.cancelC(errGivenUp)
		case w.parts != nil:
			w.parts.end(errGivenUp, nil)
		case x.posted:
		case v == http.ErrAbortHandler:
			x.abort("the handler gave up")
		default:
			// Nothing of the answer has been relayed, so a visitor can be told of a panic in a proper way.
			x.fail()
		}
	}()
	s.handler.ServeHTTP(writer, r)
	returned = true
	if x.hijacked {
		return
	}
	if err := w.end(); err != nil {
		s.log.Error("answer cannot be sent", "id", x.id, "method", r.Method, "error", err)
		if !x.posted {
			x.fail()
		}
	}
}
