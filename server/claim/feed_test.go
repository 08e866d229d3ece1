package claim

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func TestARequestThatWasTakenBackIsDeliveredOnce(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.plain()
		f, err := one.Feed()
		if err != nil {
			t.Fatal(err)
		}
		v := s.visit("POST")
		for range 3 {
			m, err := f.Next(t.Context(), nil)
			if err != nil || m.Attempt != 1 {
				t.Fatalf("next = %+v %v, want the request for the first time", m, err)
			}
			one.Delivery(m.ID).GiveBack(false)
		}
		if _, err := f.Next(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if m, err := f.Next(ctx, nil); m != nil || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("next = %+v %v, want nothing", m, err)
		}
		f.Close()
		s.answer(one, v.x, 200, Accepted)
		v.answered(200)
	})
}

func TestAFeedOnHoldTakesNothing(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.plain()
		f, err := one.Feed()
		if err != nil {
			t.Fatal(err)
		}
		v, holds, released := s.visit("POST"), make(chan struct{}), make(chan error, 1)
		go func() {
			m, err := f.Next(t.Context(), holds)
			if m != nil {
				t.Errorf("next = %+v while nothing can be handed over", m)
			}
			released <- err
		}()
		synctest.Wait()
		if n := s.claim.State().Queue; n != 1 {
			t.Errorf("%d requests are queued, want the one that the feed leaves", n)
		}
		close(holds)
		if err := <-released; err != nil {
			t.Errorf("the end of holding is %v", err)
		}
		if m, err := f.Next(t.Context(), nil); err != nil || m.ID != v.x.ID() {
			t.Fatalf("next = %+v %v, want %s", m, err, v.x.ID())
		}
		s.answer(one, v.x, 200, Accepted)
		v.answered(200)
		f.Close()
	})
}

func TestAFeedOnHoldEnds(t *testing.T) {
	for _, c := range []struct {
		name string
		ends func(s *scene, one *Session, stop func())
		want error
	}{
		{"with its context", func(_ *scene, _ *Session, stop func()) { stop() }, context.Canceled},
		{"with its session", func(_ *scene, one *Session, _ func()) { _ = one.End(nil, false) }, ErrNoSession},
		{"with its claim", func(s *scene, _ *Session, _ func()) { _ = s.claim.Delete() }, ErrClaimDeleted},
		{"where a newer one took its place", func(_ *scene, one *Session, _ func()) {
			if f, err := one.Feed(); err == nil {
				f.Close()
			}
		}, ErrReplaced},
		{"with the gateway", func(s *scene, _ *Session, _ func()) { s.Drain(nil) }, ErrDraining},
	} {
		for _, holds := range []bool{false, true} {
			inScene(t, Options{}, func(t *testing.T, s *scene) {
				one := s.plain()
				f, err := one.Feed()
				if err != nil {
					t.Fatal(err)
				}
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				ended := make(chan error, 1)
				var holding chan struct{}
				if holds {
					holding = make(chan struct{})
				}
				go func() {
					_, err := f.Next(ctx, holding)
					ended <- err
				}()
				synctest.Wait()
				c.ends(s, one, stop)
				if err := <-ended; !errors.Is(err, c.want) {
					t.Errorf("%s, holding %v: %v, want %v", c.name, holds, err, c.want)
				}
				f.Close()
			})
		}
	}
}

func TestTheCostOfReturningARequestDoesNotGrowWithTheQueue(t *testing.T) {
	r := New(Options{})
	defer r.Close()
	o, err := r.Enter(netip.Addr{}, Place{Door: "old"}, "demo", "t0", Settings{})
	if err != nil {
		t.Fatal(err)
	}
	one := o.Session
	for range 1_000 {
		x, err := one.Claim().Begin(r.budget.Open(netip.Addr{}), nil)
		if err != nil {
			t.Fatal(err)
		}
		x.claim.mu.Lock()
		x.request = &Request{Method: "POST"}
		x.claim.queue.put(x)
		x.claim.mu.Unlock()
		defer x.end()
	}
	f, err := one.Feed()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	first := ""
	allocated := testing.AllocsPerRun(100, func() {
		m, err := f.Next(t.Context(), nil)
		if err != nil || first != "" && m.ID != first {
			t.Fatalf("next = %+v %v, want %s", m, err, first)
		}
		first = m.ID
		one.Delivery(m.ID).GiveBack(false)
	})
	if allocated > 50 {
		t.Errorf("one request that is given back costs %.0f allocations, want 50 at most", allocated)
	}
}
