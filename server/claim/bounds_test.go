package claim

import (
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func TestAClaimThatNobodyPolledEndsSoonWhateverItsLease(t *testing.T) {
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

func TestAnAddressHasSoManyClaims(t *testing.T) {
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

func TestWhatEndedExchangesLeaveIsHeldByTheirClaim(t *testing.T) {
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
		if held := s.Budget().Held(Memory); held > 32<<10+smallThing/16 {
			t.Errorf("%d bytes are held, want at most half of what there is", held)
		}
		s.answer(p, first.x, 200, Unknown)
		time.Sleep(s.Times().Tombstone * 5 / 4)
		v := s.visit("GET")
		s.one(p, nil)
		s.answer(p, v.x, 200, Accepted)
		v.x.hold.Close()
		if held := s.Budget().Held(Memory); held != claimWeight+tombstoneWeight {
			t.Errorf("%d bytes are held, want those of the claim and of one exchange", held)
		}
		s.claim.Delete()
		time.Sleep(s.Times().Tombstone + 1)
		synctest.Wait()
		if held := s.Budget().Held(Memory); held != 0 {
			t.Errorf("%d bytes are held after the claim, want 0", held)
		}
	})
}

func TestTheTimeForAnAnswerIsNotTheVisitors(t *testing.T) {
	inScene(t, Options{Times: Times{Answer: 10 * time.Second}}, func(t *testing.T, s *scene) {
		p := s.session()
		v := s.request(&Request{Method: "POST", Target: "/", Stream: "content"})
		s.one(p, nil)
		if _, err := p.Fetch(v.x.ID()); err != nil {
			t.Fatal(err)
		}
		v.x.hold.Wait() // for the visitor to send
		done := p.Work()
		time.Sleep(time.Minute)
		v.pending()
		v.x.hold.Move()
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
		slow := s.request(&Request{Method: "POST", Target: "/", Stream: "content"})
		s.one(p, nil)
		if _, err := p.Fetch(slow.x.ID()); err != nil {
			t.Fatal(err)
		}
		slow.x.hold.Evictable(func(why error) { slow.x.Evict(why) })
		slow.x.hold.Wait()
		waits := s.visit("GET")
		s.visit("GET").failed(Failed, ErrQueueFull, HandedNo)
		time.Sleep(slowAfter[Exchanges] + 1)
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
