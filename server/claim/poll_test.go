package claim

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestARequestGoesToTheSessionThatWaitedLongest(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one, two, three := s.session(), s.session(), s.session()
		p2, p1 := park(two, nil, time.Minute), park(one, nil, time.Minute)
		a := s.visit("GET")
		if p2.open() || !p1.open() || ids(p2.batch)[0] != a.x.ID() {
			t.Fatal("the first request is not with the second session, which polled first")
		}
		p3 := park(three, nil, time.Minute)
		p2 = park(two, nil, time.Minute)
		b, c, d := s.visit("GET"), s.visit("GET"), s.visit("GET")
		for _, w := range []struct {
			name string
			poll *parked
			want *visit
		}{{"one", p1, b}, {"three", p3, c}, {"two", p2, d}} {
			if w.poll.open() || !slices.Equal(ids(w.poll.batch), []string{w.want.x.ID()}) {
				t.Errorf("session %s got %v, want %s", w.name, ids(w.poll.batch), w.want.x.ID())
			}
		}
		for _, w := range []struct {
			from *Session
			v    *visit
		}{{two, a}, {one, b}, {three, c}, {two, d}} {
			s.answer(w.from, w.v.x, 200, Accepted)
			w.v.answered(200)
		}
	})
}

func TestARequestNeverGoesToTwoSessions(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one, two := s.session(), s.session()
		v := s.visit("GET")
		s.one(one, new(cursorOf(one.id, 0)))
		if b := s.take(two, new(cursorOf(two.id, 0))); b != nil {
			t.Errorf("the other session got %v", ids(b))
		}
		s.answer(two, v.x, 200, Unknown)
		v.pending()
		s.answer(one, v.x, 200, Accepted)
	})
}

func TestANewerPollEndsTheOlder(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		older := park(one, nil, time.Minute)
		newer := park(one, nil, time.Minute)
		if older.open() || older.batch != nil || older.err != nil {
			t.Errorf("older poll = %+v %v, open %v; want nothing and no error", older.batch, older.err, older.open())
		}
		if n := s.Stats().Polls; n != 1 {
			t.Errorf("open polls = %d, want 1", n)
		}
		v := s.visit("GET")
		if newer.open() || len(newer.batch.Messages) != 1 {
			t.Fatalf("newer poll = %+v, want the request", newer.batch)
		}
		s.answer(one, v.x, 200, Accepted)
	})
}

func TestAPollThatYieldsLosesNothing(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		older := park(one, new(cursorOf(one.id, 0)), time.Minute)
		x, err := s.claim.Begin(s.budget.Open(netip.Addr{}), nil)
		if err != nil {
			t.Fatal(err)
		}
		// The request is assigned to the older poll, and the newer one comes
		// before the older can take it.
		s.claim.mu.Lock()
		x.request = &Request{Method: "POST"}
		x.claim.queue.put(x)
		newer := newPoll(one)
		b, _ := newer.take(64)
		newer.end()
		s.claim.mu.Unlock()
		if older.open() || older.batch != nil {
			t.Errorf("older poll = %v, want nothing", ids(older.batch))
		}
		if !slices.Equal(ids(b), []string{x.ID()}) {
			t.Errorf("newer poll = %v, want the request", ids(b))
		}
		s.answer(one, x, 200, Accepted)
		_ = x.end()
	})
}

func TestAPollWaitsNoLongerThanItMay(t *testing.T) {
	for _, c := range []struct{ asked, want time.Duration }{
		{time.Hour, 25 * time.Second}, {25 * time.Second, 25 * time.Second}, {3 * time.Second, 3 * time.Second}, {0, 0}, {-1, 0},
	} {
		inScene(t, Options{}, func(t *testing.T, s *scene) {
			p := park(s.session(), nil, c.asked)
			time.Sleep(time.Minute)
			if p.open() || p.took != c.want || p.batch != nil || p.err != nil {
				t.Errorf("a poll for %s took %s and gave %v %v, want %s and nothing", c.asked, p.took, p.batch, p.err, c.want)
			}
		})
	}
}

func TestAPollContinuesToWaitWhenItsVisitorLeft(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		p := park(one, nil, 20*time.Second)
		time.Sleep(time.Second)
		x, err := s.claim.Begin(s.budget.Open(netip.Addr{}), nil)
		if err != nil {
			t.Fatal(err)
		}
		s.claim.mu.Lock() // the visitor leaves before the poll can take the request
		x.request = &Request{Method: "GET"}
		x.claim.queue.put(x)
		x.abandon()
		s.claim.mu.Unlock()
		_ = x.end()
		if !p.open() {
			t.Fatalf("the poll ended with %v %v, want it to wait on", p.batch, p.err)
		}
		v := s.visit("GET")
		if p.open() || !slices.Equal(ids(p.batch), []string{v.x.ID()}) {
			t.Errorf("the poll got %v, want the next request", ids(p.batch))
		}
		s.answer(one, v.x, 200, Accepted)
	})
}

func TestAPollerThatLeavesReturnsItsRequest(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one, two := s.session(), s.session()
		p := park(one, nil, time.Minute)
		x, err := s.claim.Begin(s.budget.Open(netip.Addr{}), nil)
		if err != nil {
			t.Fatal(err)
		}
		s.claim.mu.Lock() // the poller leaves before the poll can take the request
		x.request = &Request{Method: "POST"}
		x.claim.queue.put(x)
		p.stop()
		s.claim.mu.Unlock()
		if p.open() || !errors.Is(p.err, context.Canceled) || p.batch != nil {
			t.Fatalf("the poll gave %v %v, want the end of its context", p.batch, p.err)
		}
		later := s.visit("POST")
		b := s.take(two, nil)
		if got, want := ids(b), []string{x.ID(), later.x.ID()}; !slices.Equal(got, want) {
			t.Fatalf("the other session got %v, want %v", got, want)
		}
		if b.Messages[0].Attempt != 1 {
			t.Errorf("attempt = %d, want 1: nobody had it", b.Messages[0].Attempt)
		}
		s.answer(two, x, 200, Accepted)
		s.answer(two, later.x, 200, Accepted)
		_ = x.end()
	})
}

func TestAReturnedRequestWakesAnotherPoll(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one, two := s.session(), s.session()
		p1, p2 := park(one, nil, time.Minute), park(two, nil, time.Minute)
		x, err := s.claim.Begin(s.budget.Open(netip.Addr{}), nil)
		if err != nil {
			t.Fatal(err)
		}
		s.claim.mu.Lock()
		x.request = &Request{Method: "POST"}
		x.claim.queue.put(x)
		p1.stop()
		s.claim.mu.Unlock()
		if p1.open() || p2.open() || !slices.Equal(ids(p2.batch), []string{x.ID()}) {
			t.Errorf("polls got %v and %v, want the request in the second", ids(p1.batch), ids(p2.batch))
		}
		s.answer(two, x, 200, Accepted)
		_ = x.end()
	})
}

func TestABatchIsBoundedByCount(t *testing.T) {
	inScene(t, Options{Limits: Limits{Batch: 2}}, func(t *testing.T, s *scene) {
		one := s.session()
		var vs []*visit
		for range 5 {
			vs = append(vs, s.visit("GET"))
		}
		for _, n := range []int{2, 2, 1} {
			if b := s.take(one, nil); len(ids(b)) != n {
				t.Fatalf("batch = %v, want %d", ids(b), n)
			}
		}
		for _, v := range vs {
			s.answer(one, v.x, 200, Accepted)
		}
	})
}

func TestABatchIsBoundedByContent(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		var vs []*visit
		for range 20 {
			vs = append(vs, s.request(&Request{Method: "PUT", Content: Whole(make([]byte, 64<<10))}))
		}
		b := s.take(one, new(cursorOf(one.id, 0)))
		if len(ids(b)) != 16 {
			t.Fatalf("first batch has %d requests of 64 KiB, want 16", len(ids(b)))
		}
		if again := s.take(one, new(cursorOf(one.id, 0))); !slices.Equal(ids(again), ids(b)) {
			t.Errorf("the same again has %d requests, want the 16", len(ids(again)))
		}
		if rest := s.take(one, &b.Cursor); len(ids(rest)) != 4 {
			t.Errorf("second batch has %d requests, want 4", len(ids(rest)))
		}
		for _, v := range vs {
			s.answer(one, v.x, 200, Accepted)
		}
	})
}

func TestAnUnknownCursorIsRefused(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one, two := s.session(), s.session()
		v := s.visit("POST")
		_, cursor := s.one(one, new(cursorOf(one.id, 0)))
		for _, bad := range []string{
			"", "-", "0", "1", cursorOf(one.id, 2), cursorOf(one.id, 1<<63), cursorOf(two.id, 0), "0" + cursor, "+" + cursor, cursor + " ", " " + cursor,
			"1-" + one.id, "-1-" + one.id[:6], "18446744073709551616-" + one.id[:6],
		} {
			if _, err := one.Poll(t.Context(), &bad, 0, 0); !errors.Is(err, ErrBadCursor) {
				t.Errorf("poll with cursor %q: %v, want ErrBadCursor", bad, err)
			}
			if err := one.End(&bad, false); !errors.Is(err, ErrBadCursor) {
				t.Errorf("end with cursor %q: %v, want ErrBadCursor", bad, err)
			}
		}
		if m, _ := s.one(one, new(cursorOf(one.id, 0))); m.Attempt != 2 {
			t.Errorf("attempt = %d, want 2: a bad cursor acknowledges nothing", m.Attempt)
		}
		s.answer(one, v.x, 200, Accepted)
	})
}

func TestMessagesKeepTheirOrder(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		var want []string
		var vs []*visit
		for i := range 100 {
			v := s.request(&Request{Method: "GET", Target: fmt.Sprint("/", i)})
			want, vs = append(want, v.x.ID()), append(vs, v)
		}
		var got []string
		for len(got) < len(want) {
			b := s.take(one, nil)
			if b == nil {
				break
			}
			got = append(got, ids(b)...)
		}
		if !slices.Equal(got, want) {
			t.Errorf("order = %v, want %v", got, want)
		}
		for _, v := range vs {
			s.answer(one, v.x, 200, Accepted)
		}
		synctest.Wait()
	})
}
