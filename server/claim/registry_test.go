package claim

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestAClaimWithoutOptionsGetsALabelAndAToken(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		seen := map[string]bool{}
		for range 50 {
			o, err := s.Open(netip.Addr{}, "", "", Settings{})
			if err != nil || !o.Created {
				t.Fatalf("open = %+v %v", o, err)
			}
			if !ValidLabel(o.State.Label) || seen[o.State.Label] {
				t.Errorf("label %q is bad or given twice", o.State.Label)
			}
			if !ValidToken(o.Token) || len(o.Token) < 26 || !o.Session.Claim().Owns(o.Token) || seen[o.Token] {
				t.Errorf("token %q is bad, short or given twice", o.Token)
			}
			seen[o.State.Label], seen[o.Token] = true, true
		}
	})
}

func TestInvalidClaimsAreRefused(t *testing.T) {
	inScene(t, Options{Reserved: func(label, token string) bool { return label == "www" && token != "of-www" }}, func(t *testing.T, s *scene) {
		for _, c := range []struct {
			label, token string
			want         error
		}{
			{"www", "", ErrLabelReserved}, {"www", "of-another", ErrLabelReserved}, {"www", "of-www", nil}, {"Demo", "", ErrBadLabel}, {"-a", "", ErrBadLabel}, {"a-", "", ErrBadLabel},
			{"xn--a", "", ErrBadLabel}, {"a.b", "", ErrBadLabel}, {"a_b", "", ErrBadLabel}, {"é", "", ErrBadLabel},
			{strings.Repeat("a", 64), "", ErrBadLabel}, {"demo", "a b", ErrBadToken}, {"demo", strings.Repeat("a", 257), ErrBadToken},
			{"demo", "a\n", ErrBadToken}, {"demo", "ä", ErrBadToken},
		} {
			if _, err := s.Open(netip.Addr{}, c.label, c.token, Settings{}); !errors.Is(err, c.want) {
				t.Errorf("open %q %q: %v, want %v", c.label, c.token, err, c.want)
			}
		}
		for _, label := range []string{"a", "0", "a-b", "ab-c", strings.Repeat("a", 63)} {
			if _, err := s.Open(netip.Addr{}, label, "", Settings{}); err != nil {
				t.Errorf("open %q: %v", label, err)
			}
		}
		if n := s.Stats().Claims; n != 6 {
			t.Errorf("claims = %d, want 6", n)
		}
	})
}

func TestBoundsOfTheRegistry(t *testing.T) {
	inScene(t, Options{Limits: Limits{Claims: 2, Sessions: 2, Queue: 2, Exchanges: 4}}, func(t *testing.T, s *scene) {
		one := s.session()
		s.session()
		if _, err := s.Open(netip.Addr{}, "demo", "t0", Settings{}); !errors.Is(err, ErrTooManyOpen) {
			t.Errorf("third session: %v, want ErrTooManyOpen", err)
		}
		other, err := s.Open(netip.Addr{}, "other", "", Settings{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Open(netip.Addr{}, "third", "", Settings{}); !errors.Is(err, ErrTooManyClaims) {
			t.Errorf("third claim: %v, want ErrTooManyClaims", err)
		}
		a, b := s.visit("GET"), s.visit("GET")
		s.visit("GET").failed(Failed, ErrQueueFull, HandedNo)
		demo := s.claim
		s.claim = other.Session.Claim()
		c := s.visit("GET")
		s.visit("GET").failed(Failed, ErrQueueFull, HandedNo)
		s.claim = demo
		s.take(one, nil)
		s.visit("GET").failed(Failed, ErrQueueFull, HandedNo) // delivered ones count too
		s.answer(one, a.x, 200, Accepted)
		d := s.visit("GET")
		d.pending()
		for _, v := range []*visit{b, c, d} {
			v.leave()
		}
		synctest.Wait()
		if n := s.Stats().Exchanges; n != 0 {
			t.Errorf("open exchanges = %d, want 0", n)
		}
		other.Session.Claim().Delete()
		if _, err := s.Open(netip.Addr{}, "third", "", Settings{}); err != nil {
			t.Errorf("a claim after one ended: %v", err)
		}
	})
}

func TestGivingUpReleasesTheMemoryOfEndedClaims(t *testing.T) {
	for name, end := range map[string]func(*Claim){
		"deleted":     func(c *Claim) { _ = c.Delete() },
		"lease ended": func(c *Claim) { _ = c.keeper.end(ErrLeaseEnded, nil, netip.Addr{}) },
	} {
		t.Run(name, func(t *testing.T) {
			inScene(t, Options{}, func(t *testing.T, s *scene) {
				p := s.session()
				v := s.visit("POST")
				s.one(p, nil)
				end(s.claim)
				v.pending()
				s.Drain(nil)
				v.pending()
				s.GiveUp()
				v.failed(Failed, ErrDraining, HandedUnknown)
			})
		})
	}
}

func TestANegativeBoundMeansNone(t *testing.T) {
	l := Limits{Claims: -1, Sessions: -1, Queue: -1, Exchanges: -1, Batch: -1, Tombstones: -1}.withDefaults()
	for name, n := range map[string]int{
		"claims": l.Claims, "sessions": l.Sessions, "queue": l.Queue, "exchanges": l.Exchanges, "batch": l.Batch, "tombstones": l.Tombstones,
	} {
		if n < 1<<62 {
			t.Errorf("%s = %d, want no bound", name, n)
		}
	}
}

func TestDrainRefusesNewRequests(t *testing.T) {
	inScene(t, Options{Limits: Limits{Batch: 1}}, func(t *testing.T, s *scene) {
		one := s.session()
		held, waits := s.visit("POST"), s.visit("POST")
		s.one(one, nil)
		receives, err := s.claim.Begin(s.budget.Open(netip.Addr{}), nil)
		if err != nil {
			t.Fatal(err)
		}
		s.Drain(nil)
		s.Drain(nil)
		waits.failed(Failed, ErrDraining, HandedNo)
		s.visit("GET").failed(Failed, ErrDraining, HandedNo)
		if _, err := receives.Do(t.Context(), &Request{Method: "GET"}); !errors.Is(err, ErrDraining) {
			t.Errorf("what was received meanwhile: %v, want ErrDraining", err)
		}
		if _, err := one.Poll(t.Context(), nil, time.Minute, 0); !errors.Is(err, ErrDraining) {
			t.Errorf("poll: %v, want ErrDraining", err)
		}
		if _, err := s.Open(netip.Addr{}, "new", "", Settings{}); !errors.Is(err, ErrDraining) {
			t.Errorf("open: %v, want ErrDraining", err)
		}
		held.pending()
		s.answer(one, held.x, 200, Accepted)
		held.answered(200)
	})
}

func TestDrainEndsPollsSpreadOverItsTime(t *testing.T) {
	for name, c := range map[string]struct {
		times Times
		most  time.Duration
	}{
		"a millisecond for each": {Times{}, 60 * time.Millisecond},
		"the longest":            {Times{Spread: 20 * time.Millisecond}, 20 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			inScene(t, Options{Times: c.times}, func(t *testing.T, s *scene) {
				var polls []*parked
				for range 60 {
					polls = append(polls, park(s.session(), nil, 20*time.Second))
				}
				start := time.Now()
				s.Drain(nil)
				early := 0
				for _, p := range polls {
					<-p.done
					if !errors.Is(p.err, ErrDraining) {
						t.Errorf("poll = %v %v, want ErrDraining", p.batch, p.err)
					}
					if p.took < c.most/2 {
						early++
					}
				}
				if took := time.Since(start); took > c.most {
					t.Errorf("polls ended within %s, want %s", took, c.most)
				}
				if early == 0 || early == len(polls) {
					t.Errorf("%d of %d polls ended in the first half, want them spread", early, len(polls))
				}
			})
		})
	}
}

func TestALabelOutlivesADrain(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session(Settings{Lease: new(time.Second), Timeout: new(20 * time.Second)})
		v := s.visit("POST")
		s.one(one, new(cursorOf(one.id, 0)))
		s.Drain(nil)
		time.Sleep(20*time.Second - 1)
		if s.gone() || one.Answerable() != nil {
			t.Fatal("the claim or its session ended while the gateway stops")
		}
		s.answer(one, v.x, 200, Accepted)
		v.answered(200)
	})
}

// recordOf returns the record of demo; the zero value if there is none.
func recordOf(m Records) Record {
	r, _, _ := m.Get(context.Background(), "demo")
	return r
}

// keep returns Records with some records.
func keep(t *testing.T, rs ...Record) (m Records, kept []Kept) {
	t.Helper()
	m = NewMemoryRecords()
	for _, r := range rs {
		revision, err := m.Create(context.Background(), r)
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, Kept{r, revision})
	}
	return m, kept
}

func TestTheStoreFollowsTheClaims(t *testing.T) {
	m := NewMemoryRecords()
	inScene(t, Options{Records: m}, func(t *testing.T, s *scene) {
		s.session(Settings{Lease: new(time.Hour)})
		want := Record{"demo", HashToken("t0"), Terms{Lease: time.Hour, Timeout: time.Minute, Redeliver: RedeliverIdempotent}, true, History{}}
		if got := recordOf(m); !reflect.DeepEqual(got, want) {
			t.Errorf("kept = %+v, want %+v", got, want)
		}
		poll := s.session(Settings{Redeliver: new(RedeliverKeyed)})
		if err := s.claim.Change(Settings{Token: new("t1"), Timeout: new(time.Second)}); err != nil {
			t.Fatal(err)
		}
		want = Record{"demo", HashToken("t1"), Terms{Lease: time.Hour, Timeout: time.Second, Redeliver: RedeliverKeyed}, true, History{}}
		if got := recordOf(m); !reflect.DeepEqual(got, want) {
			t.Errorf("kept = %+v, want %+v", got, want)
		}
		s.take(poll, nil)
		synctest.Wait()
		want.Unpolled = false
		if got := recordOf(m); !reflect.DeepEqual(got, want) {
			t.Errorf("kept after a poll = %+v, want %+v", got, want)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := recordOf(m); !reflect.DeepEqual(got, Record{}) {
			t.Errorf("kept = %+v, want nothing after the lease", got)
		}
	})
}

func TestARestoredClaimBelongsToItsToken(t *testing.T) {
	m, kept := keep(t, Record{"demo", HashToken("t0"), Terms{Lease: 5 * time.Second, Timeout: time.Second, Redeliver: RedeliverAny}, false, History{}})
	inScene(t, Options{Records: m, Kept: kept}, func(t *testing.T, s *scene) {
		if _, err := s.Open(netip.Addr{}, "demo", "t1", Settings{}); !errors.Is(err, ErrLabelTaken) {
			t.Errorf("open with another token: %v, want ErrLabelTaken", err)
		}
		time.Sleep(4 * time.Second)
		o, err := s.Open(netip.Addr{}, "demo", "t0", Settings{})
		if err != nil || o.Created {
			t.Fatalf("open = %+v %v, want the claim that was there", o, err)
		}
		if st := o.State; st.Lease != 5*time.Second || st.Timeout != time.Second || st.Redeliver != RedeliverAny {
			t.Errorf("state = %+v, want what was kept", st)
		}
		time.Sleep(time.Second)
		if !s.gone() {
			t.Error("a restored claim that nobody polls outlived its lease")
		}
	})
}

func TestAVisitorOfARestoredClaimWaitsForItsProgram(t *testing.T) {
	terms := Terms{Lease: time.Minute, Timeout: time.Minute, Redeliver: RedeliverIdempotent}
	m, kept := keep(t, Record{"demo", HashToken("t0"), terms, false, History{}}, Record{"lost", HashToken("t0"), terms, false, History{}})
	inScene(t, Options{Records: m, Kept: kept}, func(t *testing.T, s *scene) {
		s.claim = s.Lookup("lost")
		lost := s.visit("POST")
		s.claim = s.Lookup("demo")
		v := s.visit("POST")
		time.Sleep(5*time.Second - 1)
		v.pending()
		lost.pending()
		one := s.session()
		m, _ := s.one(one, new(cursorOf(one.id, 0)))
		s.answer(one, m.Exchange, 200, Accepted)
		v.answered(200)
		time.Sleep(time.Nanosecond)
		lost.failed(Failed, ErrNoHandler, HandedNo)
		s.claim = lost.x.claim
		if v := s.visit("GET"); !errors.Is(v.err, ErrNoHandler) {
			t.Errorf("after 5 s: %v, want %v at once", v.err, ErrNoHandler)
		}
	})
}

func TestTokensAndIdsAreNotLogged(t *testing.T) {
	var log strings.Builder
	o := Options{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	inScene(t, o, func(t *testing.T, s *scene) {
		one, err := s.Open(netip.Addr{}, "demo", "secret-token", Settings{})
		if err != nil {
			t.Fatal(err)
		}
		if err := one.Session.End(nil, false); err != nil {
			t.Fatal(err)
		}
		one.Session.Claim().Delete()
		if !strings.Contains(log.String(), "session closed") {
			t.Fatalf("log = %s, want the life of the session", log.String())
		}
		for _, secret := range []string{"secret-token", one.Session.ID()} {
			if strings.Contains(log.String(), secret) {
				t.Errorf("the log has %q: %s", secret, log.String())
			}
		}
	})
}

func TestASessionIsFoundByItsLabelOnly(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		if s.Session("", "other", one.ID()) != nil || s.Session("", "demo", "x") != nil || s.Session("", "demo", one.ID()) != one {
			t.Error("sessions are found by a wrong label or id, or not by the right ones")
		}
	})
}

func TestIdsOfExchangesAreUnique(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		var seen []string
		for range 3 { // claims of one label, one after another
			s.session()
			for range 40 {
				v := s.visit("GET")
				seen = append(seen, v.x.ID())
			}
			s.claim.Delete()
		}
		slices.Sort(seen)
		if n := len(slices.Compact(seen)); n != 120 {
			t.Errorf("%d ids, want 120", n)
		}
	})
}
