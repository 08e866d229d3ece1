package claim

import (
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// plain opens a plain session of demo.
func (s *scene) plain(set ...Settings) *Session {
	s.t.Helper()
	o, err := s.Enter(netip.Addr{}, Place{Door: "old"}, "demo", "t0", append(set, Settings{})[0])
	if err != nil {
		s.t.Fatal(err)
	}
	s.claim = o.Session.Claim()
	return o.Session
}

// given returns the exchange at a place. It fails the test if whether the exchange is known differs from
// want.
func (s *scene) given(from *Session, cursor string, nth int, want bool) *Exchange {
	s.t.Helper()
	x, known, err := from.Given(cursor, nth)
	if err != nil || known != want {
		s.t.Fatalf("given %s %d = %v %v, want %v", cursor, nth, known, err, want)
	}
	return x
}

func TestAPlainSessionNumbersRequestsFromThePlaceOfItsProgram(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		p := s.plain()
		zero := cursorOf(p.id, 0)
		one, two := s.visit("GET"), s.visit("POST")
		b := s.take(p, &zero)
		if got := ids(b); len(got) != 2 {
			t.Fatalf("batch = %v, want two", got)
		}
		if s.given(p, zero, 0, true) != one.x || s.given(p, zero, 1, true) != two.x {
			t.Error("numbers are not those of the batch")
		}
		s.given(p, zero, 2, false)
		one.leave()
		one.failed(Abandoned, ErrVisitorGone, HandedUnknown)
		// The answer to the poll was lost, so the rest is delivered with the first number.
		three := s.visit("GET")
		b = s.take(p, &zero)
		if s.given(p, zero, 0, true) != two.x || s.given(p, zero, 1, true) != three.x || b.Messages[0].Attempt != 2 {
			t.Errorf("batch = %v", ids(b))
		}
		s.answer(p, two.x, 200, Accepted)
		two.answered(200)
		if x := s.given(p, zero, 0, true); x != nil {
			t.Errorf("ended exchange = %v, want none open", x)
		}
		if _, err := p.Poll(t.Context(), &zero, 0, 0); !errors.Is(err, ErrSpent) {
			t.Errorf("poll for what was answered = %v, want ErrSpent", err)
		}
		if b := s.take(p, &b.Cursor); b != nil {
			t.Errorf("batch = %v, want none", ids(b))
		}
		if _, err := p.Poll(t.Context(), &zero, 0, 0); !errors.Is(err, ErrSpent) {
			t.Errorf("poll for what was acknowledged = %v, want ErrSpent", err)
		}
		s.answer(p, three.x, 200, Accepted)
		time.Sleep(3 * time.Minute)
		s.given(p, zero, 0, false)
	})
}

func TestAPlainSessionGetsNoCancellations(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		p := s.plain()
		zero := cursorOf(p.id, 0)
		v := s.visit("GET")
		_, next := s.one(p, &zero)
		poll := park(p, &next, time.Minute)
		v.leave()
		if !poll.open() {
			t.Errorf("poll = %+v %v, want it open", poll.batch, poll.err)
		}
		poll.stop()
	})
}

func TestAPlainSessionForgetsNumbersWithTheirExchanges(t *testing.T) {
	inScene(t, Options{Limits: Limits{Tombstones: 4}}, func(t *testing.T, s *scene) {
		p := s.plain()
		for range 20 {
			v := s.visit("GET")
			s.answer(p, must(s.one(p, nil)), 200, Accepted)
			v.answered(200)
		}
		if n := len(p.numbers.ids); n > 4 {
			t.Errorf("%d numbers kept, want 4 at most", n)
		}
		zero := cursorOf(p.id, 0)
		if _, err := p.Poll(t.Context(), &zero, 0, 0); !errors.Is(err, ErrSpent) {
			t.Errorf("poll = %v, want ErrSpent", err)
		}
	})
}

func TestAPlainSessionForgetsNumbersOfReturnedRequests(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		p := s.plain()
		f, err := p.Feed()
		if err != nil {
			t.Fatal(err)
		}
		v := s.visit("GET")
		for range 20 {
			m, err := f.Next(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			p.Delivery(m.ID).GiveBack(false)
		}
		f.Close()
		if n := len(p.numbers.ids); n > 0 {
			t.Errorf("%d numbers kept, want none", n)
		}
		v.leave()
	})
}

func must(m Message, _ string) *Exchange { return m.Exchange }

func TestAPlainSessionLivesWhileItIsBusy(t *testing.T) {
	lease, timeout := time.Hour, 10*time.Minute
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		busy := s.plain(Settings{Lease: &lease, Timeout: &timeout})
		idle := s.plain()
		v := s.visit("POST")
		m, _ := s.one(busy, nil)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if idle.gone == nil || s.claim.Idle("old") != busy {
			t.Error("the idle session lives, or the busy one does not")
		}
		s.answer(busy, m.Exchange, 200, Accepted)
		v.answered(200)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if busy.gone == nil {
			t.Error("the session lives on though it is busy no more")
		}
		if s.Lookup("demo") == nil {
			t.Error("the claim ended before its lease")
		}
	})
}

func TestASessionIsResumed(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		p := s.plain()
		id, at := p.ID(), "7-"+p.ID()[:6]
		if o, err := s.Enter(netip.Addr{}, Place{"old", id, at}, "demo", "t0", Settings{}); err != nil || o.Session != p {
			t.Errorf("resume what lives = %v, want the same", err)
		}
		if _, err := s.Enter(netip.Addr{}, Place{"other", id, at}, "demo", "t0", Settings{}); !errors.Is(err, ErrNoSession) {
			t.Errorf("resume of another door = %v, want ErrNoSession", err)
		}
		if _, err := s.Enter(netip.Addr{}, Place{"old", id, at}, "demo", "t1", Settings{}); !errors.Is(err, ErrLabelTaken) {
			t.Errorf("resume with another token = %v, want ErrLabelTaken", err)
		}
		if _, err := s.Enter(netip.Addr{}, Place{"old", id, at}, "stranger", "t1", Settings{}); !errors.Is(err, ErrNoSession) {
			t.Errorf("resume under another label = %v, want ErrNoSession", err)
		}
		time.Sleep(2 * time.Minute)
		o, err := s.Enter(netip.Addr{}, Place{"old", id, at}, "demo", "t0", Settings{})
		if err != nil || o.Session == p || o.Session.ID() != id || !o.Created {
			t.Fatalf("resume after the lease = %+v %v", o, err)
		}
		s.claim = o.Session.Claim()
		time.Sleep(40 * time.Second)
		v := s.visit("GET")
		if _, next := s.one(o.Session, &at); next != "8-"+id[:6] {
			t.Errorf("cursor = %s, want it to go on", next)
		}
		if got := s.given(o.Session, at, 0, true); got != v.x {
			t.Error("the number is not the exchange's")
		}
		s.answer(o.Session, v.x, 200, Accepted)
		time.Sleep(30 * time.Second) // the first session is forgotten meanwhile
		if s.Session("old", "demo", id) != o.Session || s.Session("other", "demo", id) != nil || s.Session("", "demo", id) != nil {
			t.Error("the resumed session was forgotten with the first")
		}
		// A place from an earlier session that is unknown here is accepted.
		ahead := "90-" + id[:6]
		if b := s.take(o.Session, &ahead); b != nil {
			t.Errorf("batch = %v", ids(b))
		}
		for _, c := range []struct{ id, cursor string }{
			{"", "0-"}, {"short", "0-short"}, {id[:25] + "A", at}, {id[:25] + "/", at}, {id, "x-" + id[:6]}, {id, "07-" + id[:6]}, {id, "7"}, {id, "9999999999999999999-" + id[:6]}, {id, "-1-" + id[:6]},
		} {
			if _, err := s.Enter(netip.Addr{}, Place{"old", c.id, c.cursor}, "demo", "t0", Settings{}); !errors.Is(err, ErrBadCursor) {
				t.Errorf("resume %q %q = %v, want ErrBadCursor", c.id, c.cursor, err)
			}
		}
		fresh := NewPlace("old")
		if o, err := s.Enter(netip.Addr{}, fresh, "demo", "t0", Settings{}); err != nil || o.Cursor != fresh.Cursor || o.Session.ID() != fresh.Session {
			t.Errorf("a fresh place = %v", err)
		}
	})
}

func TestASessionOfAnotherDoorIsNotResumedAfterItsEnd(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		_ = one.End(nil, false)
		if o, err := s.Enter(netip.Addr{}, Place{"old", one.id, cursorOf(one.id, 0)}, "demo", "t0", Settings{}); !errors.Is(err, ErrNoSession) {
			t.Errorf("enter = %v %v, want ErrNoSession", o, err)
		}
		if s.Session("", "demo", one.id) != one {
			t.Error("the ended session is no longer known")
		}
	})
}

func TestAFullClaimResumesNothing(t *testing.T) {
	inScene(t, Options{Limits: Limits{Sessions: 1}}, func(t *testing.T, s *scene) {
		s.session()
		at := NewPlace("old")
		if _, err := s.Enter(netip.Addr{}, at, "demo", "t0", Settings{}); !errors.Is(err, ErrTooManyOpen) {
			t.Errorf("resume = %v, want ErrTooManyOpen", err)
		}
		if s.Session("old", "demo", at.Session) != nil {
			t.Error("the session that was refused is listed")
		}
	})
}

func TestAVisitorWaitsForAProgramThatComesAgain(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.plain()
		f, err := one.Feed()
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		_ = one.End(nil, false) // as where a connection takes one request only
		v := s.visit("GET")
		v.pending()
		two := s.plain()
		if f, err = two.Feed(); err != nil {
			t.Fatal(err)
		}
		m, err := f.Next(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := two.Delivery(m.Exchange.ID()).Answer(&Answer{Status: 200}, nil); err != nil {
			t.Error(err)
		}
		v.answered(200)
		f.Close()
		_ = two.End(nil, false)
		v = s.visit("GET")
		time.Sleep(5*time.Second - time.Nanosecond)
		v.pending()
		time.Sleep(time.Nanosecond)
		v.failed(Failed, ErrNoHandler, HandedNo)
		if v = s.visit("GET"); !errors.Is(v.err, ErrNoHandler) {
			t.Errorf("after 5 s: %v, want %v at once", v.err, ErrNoHandler)
		}
	})
}
