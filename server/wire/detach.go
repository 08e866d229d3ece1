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

// Detached is a connection that left net/http while a response to a request on it is due, see
// [Detach], and the [http.ResponseWriter] of that. It costs one goroutine that needs little, in
// place of the stacks, the buffers and the request of net/http. Whoever writes the response naps
// in a read of one byte meanwhile, which notices that the peer leaves, or begins its next request.
// Once the response is whole the connection is idle, and with the first byte of a request it goes back
// to net/http, by its listener.
type Detached struct {
	response
	port     *Port
	listener *listener
	seat     *seat
	leave    context.CancelFunc // the peer has left
	next     []byte             // what the peer sent of its next request
	first    [1]byte
	until    time.Time // of the nap
	roused   atomic.Bool
	idle     bool // the set guards it
}

// Detach takes the connection of r from net/http and reports whether it could: of HTTP/1.1 alone,
// and for a request without content. Then the handler returns and does no more with w and r: serve
// writes the response, on a goroutine of its own. It has the fields of w, unless its head was
// sent, which begun says. The context ends when the peer leaves during a nap. A panic ends the
// connection as in a handler.
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
	if n := rw.Reader.Buffered(); n > 0 { // it pipelines
		ahead, _ := rw.Reader.Peek(n)
		d.next = append(d.next, ahead...)
	}
	d.next = append(d.next, a.ahead...) // what a guard held back, or stopped at
	ctx, leave := context.WithCancel(context.Background())
	d.leave = leave
	d.port.busy.Add(1)
	if !d.port.away.add(d, func() { d.run(ctx, serve) }) {
		leave()
		d.run(ctx, serve)
	}
	return true
}

// run has the response written, and gives the connection back.
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
	back.ahead, back.other = d.next, true // it speaks HTTP/1
	d.listener.give(acceptance{conn: back})
}

// answer has the response written, and reports whether the connection may serve another request.
func (d *Detached) answer(ctx context.Context, serve func(context.Context, *Detached)) (again bool) {
	defer func() {
		if v := recover(); v != nil && v != http.ErrAbortHandler {
			d.port.caught(v)
		}
	}()
	serve(ctx, d)
	return d.end() == nil && !d.closes && d.port.away.rest(d)
}

// rest makes the connection idle.
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

// Until sets when a nap ends, at last.
func (d *Detached) Until(t time.Time) {
	d.until = t
	d.roused.Store(false)
	_ = d.conn.SetReadDeadline(t)
}

// Nap returns when its time is over or it is roused, and when the peer sends something or leaves. It reports
// whether it can nap again: where the peer has sent something it could notice no more, nor where the
// connection says that a time is over that is not.
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

// Rouse ends the nap, and one whose end is set and that has not begun.
func (d *Detached) Rouse() {
	d.roused.Store(true)
	_ = d.conn.SetReadDeadline(past)
}

// detachedSet has the detached connections of a port.
type detachedSet struct {
	mu          sync.Mutex // guards below, and whether they are idle
	all         map[*Detached]struct{}
	ends, ended bool // none is kept that is idle; none is kept
	running     sync.WaitGroup
}

// Detached returns how many connections are not with net/http (see [Detach]).
func (p *Port) Detached() int {
	p.away.mu.Lock()
	defer p.away.mu.Unlock()
	return len(p.away.all)
}

// add adds one, which runs, unless all have ended.
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

// rest makes one idle, and reports whether it is to be kept.
func (s *detachedSet) rest(d *Detached) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ends {
		d.rest()
	}
	return !s.ends
}

// remove removes one.
func (s *detachedSet) remove(d *Detached) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, d)
}

// endIdle closes those that are idle, from then on.
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

// end closes all, from then on, and waits until they have ended.
func (s *detachedSet) end() {
	s.mu.Lock()
	s.ends, s.ended = true, true
	for d := range s.all {
		_ = d.conn.Close()
	}
	s.mu.Unlock()
	s.running.Wait()
}
