package claim

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// Each test here is a row of the table of states in doc.go and in
// schema/README.md, section 7.

func TestAnExchangeIsReceivingUntilDo(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		x, err := s.claim.Begin(s.budget.Open(netip.Addr{}), nil)
		if err != nil {
			t.Fatal(err)
		}
		if b := s.take(one, nil); b != nil {
			t.Errorf("a poll got %v, want nothing while content is received", ids(b))
		}
		x.Fail(errors.New("too slow"))
		if got := s.claim.State().Ends; got != [4]uint64{Failed: 1} {
			t.Errorf("ends = %v, want one failed", got)
		}
		if n := s.Stats().Exchanges; n != 0 {
			t.Errorf("open exchanges = %d, want 0", n)
		}
	})
}

func TestAPollTakesQueuedRequests(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		v := s.visit("POST")
		m, _ := s.one(one, nil)
		if m.Exchange != v.x || m.Attempt != 1 || m.Timeout != time.Minute {
			t.Errorf("message = %+v, want the first attempt with a minute", m)
		}
		s.answer(one, v.x, 200, Accepted)
		v.answered(200)
	})
}

func TestNoSessionFailsAtOnce(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		if err := one.End(nil, false); err != nil {
			t.Fatal(err)
		}
		s.visit("GET").failed(Failed, ErrNoHandler, HandedNo)
	})
}

func TestAVisitorWithoutAPollerGetsAnErrorAfterAWhile(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		s.session()
		v := s.visit("POST")
		time.Sleep(5*time.Second - 1)
		synctest.Wait()
		v.pending()
		time.Sleep(time.Nanosecond)
		v.failed(Failed, ErrNoHandler, HandedNo)
	})
}

func TestTheTimeWithoutPollerCountsFromTheLast(t *testing.T) {
	inScene(t, Options{Limits: Limits{Batch: 1}}, func(t *testing.T, s *scene) {
		one := s.session()
		s.visit("GET")
		v := s.visit("GET")
		time.Sleep(4 * time.Second)
		s.one(one, nil) // the batch has place for the first only
		time.Sleep(5*time.Second - 1)
		synctest.Wait()
		v.pending()
		time.Sleep(time.Nanosecond)
		v.failed(Failed, ErrNoHandler, HandedNo)
		s.claim.Delete()
		time.Sleep(time.Minute) // the first ends by time
	})
}

func TestNoVisitorWaitsForAPollerLongerThanForAnAnswer(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		s.session(Settings{Timeout: new(2 * time.Second)})
		v := s.visit("GET")
		time.Sleep(2 * time.Second)
		v.failed(Failed, ErrNoHandler, HandedNo)
	})
}

func TestTheEndOfTheClaimFailsQueuedRequests(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		s.session()
		v := s.visit("GET")
		s.claim.Delete()
		v.failed(Failed, ErrNoClaim, HandedNo)
		s.visit("GET").failed(Failed, ErrNoClaim, HandedNo)
	})
}

func TestACursorMakesDeliveredRequestsRunning(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		v := s.visit("POST")
		_, cursor := s.one(one, new(cursorOf(one.id, 0)))
		if b := s.take(one, &cursor); b != nil {
			t.Errorf("after the acknowledgement came %v, want nothing", ids(b))
		}
		time.Sleep(10 * time.Second) // the session is lost; it had the request
		v.failed(Failed, ErrSessionLost, HandedYes)
	})
}

func TestAPollWithoutCursorAcknowledges(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		v := s.visit("POST")
		s.one(one, nil)
		if b := s.take(one, nil); b != nil {
			t.Errorf("second poll = %v, want nothing", ids(b))
		}
		if err := one.End(nil, false); err != nil {
			t.Fatal(err)
		}
		v.failed(Failed, ErrSessionLost, HandedUnknown)
	})
}

func TestAnOlderCursorDeliversTheSameAgain(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		a, b := s.visit("POST"), s.visit("DELETE")
		first := s.take(one, new(cursorOf(one.id, 0)))
		time.Sleep(9 * time.Second)
		c := s.visit("PATCH")
		again := s.take(one, new(cursorOf(one.id, 0)))
		if got, want := ids(again), []string{a.x.ID(), b.x.ID(), c.x.ID()}; !slices.Equal(got, want) {
			t.Fatalf("second batch = %v, want %v", got, want)
		}
		for i, want := range []int{2, 2, 1} {
			if m := again.Messages[i]; m.Attempt != want {
				t.Errorf("attempt of message %d = %d, want %d", i, m.Attempt, want)
			}
		}
		if got := again.Messages[0].Timeout; got != 51*time.Second {
			t.Errorf("time for the first = %s, want what is left of the first delivery's minute", got)
		}
		if got := ids(s.take(one, &first.Cursor)); !slices.Equal(got, []string{c.x.ID()}) {
			t.Errorf("after the first cursor came %v, want the third only", got)
		}
		if got := s.take(one, new(cursorOf(one.id, 0))); !slices.Equal(ids(got), []string{c.x.ID()}) {
			t.Errorf("a cursor older than what is acknowledged brought %v, want the third only", ids(got))
		}
		for _, v := range []*visit{a, b, c} {
			s.answer(one, v.x, 204, Accepted)
			v.answered(204)
		}
	})
}

func TestDeleteWithACursorReturnsRequestsThatWereNotBegun(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one, two := s.session(), s.session()
		a := s.visit("POST")
		_, cursor := s.one(one, new(cursorOf(one.id, 0)))
		b := s.visit("POST")
		s.one(one, &cursor)
		if err := one.End(&cursor, false); err != nil {
			t.Fatal(err)
		}
		a.failed(Failed, ErrSessionLost, HandedYes)
		b.pending()
		m, _ := s.one(two, nil)
		if m.Exchange != b.x || m.Attempt != 2 {
			t.Errorf("the other session got %+v, want the second, attempt 2", m)
		}
		s.answer(two, b.x, 200, Accepted)
		b.answered(200)
	})
}

func TestReturnedRequestsDoNotCountAsHanded(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		v := s.visit("POST")
		s.one(one, new(cursorOf(one.id, 0)))
		if err := one.End(new(cursorOf(one.id, 0)), false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		v.failed(Failed, ErrNoHandler, HandedNo)
	})
}

func TestRequestsOfALostSessionMoveToTheNextIfAllowed(t *testing.T) {
	for _, c := range []struct {
		rule   Redeliver
		method string
		keyed  bool
		moves  bool
	}{
		{RedeliverIdempotent, "GET", false, true}, {RedeliverIdempotent, "HEAD", false, true},
		{RedeliverIdempotent, "PUT", false, true}, {RedeliverIdempotent, "DELETE", false, true},
		{RedeliverIdempotent, "OPTIONS", false, true}, {RedeliverIdempotent, "TRACE", false, true},
		{RedeliverIdempotent, "QUERY", false, true}, {RedeliverIdempotent, "PROPFIND", false, true}, {RedeliverIdempotent, "REPORT", false, true},
		{RedeliverIdempotent, "SEARCH", false, true}, {RedeliverIdempotent, "PROPPATCH", false, true}, {RedeliverIdempotent, "MKCOL", false, true},
		{RedeliverIdempotent, "COPY", false, true}, {RedeliverIdempotent, "MOVE", false, true}, {RedeliverIdempotent, "UNLOCK", false, true},
		{RedeliverIdempotent, "LOCK", false, false}, {RedeliverIdempotent, "PURGE", false, false},
		{RedeliverIdempotent, "POST", false, false}, {RedeliverIdempotent, "POST", true, false},
		{RedeliverIdempotent, "PATCH", false, false}, {RedeliverIdempotent, "get", false, false},
		{RedeliverKeyed, "GET", false, true}, {RedeliverKeyed, "POST", true, true}, {RedeliverKeyed, "POST", false, false},
		{RedeliverAny, "POST", false, true},
	} {
		inScene(t, Options{}, func(t *testing.T, s *scene) {
			one := s.session(Settings{Redeliver: &c.rule})
			v := s.request(&Request{Method: c.method, Keyed: c.keyed})
			s.one(one, new(cursorOf(one.id, 0)))
			two := s.session()
			p := park(two, new(cursorOf(two.id, 0)), time.Minute)
			time.Sleep(10 * time.Second)
			if p.open() == c.moves {
				t.Errorf("%s %s keyed %v: moved on = %v, want %v", c.rule, c.method, c.keyed, !p.open(), c.moves)
			}
			if !c.moves {
				v.failed(Failed, ErrSessionLost, HandedUnknown)
				p.stop()
				return
			}
			v.pending()
			s.answer(two, v.x, 200, Accepted)
			v.answered(200)
		})
	}
}

func TestAnAnswerEndsADeliveredExchange(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		v := s.visit("POST")
		s.one(one, new(cursorOf(one.id, 0)))
		s.answer(one, v.x, 201, Accepted)
		v.answered(201)
		if b := s.take(one, new(cursorOf(one.id, 0))); b != nil {
			t.Errorf("an answer acknowledges, yet came %v again", ids(b))
		}
	})
}

func TestAnAnswerEndsARunningExchange(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		v := s.visit("POST")
		_, cursor := s.one(one, new(cursorOf(one.id, 0)))
		s.take(one, &cursor)
		s.answer(one, v.x, 201, Accepted)
		v.answered(201)
	})
}

func TestAnAbortFails(t *testing.T) {
	for _, acknowledged := range []bool{false, true} {
		inScene(t, Options{}, func(t *testing.T, s *scene) {
			one := s.session()
			v := s.visit("POST")
			_, cursor := s.one(one, new(cursorOf(one.id, 0)))
			if acknowledged {
				s.take(one, &cursor)
			}
			if got, err := one.Delivery(v.x.ID()).Abort(); got != Accepted || err != nil {
				t.Errorf("abort = %v %v, want accepted", got, err)
			}
			v.failed(Failed, ErrHandlerFailed, HandedYes)
		})
	}
}

func TestNoAnswerInTimeTimesOut(t *testing.T) {
	for _, c := range []struct {
		acknowledged bool
		handed       Handed
	}{{false, HandedUnknown}, {true, HandedYes}} {
		inScene(t, Options{}, func(t *testing.T, s *scene) {
			one := s.session(Settings{Timeout: new(8 * time.Second)})
			v := s.visit("POST")
			time.Sleep(4 * time.Second) // does not count: it runs from the delivery
			_, cursor := s.one(one, new(cursorOf(one.id, 0)))
			if c.acknowledged {
				s.take(one, &cursor)
			}
			time.Sleep(8*time.Second - 1)
			synctest.Wait()
			v.pending()
			time.Sleep(time.Nanosecond)
			v.failed(TimedOut, ErrHandlerTimeout, c.handed)
			b := s.take(one, &cursor)
			if b == nil || len(b.Messages) != 1 || b.Messages[0].Cancel != CancelTimedOut {
				t.Errorf("the session got %+v, want the cancellation", b)
			}
			s.answer(one, v.x, 200, Late)
		})
	}
}

func TestAVisitorLeavesFromEveryState(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		waits := s.visit("GET")
		waits.leave()
		waits.failed(Abandoned, ErrVisitorGone, HandedNo)
		if b := s.take(one, new(cursorOf(one.id, 0))); b != nil {
			t.Errorf("of a request whose visitor left came %v, want nothing", ids(b))
		}
		delivered := s.visit("GET")
		_, cursor := s.one(one, new(cursorOf(one.id, 0)))
		p := park(one, &cursor, time.Minute) // which acknowledges it
		running := s.visit("GET")
		if p.open() || len(p.batch.Messages) != 1 {
			t.Fatalf("batch = %+v, want the second request", p.batch)
		}
		delivered.leave()
		delivered.failed(Abandoned, ErrVisitorGone, HandedYes)
		running.leave()
		running.failed(Abandoned, ErrVisitorGone, HandedUnknown)
		b := s.take(one, &cursor)
		if b == nil || len(b.Messages) != 2 || b.Messages[0].Cancel != CancelVisitorGone || b.Messages[1].Cancel != CancelVisitorGone {
			t.Fatalf("batch = %+v, want two cancellations and no request", b)
		}
		s.answer(one, running.x, 200, Late)
	})
}

func TestVisitorsWaitForAProgramThatIsExpectedBack(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		if err := s.session().End(nil, false); err != nil {
			t.Fatal(err)
		}
		s.visit("GET").failed(Failed, ErrNoHandler, HandedNo)
		if err := s.session().End(nil, true); err != nil {
			t.Fatal(err)
		}
		time.Sleep(4 * time.Second)
		v := s.visit("GET")
		back := s.session()
		s.one(back, nil)
		s.answer(back, v.x, 200, Accepted)
		if err := back.End(nil, true); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		s.visit("GET").failed(Failed, ErrNoHandler, HandedNo)
	})
}
