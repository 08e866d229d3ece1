package peer

import (
	"bufio"
	"net"
	"net/http"
	"strconv"
	"time"

	"reversehttp/server/claim"
)

// response is the response of a handler at the home. It behaves as that of net/http: it is what the
// entry writes to a response of net/http in the same order.
type response struct {
	c       *conn
	call    *Call
	header  http.Header
	status  int   // of the head; 0 until it was sent
	left    int64 // of the content, by its Content-Length; -1 if that is not known
	trailer []string
	silent  bool // the request is HEAD
	duplex  bool
	hangUp  bool
	gone    bool // hijacked
	moved   bool // the entry asks the new home
}

// Header returns the fields of the response.
func (w *response) Header() http.Header { return w.header }

// WriteHeader sends the head of the response, or an interim response.
func (w *response) WriteHeader(status int) {
	if w.status != 0 || w.gone || w.moved {
		return
	}
	h := responseHead{Status: status, Header: w.header, Duplex: w.duplex}
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		_ = w.c.sendValue(kindInterim, h, true)
		return
	}
	w.status, w.left = status, -1
	if n, err := strconv.ParseInt(w.header.Get("Content-Length"), 10, 64); err == nil {
		w.left = n
	}
	w.trailer = announcedIn(w.header)
	_ = w.c.sendValue(kindHead, h, false)
}

// Write sends content. It fails as net/http does: with [http.ErrContentLength] for more than the
// Content-Length, and with [http.ErrBodyNotAllowed] where the status allows none.
func (w *response) Write(p []byte) (int, error) {
	if w.gone {
		return 0, http.ErrHijacked
	}
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if len(p) == 0 {
		return 0, nil
	}
	if w.status == http.StatusNoContent || w.status == http.StatusNotModified || w.silent {
		return 0, http.ErrBodyNotAllowed
	}
	if w.left >= 0 && int64(len(p)) > w.left {
		return 0, http.ErrContentLength
	}
	n, err := w.c.sendContent(p, false)
	if w.left >= 0 {
		w.left -= int64(n)
	}
	return n, err
}

// FlushError has the entry send what is buffered.
func (w *response) FlushError() error {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return w.c.send(kindFlush, nil, true)
}

// Flush is FlushError for those who know [http.Flusher] only.
func (w *response) Flush() { _ = w.FlushError() }

// SetReadDeadline bounds reads of the content of the request.
func (w *response) SetReadDeadline(t time.Time) error {
	w.call.in.until(t)
	return nil
}

// SetWriteDeadline bounds writes to the entry, which takes as much as the sender of the request
// takes.
func (w *response) SetWriteDeadline(t time.Time) error { return w.c.SetWriteDeadline(t) }

// EnableFullDuplex has the entry send the response before the request was read to its end.
func (w *response) EnableFullDuplex() error {
	w.duplex = true
	return nil
}

// HangUp ends the connection of the entry after the response; see [wire.HangUp].
func (w *response) HangUp() { w.hangUp = true }

// Moves has the entry ask the home that the claim has by now, if that is another one and nothing was
// sent. It reports whether it does; see [wire.Moves].
func (w *response) Moves() bool {
	if label := w.call.head.Label; w.status != 0 || w.gone || label == "" || w.call.keeps(label) {
		return false
	}
	w.moved = true
	return true
}

// Judged has the entry pass on which exchanges have their answer; see [wire.Judged].
func (w *response) Judged(exchanges []string) {
	_ = w.call.Note(claim.Note{Judged: exchanges}, false) // otherwise the next home waits for them
}

// Hijack takes over the connection to the sender of the request.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.gone {
		return nil, nil, http.ErrHijacked
	}
	w.gone = true
	w.call.in.reopen()
	if w.call.hasLeft() {
		w.call.in.end(errLeft)
	}
	_ = w.c.SetWriteDeadline(time.Time{})
	if err := w.c.send(kindHijacked, nil, true); err != nil {
		return nil, nil, err
	}
	u := &upgraded{c: w.c, call: w.call, closed: make(chan struct{})}
	w.call.upgraded = u
	return u, bufio.NewReadWriter(bufio.NewReader(u), bufio.NewWriter(u)), nil
}

// end sends the end of the response.
func (w *response) end() error {
	if w.moved {
		return w.c.send(kindMoved, nil, true)
	}
	e := ending{Duplex: w.duplex, HangUp: w.hangUp}
	if w.status == 0 {
		e.Silent, e.Header = true, w.header
	} else {
		e.Trailer = trailersOf(w.header, w.trailer)
	}
	return w.c.sendValue(kindEnd, e, true)
}

// upgraded is a connection to the sender of a request, after its upgrade.
type upgraded struct {
	c      *conn
	call   *Call
	closed chan struct{}
}

// Read reads what was sent.
func (u *upgraded) Read(p []byte) (int, error) { return u.call.in.Read(p) }

// Write sends p.
func (u *upgraded) Write(p []byte) (int, error) {
	select {
	case <-u.closed:
		return 0, net.ErrClosed
	default:
	}
	return u.c.sendContent(p, true)
}

// CloseWrite says that no more is written.
func (u *upgraded) CloseWrite() error { return u.c.send(kindShut, nil, true) }

// Close ends the connection. It may be called again.
func (u *upgraded) Close() error {
	u.call.mu.Lock()
	defer u.call.mu.Unlock()
	select {
	case <-u.closed:
		return nil
	default:
	}
	close(u.closed)
	u.call.in.end(net.ErrClosed)
	return nil
}

func (u *upgraded) LocalAddr() net.Addr  { return u.c.LocalAddr() }
func (u *upgraded) RemoteAddr() net.Addr { return address(u.call.head.Remote) }

// SetDeadline bounds reads and writes.
func (u *upgraded) SetDeadline(t time.Time) error {
	u.call.in.until(t)
	return u.c.SetWriteDeadline(t)
}

// SetReadDeadline bounds reads.
func (u *upgraded) SetReadDeadline(t time.Time) error {
	u.call.in.until(t)
	return nil
}

// SetWriteDeadline bounds writes.
func (u *upgraded) SetWriteDeadline(t time.Time) error { return u.c.SetWriteDeadline(t) }

// address is the address of the sender of a request, as [http.Request.RemoteAddr] has it.
type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }
