package reversehttp

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
)

// runner runs the handler of a session.
type runner struct {
	session *Session
	handler http.Handler  // set by Serve
	slots   chan struct{} // one for each that runs; nil means no bound
}

// start is run in a goroutine of the session.
func (h *runner) start(x *exchange, m *message) {
	h.session.running.Add(1)
	go h.started(x, m)
}

func (h *runner) started(x *exchange, m *message) {
	defer h.session.running.Done()
	h.run(x, m)
}

// run has the handler answer x, and sees its answer to the gateway.
func (h *runner) run(x *exchange, m *message) {
	if h.slots != nil {
		select {
		case h.slots <- struct{}{}:
		default: // a channel is made only for callers that wait for the context's end
			select {
			case h.slots <- struct{}{}:
			case <-x.ctx.Done():
				h.finish(x)
				return
			}
		}
	}
	// Deferred, so that it is done too when the handler ends its goroutine (runtime.Goexit).
	defer func() {
		if h.slots != nil {
			<-h.slots
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
			h.finish(x)
		default:
			h.session.poster.give(x)
		}
	}()
	h.handle(x, m)
}

func (h *runner) finish(x *exchange) {
	x.timer.Stop()
	x.cancelC(nil)
	h.session.exchanges.end(x)
}

// handle sets the answer of x, unless it was posted while the handler ran.
func (h *runner) handle(x *exchange, m *message) {
	r, err := newRequest(x.ctx, m, func() *remote { return newRemote(x.ctx, h.session, x) })
	if m.Fault != nil {
		err = m.Fault
	}
	if err != nil {
		h.session.log.Error("request not understood", x.logged(), "error", err)
		x.abort("the request was not understood: " + err.Error())
		return
	}
	w := &x.response
	*w = response{session: h.session, x: x, ctx: x.ctx, method: m.Method, log: h.session.log, source: r.Body}
	var writer http.ResponseWriter = w
	if m.Upgrade != "" {
		w.upgrade, w.host, w.visitor = true, r.Host, r.RemoteAddr
		writer = upgrader{w}
		// As on a server, the request ends with the handler, even if the connection continues.
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
			h.session.log.Error("handler panicked", x.logged(), "method", r.Method, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
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
			// Nothing of the answer has been relayed, so the visitor can still get a proper error for a
			// panic.
			x.fail()
		}
	}()
	h.session.waits.serve(h.handler, writer, r)
	returned = true
	if x.hijacked {
		return
	}
	if err := w.end(); err != nil {
		h.session.log.Error("answer cannot be sent", x.logged(), "method", r.Method, "error", err)
		if !x.posted {
			x.fail()
		}
	}
}
