package claim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// crowd is many visitors and programs at once, in real time.
type crowd struct {
	*Registry
	ends [4]atomic.Int64
	// once counts the reports of each exchange.
	once sync.Map
	begun, wrong, twice, abandoned,
	refused, answered atomic.Int64
}

func newCrowd() *crowd {
	c := &crowd{}
	c.Registry = New(Options{
		Times: Times{
			Wait: 20 * time.Millisecond, Stream: 30 * time.Millisecond, Heartbeat: 3 * time.Millisecond, Unacknowledged: 5 * time.Millisecond, Acknowledge: 15 * time.Millisecond, NoPoller: 60 * time.Millisecond,
			Answer: 150 * time.Millisecond, Part: 10 * time.Millisecond, Lease: time.Minute, Tombstone: 100 * time.Millisecond, Spread: 10 * time.Millisecond,
		},
		Limits: Limits{Queue: 64, Batch: 8, Tombstones: 32, Sessions: 1000},
		Ended: func(e Ended) {
			c.ends[e.Outcome].Add(1)
			if _, seen := c.once.LoadOrStore(e.Exchange.ID(), true); seen {
				c.twice.Add(1)
			}
		},
	})
	return c
}

// visit sends one request, whose answer must be its own.
func (c *crowd) visit(to *Claim, rnd *rand.Rand) {
	c.begun.Add(1)
	x, err := to.Begin(c.budget.Open(netip.Addr{}), nil)
	if err != nil {
		c.refused.Add(1)
		return
	}
	if rnd.IntN(50) == 0 {
		x.Fail(errors.New("the visitor's fault"))
		return
	}
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	if rnd.IntN(5) == 0 {
		stop := time.AfterFunc(time.Duration(rnd.IntN(5000))*time.Microsecond, leave)
		defer stop.Stop()
	}
	target := fmt.Sprint("/", rnd.Uint64())
	a, err := x.Do(ctx, &Request{Method: []string{"GET", "POST"}[rnd.IntN(2)], Target: target})
	if err == nil && a.More {
		a, err = c.follow(ctx, x, a, rnd)
	}
	switch {
	case err == nil && string(a.Content) != target:
		c.wrong.Add(1)
	case err == nil:
		c.answered.Add(1)
	case errors.Is(err, ErrVisitorGone):
		c.abandoned.Add(1)
	}
}

// follow reads a streamed answer to its end; its parts together must be the answer.
func (c *crowd) follow(ctx context.Context, x *Exchange, a *Answer, rnd *rand.Rand) (*Answer, error) {
	whole := &Answer{Content: a.Content[:len(a.Content):len(a.Content)]}
	for {
		chunks, err := x.Next(ctx)
		if err == io.EOF {
			return whole, nil
		}
		if err != nil {
			return nil, err
		}
		for _, chunk := range chunks {
			whole.Content = append(whole.Content, bytes.TrimLeft(chunk, "\x00")...)
		}
		if rnd.IntN(30) == 0 {
			x.Fail(ErrVisitorGone) // its door cannot write
			return nil, &Failure{Err: x.failure.Err}
		}
	}
}

// stream answers with parts, or by a stream, some of them long.
func (c *crowd) stream(s *Session, id, target string, rnd *rand.Rand) {
	ctx, stop := context.WithTimeout(context.Background(), time.Duration(rnd.IntN(20_000))*time.Microsecond)
	defer stop()
	if got, err := s.Delivery(id).Answer(&Answer{Status: 200, Content: []byte(target[:1]), More: true}, nil); got != Accepted || err != nil {
		return
	}
	pad := make([]byte, rnd.IntN(2)*2*window)
	if rnd.IntN(2) == 0 {
		w, _, err := s.Delivery(id).Stream(Coming{})
		if err != nil {
			return
		}
		for i := 1; i < len(target); i++ {
			if !w.Write(ctx, append(pad[:len(pad):len(pad)], target[i])) {
				return
			}
		}
		if rnd.IntN(10) == 0 {
			_, _ = s.Delivery(id).Abort()
			return
		}
		w.Close(ctx, false, nil)
		return
	}
	var several sync.WaitGroup
	for i := 1; i < len(target); i++ {
		part := Part{Seq: i, Content: append(pad[:len(pad):len(pad)], target[i]), More: i+1 < len(target)}
		_, _ = s.Delivery(id).Part(ctx, part)
		if rnd.IntN(4) == 0 { // a retry
			several.Go(func() { _, _ = s.Delivery(id).Part(ctx, part) })
		}
	}
	several.Wait()
}

// serve polls and answers as one program that is at times slow, dead or gone.
func (c *crowd) serve(ctx context.Context, label string, rnd *rand.Rand) {
	for ctx.Err() == nil {
		o, err := c.Open(netip.Addr{}, label, "t0", Settings{Redeliver: new(RedeliverAny)})
		if err != nil {
			time.Sleep(time.Millisecond)
			continue
		}
		c.session(ctx, o.Session, rnd)
	}
}

func (c *crowd) session(ctx context.Context, s *Session, rnd *rand.Rand) {
	cursor := cursorOf(s.id, 0)
	for ctx.Err() == nil {
		pollCtx, stop := context.WithCancel(ctx)
		if rnd.IntN(10) == 0 {
			time.AfterFunc(time.Duration(rnd.IntN(3000))*time.Microsecond, stop)
		}
		take := func(b *Batch) {
			if b != nil && rnd.IntN(8) > 0 { // else the batch is lost on its way
				cursor = b.Cursor
				c.answer(s, b, rnd)
			}
		}
		var err error
		if rnd.IntN(2) == 0 {
			said := cursor
			err = s.Listen(pollCtx, &said, time.Second, Flow{}, take)
		} else {
			var b *Batch
			if b, err = s.Poll(pollCtx, &cursor, time.Second, 0); err == nil {
				take(b)
			}
		}
		stop()
		if err != nil && !errors.Is(err, context.Canceled) {
			return
		}
		switch rnd.IntN(40) {
		case 0: // a crash
			return
		case 1:
			_ = s.End(&cursor, false)
			return
		case 2: // a nap that may cost the session
			time.Sleep(time.Duration(rnd.IntN(25)) * time.Millisecond)
		}
	}
}

func (c *crowd) answer(s *Session, b *Batch, rnd *rand.Rand) {
	for _, m := range b.Messages {
		if m.Cancel != "" {
			continue
		}
		a := &Answer{Status: 200, Content: []byte(m.Exchange.Request().Target)}
		if rnd.IntN(10) == 0 {
			_, _ = s.Delivery(m.Exchange.ID()).Interim(&Answer{Status: 103})
		}
		switch rnd.IntN(30) {
		case 0: // never answered
		case 1:
			_, _ = s.Delivery(m.Exchange.ID()).Abort()
		case 3, 4, 5, 6, 7, 8:
			c.stream(s, m.Exchange.ID(), m.Exchange.Request().Target, rnd)
		case 2:
			_, _ = s.Delivery(m.Exchange.ID()).Answer(a, nil)
			_, _ = s.Delivery(m.Exchange.ID()).Answer(a, nil)
		default:
			_, _ = s.Delivery(m.Exchange.ID()).Answer(a, nil)
		}
	}
}

func TestACrowdLosesNothing(t *testing.T) {
	c := newCrowd()
	labels := []string{"one", "two", "three"}
	ctx, stop := context.WithCancel(t.Context())
	var programs, visitors sync.WaitGroup
	for i, label := range labels {
		for j := range 4 {
			programs.Go(func() { c.serve(ctx, label, rand.New(rand.NewPCG(uint64(i), uint64(j)))) })
		}
	}
	until := time.Now().Add(1500 * time.Millisecond)
	for i := range 60 {
		visitors.Go(func() {
			rnd := rand.New(rand.NewPCG(7, uint64(i)))
			for time.Now().Before(until) {
				label := labels[rnd.IntN(len(labels))]
				if to := c.Lookup(label); to != nil {
					if i == 0 && rnd.IntN(200) == 0 {
						to.Delete()
					}
					c.visit(to, rnd)
				}
			}
		})
	}
	visitors.Wait()
	stop()
	programs.Wait()
	c.check(t)
}

// check checks that every exchange ended once, and that nothing remains.
func (c *crowd) check(t *testing.T) {
	t.Helper()
	ended := int64(0)
	for o := range c.ends {
		ended += c.ends[o].Load()
	}
	t.Logf("%d exchanges: %d done, %d failed, %d timed out, %d abandoned, %d refused at once", c.begun.Load(),
		c.ends[Done].Load(), c.ends[Failed].Load(), c.ends[TimedOut].Load(), c.ends[Abandoned].Load(), c.refused.Load())
	if ended != c.begun.Load() || c.twice.Load() > 0 {
		t.Errorf("%d exchanges ended, %d of them twice, want each of %d once", ended, c.twice.Load(), c.begun.Load())
	}
	if n := c.wrong.Load(); n > 0 {
		t.Errorf("%d answers reached a wrong visitor", n)
	}
	if got, want := c.ends[Done].Load(), c.answered.Load(); got != want || want == 0 {
		t.Errorf("%d exchanges counted as done, %d visitors were answered", got, want)
	}
	if got, want := c.ends[Abandoned].Load(), c.abandoned.Load(); got != want || want == 0 {
		t.Errorf("%d exchanges counted as abandoned, %d visitors left", got, want)
	}
	if n := c.Stats(); n.Exchanges != 0 || n.Polls != 0 {
		t.Errorf("left open: %+v", n)
	}
	claims := 0
	c.claims.Range(func(_, v any) bool {
		one := v.(*Claim)
		one.mu.Lock()
		defer one.mu.Unlock()
		claims++
		if one.exchanges.open != 0 || one.queue.exchanges.Len() != 0 || len(one.queue.parked) != 0 || one.lease.polls != 0 {
			t.Errorf("claim %s: %d open, %d queued, %d parked, %d polls; want none", one.label, one.exchanges.open, one.queue.exchanges.Len(), len(one.queue.parked), one.lease.polls)
		}
		for _, s := range one.sessions {
			if len(s.held) != 0 || s.poll != nil || len(s.tombs.byID) > 32 {
				t.Errorf("session of %s: %d held, %d tombstones, poll %v", one.label, len(s.held), len(s.tombs.byID), s.poll)
			}
		}
		return true
	})
	c.Close()
	if n := c.Stats(); n.Claims != claims || n.Sessions < 0 {
		t.Errorf("counts = %+v, want %d claims", n, claims)
	}
}
