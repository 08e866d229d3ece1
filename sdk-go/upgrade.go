package reversehttp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
)

// A handler upgrades the connection as under net/http, in one of two ways: WriteHeader(101) and
// then Hijack, or Hijack and then a response written as HTTP. The second may turn out not to be an
// upgrade.

// upgrader is the response to a request to upgrade. Other responses are not an http.Hijacker, as in
// HTTP/2.
type upgrader struct{ *response }

var _ http.Hijacker = upgrader{}

// Hijack returns the visitor's connection. The handler may return; the exchange lasts until the
// connection is closed.
func (w upgrader) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	x := w.x
	switch {
	case w.taken:
		return nil, nil, http.ErrHijacked
	case w.failed != nil:
		return nil, nil, fmt.Errorf("reversehttp: hijack: %w", w.failed)
	case w.committed && w.status != http.StatusSwitchingProtocols:
		return nil, nil, errors.New("reversehttp: hijack: the answer has begun")
	}
	var head *reply
	if w.committed {
		var err error
		if head, _, err = x.begin(w.session.current(), w.status, nil); err != nil {
			w.failed = err
			return nil, nil, fmt.Errorf("reversehttp: hijack: %w", err)
		}
	}
	w.taken, x.hijacked = true, true
	c := newConn(w.session, x, w.host, w.visitor)
	if w.committed {
		c.open(head)
		w.session.running.Go(func() { c.send(c.departures) })
	} else {
		w.session.running.Go(func() { c.answer(w.again()) })
	}
	return c, bufio.NewReadWriter(bufio.NewReader(c), bufio.NewWriter(c)), nil
}

// again returns a fresh response for the same exchange.
func (w *response) again() *response {
	return &response{session: w.session, x: w.x, ctx: w.x.ctx, method: w.method, upgrade: w.upgrade, log: w.log}
}

// answer reads the response that the handler writes to the connection and sends it: an ordinary one
// as a whole, up to Close; a 101 as its head, followed by the bytes as they come.
func (c *conn) answer(w *response) {
	err := c.relayAnswer(w)
	if c.out != nil {
		return
	}
	// An ordinary answer, or none. Continue as after a handler that has returned.
	c.departures.Close()
	x := c.x
	gone := x.ctx.Err() != nil && context.Cause(x.ctx) != errGivenUp
	if err != nil && !gone {
		w.log.Error("answer cannot be sent", x.logged(), "method", w.method, "error", err)
	}
	x.timer.Stop()
	switch {
	case w.parts != nil:
		w.parts.end(err, nil)
	case gone:
		c.session.exchanges.end(x)
	default:
		if err != nil {
			x.abort(err.Error())
		}
		c.session.poster.give(x)
	}
	x.cancelC(nil)
}

func (c *conn) relayAnswer(w *response) error {
	in := bufio.NewReader(c.departures)
	for {
		resp, err := http.ReadResponse(in, &http.Request{Method: w.method})
		if err != nil {
			return fmt.Errorf("what was written to the connection is no response: %w", err)
		}
		w.header = resp.Header
		switch {
		case resp.StatusCode == http.StatusSwitchingProtocols:
			w.commit(resp.StatusCode)
			head, _, err := w.x.begin(w.session.current(), w.status, nil)
			if err != nil {
				return err
			}
			c.open(head)
			c.send(in)
			return nil
		case resp.StatusCode < 200:
			w.WriteHeader(resp.StatusCode)
		default:
			if _, typed := w.header["Content-Type"]; !typed {
				w.header["Content-Type"] = nil // as it was written
			}
			w.WriteHeader(resp.StatusCode)
			if _, err := io.Copy(w, resp.Body); err != nil {
				return err
			}
			return w.end()
		}
	}
}
