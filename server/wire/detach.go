package wire

import (
	"context"
	"errors"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Detached is a connection that left net/http while a response is due on it (see [Detach]), and the
// [http.ResponseWriter] for that response. It costs one small goroutine instead of the stacks,
// buffers and request of net/http. While the writer of the response waits, it naps in a read of one
// byte, which notices if the peer leaves or begins its next request. Once the response is complete
// the connection is idle. With the first byte of a request it returns to net/http, through its
// listener.
type Detached struct {
	response
	port     *Port
	listener *listener
	seat     *seat
	leave    context.CancelFunc // called when the peer left
	next     []byte             // what the peer sent of its next request
	first    [1]byte
	until    time.Time // when the nap ends
	roused   atomic.Bool
	idle     bool // guarded by the set
}

// Detach takes the connection of r from net/http and reports whether it could. It can in HTTP/1.1
// only, and only for a request without content. The handler must then return without using w and r
// again; serve writes the response on a goroutine of its own. The response has the fields of w,
// unless begun says that its head was sent. The context ends if the peer leaves during a nap. A
// panic ends the connection as in a handler.
func Detach(w http.ResponseWriter, r *http.Request, begun bool, serve func(context.Context, *Detached)) bool {
	a := acceptedOf(r)
	if a == nil || a.port == nil || !r.ProtoAtLeast(1, 1) || r.Body != http.NoBody {
		return false
	}
	d := &Detached{port: a.port, listener: a.listener, seat: a.seat}
	d.response = response{conn: a.Conn, begun: begun, chunked: begun, closes: r.Close || w.Header().Get("Connection") == "close"}
	if !begun {
		d.header = w.Header().Clone()
	}
	_, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return false
	}
	if n := rw.Reader.Buffered(); n > 0 { // the peer pipelines
		ahead, _ := rw.Reader.Peek(n)
		d.next = append(d.next, ahead...)
	}
	d.next = append(d.next, a.ahead...) // bytes that the guard held back or stopped at
	ctx, leave := context.WithCancel(context.Background())
	d.leave = leave
	d.port.busy.Add(1)
	if !d.port.away.add(d, func() { d.run(ctx, serve) }) {
		leave()
		d.run(ctx, serve)
	}
	return true
}

// run has serve write the response, then returns the connection to the listener.
func (d *Detached) run(ctx context.Context, serve func(context.Context, *Detached)) {
	again := d.answer(ctx, serve)
	d.leave()
	d.port.busy.Add(-1)
	if again && len(d.next) == 0 {
		n, _ := d.conn.Read(d.first[:])
		d.next = d.first[:n]
	}
	d.port.away.remove(d)
	if !again || len(d.next) == 0 {
		_ = d.conn.Close()
		return
	}
	_ = d.conn.SetReadDeadline(time.Time{})
	back := newAccepted(d.conn, d.listener, d.seat)
	back.ahead, back.other = d.next, true // the peer speaks HTTP/1
	d.listener.give(acceptance{conn: back})
}

// answer has serve write the response, and reports whether the connection can serve another
// request.
func (d *Detached) answer(ctx context.Context, serve func(context.Context, *Detached)) (again bool) {
	defer func() {
		if v := recover(); v != nil && v != http.ErrAbortHandler {
			d.port.caught(v)
		}
	}()
	serve(ctx, d)
	return d.end() == nil && !d.closes && d.port.away.rest(d)
}

// rest marks the connection idle, and sets how long it may stay so.
func (d *Detached) rest() {
	d.idle = true
	_ = d.conn.SetWriteDeadline(time.Time{})
	var until time.Time
	if most := d.port.options.Idle; most > 0 {
		until = time.Now().Add(most)
	}
	d.Until(until)
	d.seat.note(http.StateIdle)
}

// Until sets the time at which a nap ends at the latest.
func (d *Detached) Until(t time.Time) {
	d.until = t
	d.roused.Store(false)
	_ = d.conn.SetReadDeadline(t)
}

// Nap returns when its time is over, when Rouse is called, and when the peer sends something or
// leaves. It reports whether another nap is possible. That is not so after the peer sent something,
// because a nap would no longer notice anything, nor if the connection reports a timeout too early.
func (d *Detached) Nap() bool {
	if len(d.next) > 0 {
		return false
	}
	n, err := d.conn.Read(d.first[:])
	d.next = d.first[:n]
	switch {
	case err == nil:
		return false
	case !errors.Is(err, os.ErrDeadlineExceeded):
		d.leave()
		return false
	}
	return d.roused.Load() || !time.Now().Before(d.until)
}

// Rouse ends the nap, or the next one if its end is set already.
func (d *Detached) Rouse() {
	d.roused.Store(true)
	_ = d.conn.SetReadDeadline(past)
}

// detachedSet holds the detached connections of a port.
type detachedSet struct {
	mu          sync.Mutex // guards the fields below, and idle of each connection
	all         map[*Detached]struct{}
	ends, ended bool // idle connections are closed; all are
	running     sync.WaitGroup
}

// Detached returns the number of connections that are not with net/http (see [Detach]).
func (p *Port) Detached() int {
	p.away.mu.Lock()
	defer p.away.mu.Unlock()
	return len(p.away.all)
}

// add adds a connection and starts run for it, and reports false once all have ended.
func (s *detachedSet) add(d *Detached, run func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	if s.all == nil {
		s.all = make(map[*Detached]struct{})
	}
	s.all[d] = struct{}{}
	s.running.Go(run)
	return true
}

// rest marks a connection idle, and reports whether to keep it.
func (s *detachedSet) rest(d *Detached) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ends {
		d.rest()
	}
	return !s.ends
}

// remove removes a connection.
func (s *detachedSet) remove(d *Detached) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, d)
}

// endIdle closes the idle connections, and each that becomes idle later.
func (s *detachedSet) endIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ends = true
	for d := range s.all {
		if d.idle {
			_ = d.conn.Close()
		}
	}
}

// end closes all connections, refuses new ones, and waits until all have ended.
func (s *detachedSet) end() {
	s.mu.Lock()
	s.ends, s.ended = true, true
	for d := range s.all {
		_ = d.conn.Close()
	}
	s.mu.Unlock()
	s.running.Wait()
}
