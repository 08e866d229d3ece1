package claim

import (
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/server/budget"
)

func TestAClaimWithoutAnyPollEndsSoonWhateverItsLease(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		s.session(Settings{Lease: new(24 * time.Hour)})
		left := s.claim.State().LeaseLeft
		if left != time.Minute {
			t.Errorf("lease left = %s, want 1m", left)
		}
		time.Sleep(time.Minute - 1)
		synctest.Wait()
		if s.Lookup("demo") == nil {
			t.Fatal("the claim ended early")
		}
		time.Sleep(2 * time.Nanosecond)
		synctest.Wait()
		if s.Lookup("demo") != nil {
			t.Fatal("the claim lives, though nobody polled for a minute")
		}
		polled := s.session(Settings{Lease: new(24 * time.Hour)})
		time.Sleep(59 * time.Second)
		s.take(polled, nil)
		time.Sleep(24*time.Hour - 1)
		synctest.Wait()
		if s.Lookup("demo") == nil {
			t.Error("a claim that was polled ended before its lease")
		}
	})
}

func TestTheClaimsOfAnAddressAreBounded(t *testing.T) {
	inScene(t, Options{Limits: Limits{AddressClaims: 2}}, func(t *testing.T, s *scene) {
		open := func(from netip.Addr, label string) error {
			_, err := s.Open(from, label, "t0", Settings{})
			return err
		}
		for _, label := range []string{"a", "b"} {
			if err := open(someone, label); err != nil {
				t.Fatal(err)
			}
		}
		if err := open(someone, "c"); !errors.Is(err, ErrAddressClaims) {
			t.Errorf("a third claim of an address: %v, want ErrAddressClaims", err)
		}
		if err := open(someone, "a"); err != nil {
			t.Errorf("a session of a claim that the address has: %v", err)
		}
		if err := open(another, "c"); err != nil {
			t.Errorf("a claim of another address: %v", err)
		}
		if err := open(someone, "c"); err != nil {
			t.Errorf("a session of a claim of another address, by its token: %v", err)
		}
		for range 3 {
			if _, err := s.Open(netip.Addr{}, "", "", Settings{}); err != nil {
				t.Errorf("a claim of no address: %v", err)
			}
		}
		s.Lookup("b").Delete()
		if err := open(someone, "d"); err != nil {
			t.Errorf("a claim after one ended: %v", err)
		}
	})
}

func TestRemainsOfEndedExchangesCountForTheirClaim(t *testing.T) {
	inScene(t, Options{Limits: Limits{Memory: 64 << 10}}, func(t *testing.T, s *scene) {
		p := s.session(Settings{Lease: new(time.Hour)})
		var first *visit
		for range 1_000 {
			v := s.visit("GET")
			s.one(p, nil)
			s.answer(p, v.x, 200, Accepted)
			v.x.hold.Close()
			if first == nil {
				first = v
			}
		}
		if held := s.budget.Held(budget.Memory); held > 32<<10+(64<<10)/16 {
			t.Errorf("%d bytes are held, want at most half of what there is", held)
		}
		s.answer(p, first.x, 200, Unknown)
		time.Sleep(s.times.Tombstone * 5 / 4)
		v := s.visit("GET")
		s.one(p, nil)
		s.answer(p, v.x, 200, Accepted)
		v.x.hold.Close()
		if held := s.budget.Held(budget.Memory); held != claimWeight+sessionWeight+tombstoneWeight {
			t.Errorf("%d bytes are held, want those of the claim and of one exchange", held)
		}
		s.claim.Delete()
		time.Sleep(s.times.Tombstone + 1)
		synctest.Wait()
		if held := s.budget.Held(budget.Memory); held != 0 {
			t.Errorf("%d bytes are held after the claim, want 0", held)
		}
	})
}

func TestTheTimeForAnAnswerExcludesTheVisitorsOwn(t *testing.T) {
	inScene(t, Options{Times: Times{Answer: 10 * time.Second}}, func(t *testing.T, s *scene) {
		p := s.session()
		v := s.request(&Request{Method: "POST", Target: "/", Content: Streamed(&source{})})
		s.one(p, nil)
		if _, err := p.Delivery(v.x.ID()).Fetch(); err != nil {
			t.Fatal(err)
		}
		v.x.hold.Wait() // for the visitor to send
		done := p.Work(t.Context())
		time.Sleep(time.Minute)
		v.pending()
		v.x.hold.Move(0)
		time.Sleep(10*time.Second - 1)
		v.pending()
		time.Sleep(2 * time.Nanosecond)
		v.failed(TimedOut, ErrHandlerTimeout, HandedYes)
		done()
	})
}

func TestASlowVisitorOfAFullClaimMakesRoom(t *testing.T) {
	inScene(t, Options{Limits: Limits{Queue: 2}}, func(t *testing.T, s *scene) {
		p := s.session()
		slow := s.request(&Request{Method: "POST", Target: "/", Content: Streamed(&source{})})
		s.one(p, nil)
		if _, err := p.Delivery(slow.x.ID()).Fetch(); err != nil {
			t.Fatal(err)
		}
		slow.x.hold.Evictable(func(why error) { slow.x.Reject(why) })
		slow.x.hold.Wait()
		waits := s.visit("GET")
		s.visit("GET").failed(Failed, ErrQueueFull, HandedNo)
		time.Sleep(100*time.Millisecond + 1)
		honest := s.visit("GET")
		honest.pending()
		slow.failed(Failed, ErrTooSlow, HandedYes)
		waits.pending()
		s.visit("GET").failed(Failed, ErrQueueFull, HandedNo)
		told := false
		for _, m := range s.take(p, nil).Messages {
			told = told || m.Cancel == CancelVisitorGone
		}
		if !told {
			t.Error("the session is not told of the slow visitor")
		}
		waits.leave()
		honest.leave()
		synctest.Wait()
	})
}

// TestTakingBackAndWritingDoNotDeadlock lets a visitor read a streamed answer while the hold of the
// exchange is taken back: one locks the claim and then the hold, and the other must not lock them in reverse
// order.
func TestTakingBackAndWritingDoNotDeadlock(t *testing.T) {
	r := New(Options{})
	defer r.Close()
	r.budget.SlowAfter = [4]time.Duration{}
	o, err := r.Open(netip.Addr{}, "demo", "t0", Settings{})
	if err != nil {
		t.Fatal(err)
	}
	s, c := o.Session, o.Session.Claim()
	stop := make(chan struct{})
	var busy sync.WaitGroup
	for range 2 {
		busy.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					c.State()
					r.budget.Relieve(budget.Memory, nil)
				}
			}
		})
	}
	for range 3_000 {
		h := r.budget.Open(someone)
		x, err := c.Begin(h, nil)
		if err != nil {
			t.Fatal(err)
		}
		h.Evictable(func(why error) { x.Reject(why) })
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			if _, err := s.Poll(t.Context(), nil, time.Minute, 0); err == nil {
				_, _ = s.Delivery(x.ID()).Answer(&Answer{Status: 200, Content: []byte("begun"), More: true}, nil)
				_, _ = s.Delivery(x.ID()).Part(t.Context(), Part{Seq: 1, Content: []byte("rest")})
			}
		}()
		a, err := x.Do(t.Context(), &Request{Method: "GET", Target: "/"})
		for err == nil && a.More {
			h.Wait()
			h.Move(1)
			if _, err = x.Next(t.Context()); err != nil {
				break
			}
		}
		<-answered
		h.Close()
	}
	close(stop)
	busy.Wait()
}

func TestAnAddressHasAShareOfAClaimsQueue(t *testing.T) {
	inScene(t, Options{Limits: Limits{Queue: 8}}, func(t *testing.T, s *scene) {
		s.session()
		begin := func(from netip.Addr) (*Exchange, error) { return s.claim.Begin(s.budget.Open(from), nil) }
		var open []*Exchange
		for x, err := begin(someone); err == nil; x, err = begin(someone) {
			open = append(open, x)
		}
		if len(open) != 4 {
			t.Errorf("one address has %d exchanges of a claim, want half of its queue", len(open))
		}
		other, err := begin(another)
		if err != nil {
			t.Fatalf("another address finds no room: %v", err)
		}
		open[0].Fail(ErrTooSlow)
		if x, err := begin(someone); err != nil {
			t.Errorf("the place that an address gave back is not its own: %v", err)
		} else {
			open[0] = x
		}
		for _, x := range append(open, other) {
			x.Fail(ErrTooSlow)
		}
		s.claim.mu.Lock()
		defer s.claim.mu.Unlock()
		if n := len(s.claim.exchanges.of); n != 0 {
			t.Errorf("%d addresses are remembered, want none", n)
		}
	})
	inScene(t, Options{Limits: Limits{Queue: 2}, OneAddress: true}, func(t *testing.T, s *scene) {
		s.session()
		for range 2 {
			x, err := s.claim.Begin(s.budget.Open(someone), nil)
			if err != nil {
				t.Fatalf("where all have one address it has no share: %v", err)
			}
			defer x.Fail(ErrTooSlow)
		}
	})
}
