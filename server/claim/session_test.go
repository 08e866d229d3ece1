package claim

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// dies sleeps until the session must be lost, and checks that it is lost then, but not before.
func (s *scene) dies(one *Session, after time.Duration) {
	s.t.Helper()
	time.Sleep(after - 1)
	synctest.Wait()
	if err := one.Answerable(); err != nil {
		s.t.Fatalf("session is lost before its time: %v", err)
	}
	time.Sleep(time.Nanosecond)
	synctest.Wait()
	if err := one.Answerable(); !errors.Is(err, ErrSessionFenced) {
		s.t.Fatalf("session at its time: %v, want ErrSessionFenced", err)
	}
}

func TestASilentSessionWithCursorsIsLost(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		s.take(one, new(cursorOf(one.id, 0)))
		s.dies(one, 10*time.Second)
		if _, err := one.Poll(t.Context(), nil, 0, 0); !errors.Is(err, ErrSessionFenced) {
			t.Errorf("poll = %v, want ErrSessionFenced", err)
		}
		if _, err := one.Delivery("x").Answer(&Answer{Status: 200}, nil); !errors.Is(err, ErrSessionFenced) {
			t.Errorf("answer = %v, want ErrSessionFenced", err)
		}
		if err := one.End(nil, false); !errors.Is(err, ErrSessionFenced) {
			t.Errorf("end = %v, want ErrSessionFenced", err)
		}
		if n := s.Stats().Sessions; n != 0 {
			t.Errorf("live sessions = %d, want 0", n)
		}
	})
}

func TestAnOpenPollKeepsASession(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		p := park(one, new(cursorOf(one.id, 0)), 25*time.Second)
		time.Sleep(25 * time.Second)
		if p.open() {
			t.Fatal("the poll is open after its wait")
		}
		s.dies(one, 10*time.Second)
	})
}

func TestAnAnswerKeepsASession(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		v := s.visit("GET")
		s.one(one, new(cursorOf(one.id, 0)))
		time.Sleep(9 * time.Second)
		s.answer(one, v.x, 200, Accepted)
		s.dies(one, 10*time.Second)
	})
}

func TestTheTimerOfASessionIsArmedAgainForHours(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		cursor := cursorOf(one.id, 0)
		for range 1000 {
			p := park(one, &cursor, 25*time.Second)
			time.Sleep(34 * time.Second)
			if p.open() {
				t.Fatal("the poll is open after its wait")
			}
		}
		s.take(one, &cursor)
		s.dies(one, 10*time.Second)
	})
}

// looksLate delays the next look at a session, as in a gateway that is too busy.
func looksLate(one *Session, by time.Duration) {
	one.claim.mu.Lock()
	due := one.life.death.due
	one.life.death.timer.Stop()
	one.claim.mu.Unlock()
	time.Sleep(time.Until(due.Add(by)))
	one.life.lapse()
}

func TestALateCheckOfASessionIsFollowedByAnother(t *testing.T) {
	for late, again := range map[time.Duration]time.Duration{
		101 * time.Millisecond: time.Second,
		time.Second:            time.Second,
		3 * time.Second:        3 * time.Second,
		time.Minute:            time.Minute,
	} {
		inScene(t, Options{}, func(t *testing.T, s *scene) {
			one := s.session(Settings{Lease: new(time.Hour)})
			s.take(one, new(cursorOf(one.id, 0)))
			looksLate(one, late)
			s.dies(one, again)
		})
	}
}

func TestACheckOnTimeEndsASession(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		s.take(one, new(cursorOf(one.id, 0)))
		looksLate(one, 100*time.Millisecond)
		if err := one.Answerable(); !errors.Is(err, ErrSessionFenced) {
			t.Errorf("session at its time: %v, want ErrSessionFenced", err)
		}
	})
}

func TestASecondCheckEndsASessionHoweverLateItIs(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session(Settings{Lease: new(time.Hour)})
		s.take(one, new(cursorOf(one.id, 0)))
		looksLate(one, 3*time.Second)
		if err := one.Answerable(); err != nil {
			t.Fatalf("session at the first look: %v, want that it lives", err)
		}
		looksLate(one, 3*time.Second)
		if err := one.Answerable(); !errors.Is(err, ErrSessionFenced) {
			t.Errorf("session at the second look: %v, want ErrSessionFenced", err)
		}
	})
}

func TestAnAnswerThatWasReadLateKeepsASession(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session(Settings{Timeout: new(time.Hour), Lease: new(time.Hour)})
		v := s.visit("POST")
		s.one(one, new(cursorOf(one.id, 0)))
		for range 20 { // a gateway that is too busy for long
			looksLate(one, 3*time.Second)
			if got, err := one.Delivery(v.x.ID()).Interim(&Answer{Status: 103}); err != nil {
				t.Fatalf("interim = %v %v, want that the session lives", got, err)
			}
		}
		s.answer(one, v.x, 200, Accepted)
		s.dies(one, 10*time.Second)
	})
}

func TestAShortenedLeaseDoesNotMakeACheckLate(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one, other := s.session(Settings{Lease: new(time.Hour)}), s.session()
		s.take(one, nil)
		time.Sleep(time.Minute)
		s.take(other, nil) // keeps the claim
		if err := s.claim.Change(Settings{Lease: new(30 * time.Second)}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := one.Answerable(); !errors.Is(err, ErrSessionFenced) {
			t.Errorf("session that is overdue: %v, want ErrSessionFenced", err)
		}
	})
}

func TestASessionWithoutCursorsLivesForTheLease(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one, other := s.session(), s.session()
		s.take(one, nil)
		time.Sleep(30 * time.Second)
		s.take(other, nil) // keeps the claim
		s.dies(one, 30*time.Second)
	})
}

func TestASessionThatBeginsToUseCursorsHasTheirTimeout(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		s.take(one, nil) // armed for the lease
		time.Sleep(time.Second)
		s.take(one, new(cursorOf(one.id, 0)))
		s.dies(one, 10*time.Second)
	})
}

func TestAShorterLeaseShortensTheLifeOfASession(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one, other := s.session(Settings{Lease: new(time.Hour)}), s.session()
		s.take(one, nil)
		if err := s.claim.Change(Settings{Lease: new(20 * time.Second)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		s.take(other, nil)
		s.dies(one, 10*time.Second)
	})
}

func TestALongerLeaseLengthensTheLifeOfASession(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session(Settings{Lease: new(10 * time.Second)})
		s.take(one, nil)
		if err := s.claim.Change(Settings{Lease: new(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		other := s.session()
		time.Sleep(30 * time.Minute)
		s.take(other, nil)
		s.dies(one, 30*time.Minute)
	})
}

func TestRequestsOfALostSessionAreDeliveredAgainAtMostTwice(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		first := s.session()
		v := s.visit("GET")
		s.one(first, new(cursorOf(first.id, 0)))
		for attempt := 2; attempt <= 3; attempt++ {
			next := s.session()
			p := park(next, new(cursorOf(next.id, 0)), 12*time.Second)
			time.Sleep(10 * time.Second)
			if p.open() || p.batch.Messages[0].Exchange != v.x || p.batch.Messages[0].Attempt != attempt {
				t.Fatalf("batch = %+v, want attempt %d", p.batch, attempt)
			}
		}
		fourth := s.session()
		p := park(fourth, nil, 12*time.Second)
		time.Sleep(10 * time.Second)
		v.failed(Failed, ErrSessionLost, HandedUnknown)
		p.stop()
	})
}

func TestAMovedRequestKeepsTheTimeOfItsFirstDelivery(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session(Settings{Timeout: new(15 * time.Second)})
		v := s.visit("GET")
		s.one(one, new(cursorOf(one.id, 0)))
		two := s.session()
		p := park(two, nil, time.Minute)
		time.Sleep(10 * time.Second)
		if p.open() || p.batch.Messages[0].Timeout != 5*time.Second {
			t.Fatalf("message = %+v, want five seconds left", p.batch)
		}
		time.Sleep(5*time.Second - 1)
		v.pending()
		time.Sleep(time.Nanosecond)
		v.failed(TimedOut, ErrHandlerTimeout, HandedUnknown)
	})
}

func TestAMovedRequestWithoutASessionFails(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		v := s.visit("GET")
		s.one(one, new(cursorOf(one.id, 0)))
		time.Sleep(10*time.Second + 5*time.Second - 1)
		synctest.Wait()
		v.pending()
		time.Sleep(time.Nanosecond)
		v.failed(Failed, ErrNoHandler, HandedUnknown)
	})
}

func TestMovedRequestsGoFirstAndInOrder(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		a, b := s.visit("GET"), s.visit("PUT")
		s.take(one, new(cursorOf(one.id, 0)))
		time.Sleep(9 * time.Second)
		c := s.visit("POST")
		time.Sleep(time.Second)
		synctest.Wait()
		two := s.session()
		if got, want := ids(s.take(two, nil)), []string{a.x.ID(), b.x.ID(), c.x.ID()}; !slices.Equal(got, want) {
			t.Errorf("the next session got %v, want %v", got, want)
		}
		for _, v := range []*visit{a, b, c} {
			s.answer(two, v.x, 200, Accepted)
		}
	})
}

func TestALateAnswerOfALostSessionReachesNobody(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		v := s.visit("GET")
		s.one(one, new(cursorOf(one.id, 0)))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if _, err := one.Delivery(v.x.ID()).Answer(&Answer{Status: 500}, nil); !errors.Is(err, ErrSessionFenced) {
			t.Errorf("answer = %v, want ErrSessionFenced", err)
		}
		two := s.session()
		s.one(two, nil)
		s.answer(two, v.x, 200, Accepted)
		v.answered(200)
	})
}

func TestDeleteWithoutACursorCountsAllRequestsAsBegun(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one, two := s.session(), s.session()
		get, post := s.visit("GET"), s.visit("POST")
		s.take(one, new(cursorOf(one.id, 0)))
		if err := one.End(nil, false); err != nil {
			t.Fatal(err)
		}
		post.failed(Failed, ErrSessionLost, HandedUnknown)
		m, _ := s.one(two, nil)
		if m.Exchange != get.x {
			t.Errorf("what moved on is %s, want the GET", m.Exchange.ID())
		}
		s.answer(two, get.x, 200, Accepted)
		if err := one.End(nil, false); !errors.Is(err, ErrNoSession) {
			t.Errorf("second end = %v, want ErrNoSession", err)
		}
	})
}

func TestDeleteEndsTheOpenPoll(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		p := park(one, nil, time.Minute)
		if err := one.End(nil, false); err != nil {
			t.Fatal(err)
		}
		if p.open() || !errors.Is(p.err, ErrNoSession) {
			t.Errorf("the poll gave %v %v, want ErrNoSession", p.batch, p.err)
		}
	})
}

func TestAnEndedSessionIsForgottenAfterAWhile(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		if err := one.End(nil, false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2*time.Minute - 1)
		synctest.Wait()
		if s.Session("", "demo", one.ID()) != one {
			t.Error("the session is forgotten too early")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if s.Session("", "demo", one.ID()) != nil {
			t.Error("the session is remembered for ever")
		}
	})
}
