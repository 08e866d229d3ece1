package main

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	reversehttp "reversehttp/sdk-go"
)

// exchange is one request and its response, as views show it.
type exchange struct {
	id, method, target, visitor string
	trace                       string // its id, or empty

	began    time.Time
	status   int   // that the visitor got; zero while it runs and if the visitor left first
	bytes    int64 // content sent to the visitor
	duration time.Duration
	fault    string // why it failed, for the user of the command, not for the visitor
}

// watch wraps a handler so that v shows its exchanges.
func watch(next http.Handler, v view) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info := reversehttp.RequestInfo(r.Context())
		x := exchange{id: info.ID, trace: info.Trace.ID(), method: r.Method, target: r.RequestURI, visitor: r.RemoteAddr, began: time.Now()}
		v.began(x)
		rec := &recorder{ResponseWriter: w}
		returned := false
		defer func() {
			x.duration, x.status, x.bytes, x.fault = time.Since(x.began), rec.status, rec.sent.Load(), rec.fault
			gone := context.Cause(r.Context())
			switch {
			case x.fault != "":
			case gone != nil:
				x.fault = cause(gone)
			case !returned && rec.status != 0:
				x.fault = "the answer was cut short"
			}
			// The gateway answers with an error if the visitor has received nothing yet.
			switch begun := rec.begun.Load(); {
			case begun && x.status != 0, returned && gone == nil && x.status != 0:
			case errors.Is(gone, context.DeadlineExceeded):
				x.status, x.bytes = http.StatusGatewayTimeout, 0
			case errors.Is(gone, context.Canceled): // the visitor left
				x.status, x.bytes = 0, 0
			case returned && gone == nil:
				x.status = http.StatusOK
			default:
				x.status, x.bytes = http.StatusBadGateway, 0
			}
			v.ended(x)
		}()
		next.ServeHTTP(rec, r)
		returned = true
	})
}

// recorder notes the response of a handler.
type recorder struct {
	http.ResponseWriter
	status int
	sent   atomic.Int64
	begun  atomic.Bool // part of it has been sent to the visitor
	fault  string
}

// The most content that is held until a flush, or until the handler returns, in bytes; see the
// package reversehttp.
const heldMost = 128 << 10

// blame notes why an exchange failed.
func blame(w http.ResponseWriter, fault string) {
	if in, ok := w.(*relayed); ok {
		w = in.ResponseWriter
	}
	if rec, ok := w.(*recorder); ok {
		rec.fault = fault
	}
}

// WriteHeader notes the status unless it is informational.
func (w *recorder) WriteHeader(status int) {
	if status >= 200 && w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write counts content.
func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	if w.sent.Add(int64(n)) > heldMost {
		w.begun.Store(true)
	}
	return n, err
}

// FlushError is for [http.ResponseController].
func (w *recorder) FlushError() error {
	err := http.NewResponseController(w.ResponseWriter).Flush()
	if err == nil {
		w.begun.Store(true)
	}
	return err
}

// Unwrap is for [http.ResponseController].
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Hijack returns a connection that counts the bytes sent to the visitor after the head of the
// answer.
func (w *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	w.status = http.StatusSwitchingProtocols
	w.begun.Store(true)
	return &countedConn{Conn: c, sent: &w.sent}, rw, nil
}

type countedConn struct {
	net.Conn
	sent *atomic.Int64
}

func (c *countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.sent.Add(int64(n))
	return n, err
}
