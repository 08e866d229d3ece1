package claim

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var someone, another = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")

// scene is a registry in a bubble, with a claim "demo" owned by "t0".
type scene struct {
	t *testing.T
	*Registry
	claim *Claim

	mu   sync.Mutex // guards ends
	ends map[string][]Ended
}

// inScene runs a test in a bubble. Afterwards every exchange must have ended once.
func inScene(t *testing.T, o Options, test func(t *testing.T, s *scene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &scene{t: t, ends: map[string][]Ended{}}
		o.Ended = func(e Ended) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.ends[e.Exchange.ID()] = append(s.ends[e.Exchange.ID()], e)
		}
		s.Registry = New(o)
		test(t, s)
		s.Close()
		synctest.Wait()
		if n := s.Stats(); n.Exchanges != 0 || n.Polls != 0 {
			t.Errorf("left open: %+v", n)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for id, ends := range s.ends {
			if len(ends) != 1 {
				t.Errorf("exchange %s was reported %d times, want once", id, len(ends))
			}
		}
	})
}

// session opens a session of demo.
func (s *scene) session(set ...Settings) *Session {
	s.t.Helper()
	o, err := s.Open(netip.Addr{}, "demo", "t0", append(set, Settings{})[0])
	if err != nil {
		s.t.Fatalf("open: %v", err)
	}
	s.claim = o.Session.Claim()
	return o.Session
}

// visit is a visitor's exchange on its own goroutine.
type visit struct {
	s     *scene
	x     *Exchange
	leave context.CancelFunc
	done  chan struct{}
	a     *Answer
	err   error
}

// visit sends a request to demo and waits until nothing changes.
func (s *scene) visit(method string) *visit { return s.request(&Request{Method: method, Target: "/"}) }

func (s *scene) request(req *Request) *visit {
	s.t.Helper()
	ctx, leave := context.WithCancel(context.Background())
	v := &visit{s: s, leave: leave, done: make(chan struct{})}
	if v.x, v.err = s.claim.Begin(s.budget.Open(netip.Addr{}), nil); v.err != nil {
		close(v.done)
		leave()
		return v
	}
	go func() {
		defer close(v.done)
		defer leave()
		v.a, v.err = v.x.Do(ctx, req)
	}()
	synctest.Wait()
	return v
}

// pending fails the test if the visitor has an answer.
func (v *visit) pending() {
	v.s.t.Helper()
	select {
	case <-v.done:
		v.s.t.Fatalf("exchange ended: %+v %v, want it open", v.a, v.err)
	default:
	}
}

// answered fails the test unless the visitor got a response with the status.
func (v *visit) answered(status int) {
	v.s.t.Helper()
	synctest.Wait()
	select {
	case <-v.done:
	default:
		v.s.t.Fatalf("exchange is open, want status %d", status)
	}
	if v.err != nil || v.a.Status != status {
		v.s.t.Fatalf("answer = %+v %v, want status %d", v.a, v.err, status)
	}
	v.ended(Done)
}

// failed fails the test unless the exchange ended with the error, without an answer.
func (v *visit) failed(o Outcome, err error, handed Handed) {
	v.s.t.Helper()
	synctest.Wait()
	select {
	case <-v.done:
	default:
		v.s.t.Fatalf("exchange is open, want %v", err)
	}
	f, ok := errors.AsType[*Failure](v.err)
	if !ok || !errors.Is(v.err, err) {
		v.s.t.Fatalf("exchange ended with %v, want %v", v.err, err)
	}
	if f.Handed != handed {
		v.s.t.Errorf("handed = %d, want %d", f.Handed, handed)
	}
	if v.x != nil {
		v.ended(o)
	}
}

// ended checks that the exchange was counted in one end state only.
func (v *visit) ended(o Outcome) {
	v.s.t.Helper()
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	if ends := v.s.ends[v.x.ID()]; len(ends) != 1 || ends[0].Outcome != o {
		v.s.t.Errorf("ends of %s = %+v, want %v once", v.x.ID(), ends, o)
	}
}

// parked is a poll on its own goroutine.
type parked struct {
	stop  context.CancelFunc
	done  chan struct{}
	batch *Batch
	err   error
	took  time.Duration
}

// park polls without a deadline and waits until nothing changes.
func park(s *Session, cursor *string, wait time.Duration) *parked {
	ctx, stop := context.WithCancel(context.Background())
	p := &parked{stop: stop, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		defer stop()
		start := time.Now()
		p.batch, p.err = s.Poll(ctx, cursor, wait, 0)
		p.took = time.Since(start)
	}()
	synctest.Wait()
	return p
}

// open reports whether the poll still waits.
func (p *parked) open() bool {
	synctest.Wait()
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// take polls without waiting and returns the batch, or nil if there is none.
func (s *scene) take(from *Session, cursor *string) *Batch {
	s.t.Helper()
	b, err := from.Poll(context.Background(), cursor, 0, 0)
	if err != nil {
		s.t.Fatalf("poll: %v", err)
	}
	return b
}

// one takes a batch, which must have one request.
func (s *scene) one(from *Session, cursor *string) (Message, string) {
	s.t.Helper()
	b := s.take(from, cursor)
	if b == nil || len(b.Messages) != 1 || b.Messages[0].Cancel != "" {
		s.t.Fatalf("batch = %+v, want one request", b)
	}
	return b.Messages[0], b.Cursor
}

// answer answers with a status; the result must be want.
func (s *scene) answer(from *Session, x *Exchange, status int, want Result) {
	s.t.Helper()
	if got, err := from.Delivery(x.ID()).Answer(&Answer{Status: status}, nil); err != nil || got != want {
		s.t.Errorf("answer = %v %v, want %v", got, err, want)
	}
}

// ids lists the exchanges of a batch.
func ids(b *Batch) (out []string) {
	if b == nil {
		return nil
	}
	for _, m := range b.Messages {
		out = append(out, m.ID)
	}
	return out
}

// Listen runs a stream to its end.
func (s *Session) Poll(ctx context.Context, cursor *string, wait time.Duration, most int) (*Batch, error) {
	w, err := s.Open(cursor, wait, Flow{Most: most})
	if err != nil {
		return nil, err
	}
	b, _, err := w.Next(ctx, time.Time{}, nil)
	return b, err
}

func (s *Session) Listen(ctx context.Context, cursor *string, wait time.Duration, flow Flow, give func(*Batch)) error {
	flow.Stream = true
	w, err := s.Open(cursor, wait, flow)
	if err != nil {
		return err
	}
	_, err = w.Listen(ctx, w.end, nil, give)
	return err
}

// waited is a link that a test waits for.
type waited struct {
	*Link
	ready chan struct{}
}

// link opens a link of a session whose program is never silent.
func (s *Session) link() (*waited, error) {
	l := &waited{ready: make(chan struct{}, 1)}
	var err error
	l.Link, err = s.Link(new(cursorOf(s.id, 0)), Flow{Stream: true}, l)
	return l, err
}

// next waits for the next messages.
func (l *waited) next(ctx context.Context) (*Batch, error) {
	for {
		if b, err := l.Take(); b != nil || err != nil {
			return b, err
		}
		select {
		case <-l.ready:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (l *waited) Ready()                   { poke(l.ready) }
func (l *waited) Confirmed(Confirmation)   {}
func (l *waited) Expected(string)          {}
func (l *waited) Heard() time.Time         { return time.Now() }
func (l *waited) RoundTrip() time.Duration { return 0 }
