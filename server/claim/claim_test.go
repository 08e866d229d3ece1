package claim

import (
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// gone reports whether nobody claims demo.
func (s *scene) gone() bool {
	synctest.Wait()
	return s.Lookup("demo") == nil
}

func TestTheLeaseEndsAnIdleClaim(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session(Settings{Lease: new(7 * time.Second)})
		time.Sleep(7*time.Second - 1)
		if s.gone() {
			t.Fatal("the claim ended before its lease")
		}
		time.Sleep(time.Nanosecond)
		if !s.gone() {
			t.Fatal("the claim outlived its lease")
		}
		if _, err := one.Poll(t.Context(), nil, 0, 0); !errors.Is(err, ErrLeaseEnded) {
			t.Errorf("poll = %v, want ErrLeaseEnded", err)
		}
		if n := s.Stats(); n != (Stats{}) {
			t.Errorf("counts = %+v, want none", n)
		}
	})
}

func TestTheLeaseRunsFromTheEndOfTheLastPoll(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		p := park(s.session(Settings{Lease: new(5 * time.Second)}), nil, 20*time.Second)
		time.Sleep(18 * time.Second)
		q := park(s.session(), nil, 10*time.Second)
		time.Sleep(10 * time.Second)
		if p.open() || q.open() {
			t.Fatal("polls are open after their wait")
		}
		time.Sleep(5*time.Second - 1)
		if s.gone() {
			t.Fatal("the claim ended before its lease")
		}
		time.Sleep(time.Nanosecond)
		if !s.gone() {
			t.Fatal("the claim outlived its lease")
		}
	})
}

func TestALeaseThatRunsOutDuringAPollBeginsAgain(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session(Settings{Lease: new(20 * time.Second)})
		p := park(one, new(cursorOf(one.id, 0)), 25*time.Second)
		time.Sleep(25 * time.Second)
		if p.open() {
			t.Fatal("the poll is open after its wait")
		}
		time.Sleep(20*time.Second - 1) // the session, which uses cursors, is lost before
		if s.gone() {
			t.Fatal("the claim ended before its lease")
		}
		time.Sleep(time.Nanosecond)
		if !s.gone() {
			t.Fatal("the claim outlived its lease")
		}
	})
}

func TestTheLeaseEndsAfterHoursOfPolls(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		for range 500 {
			s.take(one, nil)
			time.Sleep(59 * time.Second)
		}
		s.take(one, nil)
		time.Sleep(time.Minute - 1)
		if s.gone() {
			t.Fatal("the claim ended before its lease")
		}
		time.Sleep(time.Nanosecond)
		if !s.gone() {
			t.Fatal("the claim outlived its lease")
		}
	})
}

func TestALeaseThatChangesCountsFromTheLastPoll(t *testing.T) {
	for _, c := range []struct{ from, to time.Duration }{{time.Hour, 8 * time.Second}, {8 * time.Second, time.Hour}} {
		inScene(t, Options{}, func(t *testing.T, s *scene) {
			one := s.session(Settings{Lease: &c.from})
			s.take(one, nil)
			time.Sleep(5 * time.Second)
			if err := s.claim.Change(Settings{Lease: &c.to}); err != nil {
				t.Fatal(err)
			}
			if left := s.claim.State().LeaseLeft; left != c.to-5*time.Second {
				t.Errorf("lease left = %s, want %s", left, c.to-5*time.Second)
			}
			time.Sleep(c.to - 5*time.Second - 1)
			if s.gone() {
				t.Fatal("the claim ended before its lease")
			}
			time.Sleep(time.Nanosecond)
			if !s.gone() {
				t.Fatal("the claim outlived its lease")
			}
		})
	}
}

func TestShorteningALeaseThatIsThenOverEndsTheClaim(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		s.session()
		time.Sleep(30 * time.Second)
		if err := s.claim.Change(Settings{Lease: new(time.Second)}); err != nil {
			t.Fatal(err)
		}
		if !s.gone() {
			t.Error("the claim outlived its lease")
		}
	})
}

func TestTheEndOfTheClaimEndsItsPolls(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		p, q := park(s.session(), nil, time.Minute), park(s.session(), nil, time.Minute)
		s.claim.Delete()
		s.claim.Delete()
		for _, one := range []*parked{p, q} {
			if one.open() || !errors.Is(one.err, ErrClaimDeleted) {
				t.Errorf("a poll gave %v %v, want ErrClaimDeleted", one.batch, one.err)
			}
		}
	})
}

func TestDeliveredRequestsAreAnsweredAfterTheEndOfTheClaim(t *testing.T) {
	for _, end := range []struct {
		name string
		by   func(s *scene)
	}{
		{"delete", func(s *scene) { s.claim.Delete() }},
		{"lease", func(*scene) { time.Sleep(time.Minute) }},
	} {
		t.Run(end.name, func(t *testing.T) {
			inScene(t, Options{}, func(t *testing.T, s *scene) {
				one := s.session(Settings{Timeout: new(5 * time.Minute)})
				v, w := s.visit("POST"), s.visit("POST")
				s.take(one, nil)
				end.by(s)
				time.Sleep(2*time.Minute - 1)
				v.pending()
				if s.Session("", "demo", one.ID()) == nil {
					t.Fatal("the session is forgotten within two minutes")
				}
				s.answer(one, v.x, 200, Accepted)
				v.answered(200)
				time.Sleep(5 * time.Minute)
				w.failed(TimedOut, ErrHandlerTimeout, HandedUnknown)
			})
		})
	}
}

func TestALeaseAndASessionThatEndAtOnceEndTheClaim(t *testing.T) {
	for range 20 { // timers of the same moment fire in any order
		inScene(t, Options{}, func(t *testing.T, s *scene) {
			one := s.session(Settings{Lease: new(10 * time.Second)})
			v := s.visit("POST")
			s.one(one, new(cursorOf(one.id, 0)))
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if err := one.Answerable(); err != nil {
				t.Fatalf("session = %v, want it to answer: its claim has ended", err)
			}
			s.answer(one, v.x, 200, Accepted)
			v.answered(200)
		})
	}
}

func TestTheTokenGetsTheLabelBack(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session(Settings{Lease: new(time.Hour), Redeliver: new(RedeliverAny)})
		o, err := s.Open(netip.Addr{}, "demo", "t0", Settings{Timeout: new(time.Second)})
		if err != nil || o.Created || o.Session == one || o.Session.Claim() != s.claim {
			t.Fatalf("open again = %+v %v, want another session of the claim", o, err)
		}
		if st := o.State; st.Lease != time.Hour || st.Timeout != time.Second || st.Redeliver != RedeliverAny || len(st.Sessions) != 2 {
			t.Errorf("state = %+v, want what was set, and two sessions", st)
		}
		for _, token := range []string{"", "t1", "t00"} {
			if _, err := s.Open(netip.Addr{}, "demo", token, Settings{Lease: new(time.Second)}); !errors.Is(err, ErrLabelTaken) {
				t.Errorf("open with token %q: %v, want ErrLabelTaken", token, err)
			}
		}
		if got := s.claim.State().Lease; got != time.Hour {
			t.Errorf("lease = %s, want that of the owner", got)
		}
	})
}

func TestAfterAChangeOnlyTheNewTokenIsValid(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		s.session()
		if err := s.claim.Change(Settings{Token: new("t1")}); err != nil {
			t.Fatal(err)
		}
		if s.claim.Owns("t0") || !s.claim.Owns("t1") {
			t.Error("the old token owns the claim, or the new one does not")
		}
		if _, err := s.Open(netip.Addr{}, "demo", "t0", Settings{}); !errors.Is(err, ErrLabelTaken) {
			t.Errorf("open with the old token: %v, want ErrLabelTaken", err)
		}
		s.claim.Delete()
		if err := s.claim.Change(Settings{}); !errors.Is(err, ErrClaimDeleted) {
			t.Errorf("change after the end: %v, want ErrClaimDeleted", err)
		}
	})
}

func TestTheStateOfAClaimHasItsQueueSessionsAndLease(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one, two := s.session(), s.session()
		v, w := s.visit("GET"), s.visit("GET")
		if st := s.claim.State(); st.Queue != 2 {
			t.Errorf("queue = %d, want 2", st.Queue)
		}
		s.take(one, nil)
		p := park(two, nil, time.Minute)
		time.Sleep(3 * time.Second)
		st := s.claim.State()
		if st.Queue != 0 || len(st.Sessions) != 2 || st.LeaseLeft != time.Minute {
			t.Fatalf("state = %+v, want no queue, two sessions, the whole lease", st)
		}
		if got, want := st.Sessions[0], (SessionState{ID: one.ID(), Held: 2, Idle: 3 * time.Second}); got != want {
			t.Errorf("first session = %+v, want %+v", got, want)
		}
		if got, want := st.Sessions[1], (SessionState{ID: two.ID(), Parked: true}); got != want {
			t.Errorf("second session = %+v, want %+v", got, want)
		}
		s.answer(one, v.x, 200, Accepted)
		w.leave()
		synctest.Wait()
		if got := s.claim.State().Ends; got != [4]uint64{Done: 1, Abandoned: 1} {
			t.Errorf("ends = %v, want one done and one abandoned", got)
		}
		p.stop()
	})
}
