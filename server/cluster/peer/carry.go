package peer

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"reversehttp/server/claim"
	"reversehttp/server/wire"
)

// ErrMoved is why a home was lost that lives, but does not keep the claim, or no longer.
var ErrMoved = errors.New("peer: the node is not the home of the claim")

// Lost is the error of a home that ended, was never reached, or does not keep the claim any more,
// before anything of the response had come.
type Lost struct {
	// Err is why; [ErrMoved] if the home lives.
	Err error
	// Unreached says that the home was not reached, so it did not see the request, unless Sent says
	// that an earlier connection, which broke without a word, may have brought it there.
	Unreached, Sent bool
	// Before is the last note of the home, or of one before it; nil if there was none.
	Before *claim.Note
}

func (l *Lost) Error() string { return "peer: the home was lost: " + l.Err.Error() }
func (l *Lost) Unwrap() error { return l.Err }

// Carry has the home of the claim of a label serve r, and writes its response to w. Without a label, the node
// serves r itself, whichever claims it keeps. content is that of r, and before the last note of a home that was
// lost, if any. A handler that calls Carry returns soon after it, and must not write to w afterwards unless
// Carry fails, with a [*Lost]: nothing was written then. Carry panics with [http.ErrAbortHandler] if the response has no clean end, or
// nobody is there to take it.
func (p *Pool) Carry(w http.ResponseWriter, r *http.Request, content *Content, to Node, label string, before *claim.Note) error {
	for sent := false; ; sent = true {
		c, used, err := p.get(r.Context(), to)
		if err != nil {
			return &Lost{Err: err, Unreached: true, Sent: sent, Before: before}
		}
		y := &carried{pool: p, c: c, w: w, r: r, content: content, before: before}
		err = y.carry(label)
		if used && !y.heard && err != nil && r.Context().Err() == nil && !c.dropped.Load() {
			continue // the connection was closed while it was idle
		}
		return err
	}
}

// carried is a request that is being carried, at its entry.
type carried struct {
	pool    *Pool
	c       *conn
	w       http.ResponseWriter
	r       *http.Request
	content *Content
	before  *claim.Note
	heard   bool // the home has sent something
	begun   bool // the response has begun
	gone    atomic.Bool
	owes    bool        // the home does not know yet that the response has begun
	half    net.Conn    // after an upgrade
	stay    func() bool // keeps leave from being called, unless it was; set while it may be
	stays   bool        // leave was not called, and will not be
}

// carry sends the request and relays the response, and gives the connection back.
func (y *carried) carry(label string) (err error) {
	clean := false // nothing is due on the connection
	defer func() { y.pool.put(y.c, clean) }()
	waits := y.content.waits()
	head := headOf(y.r, label, y.before)
	head.Waits, head.Empty = waits, y.content == nil
	if err := y.c.sendValue(kindRequest, head, true); err != nil {
		return y.lost(err)
	}
	if y.pool.parting() {
		y.c.part()
	}
	if y.content != nil {
		credit := window
		if waits {
			credit = 0
		}
		y.content.attach(y.c, credit)
		defer y.content.detach()
	}
	y.stay = context.AfterFunc(y.r.Context(), y.leave)
	defer y.stay()
	err = y.relay()
	switch {
	case err == nil, err == ErrMoved:
		y.content.detach()
		if y.gone.Load() {
			panic(http.ErrAbortHandler)
		}
		// A leave that was called may still write to the connection, which is then not used again.
		clean = y.stays && y.c.send(kindDone, nil, true) == nil
		if err == ErrMoved {
			return y.lost(err)
		}
		return nil
	case y.begun || y.gone.Load() || err == http.ErrAbortHandler:
		if y.half != nil {
			_ = y.half.Close()
			y.content.Stop()
		}
		panic(http.ErrAbortHandler)
	}
	return y.lost(err)
}

// lost returns the error of a home that ended.
func (y *carried) lost(err error) error { return &Lost{Err: err, Before: y.before} }

// leave informs the home that the sender of the request has left, and gives it a moment to end.
func (y *carried) leave() {
	y.content.await() // so that an error of the content comes first
	y.quit()
}

// remain keeps leave from being called from here on, and reports whether it never was.
func (y *carried) remain() bool {
	y.stays = y.stay() || y.stays
	return y.stays
}

// quit is leave for the goroutine that relays.
func (y *carried) quit() {
	y.gone.Store(true)
	closed := byte(0)
	if wire.Left(y.r) {
		closed = 1
	}
	_ = y.c.send(kindLeft, []byte{closed}, true)
	_ = y.c.SetReadDeadline(time.Now().Add(leaveTime))
}

// leaveTime is how long a home may take to end a request whose sender left.
const leaveTime = 5 * time.Second

// relay writes what the home sends, until the end. The home learns that the response has begun before
// anything is waited for: from the frame done, if all of the response is here.
func (y *carried) relay() error {
	for {
		if err := y.taken(y.c.in.Buffered() > 0); err != nil {
			return err
		}
		k, n, err := y.c.next()
		if err != nil {
			return err
		}
		y.heard = true
		if err := y.taken(k == kindEnd || k == kindContent && n <= unsaid && y.c.in.Buffered() >= n); err != nil {
			return err
		}
		if over, err := y.take(k, n); over || err != nil {
			return err
		}
	}
}

// taken informs the home that the response has begun, unless it knows or soon is over.
func (y *carried) taken(soon bool) error {
	if !y.owes || soon {
		return nil
	}
	y.owes = false
	return y.c.send(kindTaken, nil, true)
}

// unsaid is how much content is written before the home knows that the response has begun, in bytes: the
// sender of the request need not take anything meanwhile.
const unsaid = 2 << 10

// take takes one frame, and reports whether it was the last one.
func (y *carried) take(k kind, n int) (over bool, err error) {
	switch k {
	case kindMoved:
		y.remain()
		return true, ErrMoved
	case kindWant:
		return false, y.want(n)
	case kindNote:
		return false, y.note(n)
	case kindInterim, kindHead:
		return false, y.head(k, n)
	case kindContent:
		return false, y.write(n)
	case kindFlush:
		if y.gone.Load() {
			return false, nil
		}
		return false, y.untaken(http.NewResponseController(y.w).Flush())
	case kindHijacked:
		return false, y.upgrade()
	case kindShut:
		if half, is := y.half.(interface{ CloseWrite() error }); is {
			_ = half.CloseWrite()
		}
		return false, nil
	case kindEnd:
		return true, y.end(n)
	case kindAborted:
		return true, http.ErrAbortHandler
	}
	return true, errOrder
}

// want lets more of the content be sent.
func (y *carried) want(n int) error {
	var credit [4]byte
	if n != len(credit) {
		return errOrder
	}
	if _, err := io.ReadFull(y.c.in, credit[:]); err != nil {
		return err
	}
	if y.content != nil {
		y.content.allow(int(binary.BigEndian.Uint32(credit[:])))
	}
	return nil
}

// note keeps what the home says of the exchange.
func (y *carried) note(n int) error {
	told := new(claim.Note)
	if err := y.c.readValue(n, told); err != nil {
		return err
	}
	y.before = told
	return y.c.send(kindNoted, nil, true)
}

// head writes the head of a response, or an interim response.
func (y *carried) head(k kind, n int) error {
	h := new(responseHead)
	if err := y.c.readValue(n, h); err != nil {
		return err
	}
	if y.gone.Load() {
		return nil
	}
	if k == kindHead {
		y.begun, y.owes = true, true
	}
	y.fields(h.Header)
	y.duplex(h.Duplex)
	wire.BoundWrite(y.w, 0)
	y.w.WriteHeader(h.Status)
	if k == kindInterim {
		clear(y.w.Header())
	}
	return nil
}

// fields sets the fields of a response. A field with which the entry ends the connection stays.
func (y *carried) fields(from http.Header) {
	own := y.w.Header()
	closing := slices.Contains(own["Connection"], "close")
	clear(own)
	for name, values := range from {
		own[name] = values
	}
	if closing {
		own["Connection"] = []string{"close"}
	}
}

// duplex lets the response begin before the request was read to its end.
func (y *carried) duplex(set bool) {
	if set {
		_ = http.NewResponseController(y.w).EnableFullDuplex()
	}
}

// write writes n bytes of content.
func (y *carried) write(n int) error {
	buf := pieces.get(n)
	defer pieces.put(buf)
	content := (*buf)[:n]
	if _, err := io.ReadFull(y.c.in, content); err != nil {
		return err
	}
	if y.gone.Load() {
		return nil
	}
	if y.half != nil {
		_ = y.half.SetWriteDeadline(time.Now().Add(wire.WriteTime(n)))
		_, err := y.half.Write(content)
		return y.untaken(err)
	}
	y.begun = true
	wire.BoundWrite(y.w, n)
	_, err := y.w.Write(content)
	return y.untaken(err)
}

// untaken informs the home if a write of the response failed: its sender does not take it.
func (y *carried) untaken(err error) error {
	if err == nil {
		return nil
	}
	y.quit() // and wait for the end, which the home sends soon
	return nil
}

// upgrade takes the connection over from net/http.
func (y *carried) upgrade() error {
	if !y.remain() {
		return nil // the home ends soon
	}
	conn, rw, err := http.NewResponseController(y.w).Hijack()
	if err != nil {
		return y.untaken(err)
	}
	y.half, y.begun, y.owes = conn, true, true
	_ = conn.SetDeadline(time.Time{})
	if y.content == nil {
		y.content = newContent(y.w, y.r)
		y.content.passed = true
		y.content.attach(y.c, 0)
	}
	y.content.upgrade(buffered{conn, rw})
	return nil
}

// buffered is a connection from which net/http has read too much.
type buffered struct {
	net.Conn
	ahead io.Reader
}

// Read returns what net/http has read, and then reads from the connection.
func (b buffered) Read(p []byte) (int, error) { return b.ahead.Read(p) }

// end ends the response. Who leaves from here on has it.
func (y *carried) end(n int) error {
	var e ending
	if err := y.c.readValue(n, &e); err != nil {
		return err
	}
	y.remain()
	if y.half != nil {
		y.content.detach()
		_ = y.half.Close()
		y.content.Stop()
		return nil
	}
	if y.gone.Load() {
		return nil
	}
	y.duplex(e.Duplex)
	if e.Silent {
		y.fields(e.Header)
	}
	for name, values := range e.Trailer {
		y.w.Header()[name] = values
	}
	y.begun = true
	wire.BoundWrite(y.w, 0)
	if e.HangUp {
		y.content.Stop()
		wire.HangUp(y.w)
	}
	return nil
}

// headOf returns the head of a request.
func headOf(r *http.Request, label string, before *claim.Note) *requestHead {
	h := &requestHead{
		Label: label, Before: before,
		Method: r.Method, URI: r.RequestURI, Proto: r.Proto, Major: r.ProtoMajor, Minor: r.ProtoMinor,
		Host: r.Host, Header: r.Header, Length: r.ContentLength, Encoding: r.TransferEncoding, Close: r.Close, Remote: r.RemoteAddr,
	}
	if target := wire.Target(r); target != r.RequestURI {
		h.Target = target
	}
	for name := range r.Trailer {
		h.Trailer = append(h.Trailer, name)
	}
	return h
}
