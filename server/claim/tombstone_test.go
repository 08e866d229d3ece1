package claim

import (
	"context"
	"testing"
	"time"
)

func TestResultsOfASecondAnswer(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		answered, aborted := s.visit("GET"), s.visit("GET")
		s.take(one, nil)
		first := &Answer{Status: 200, Fields: []Field{{"A", "1"}}, Content: []byte("x")}
		same := &Answer{Status: 200, Fields: []Field{{"A", "1"}}, Content: []byte("x")}
		others := []*Answer{
			{Status: 201, Fields: []Field{{"A", "1"}}, Content: []byte("x")}, {Status: 200, Fields: []Field{{"A", "2"}}, Content: []byte("x")},
			{Status: 200, Fields: []Field{{"A", "1"}}, Content: []byte("y")}, {Status: 200, Content: []byte("x")},
		}
		for i, a := range append([]*Answer{first, same, same}, others...) {
			want := Conflict
			if i < 3 {
				want = Duplicate
			}
			if i == 0 {
				want = Accepted
			}
			if got, err := one.Delivery(answered.x.ID()).Answer(a, nil); got != want || err != nil {
				t.Errorf("answer %d = %v %v, want %v", i, got, err, want)
			}
		}
		if got, _ := one.Delivery(answered.x.ID()).Abort(); got != Conflict {
			t.Errorf("abort after an answer = %v, want conflict", got)
		}
		answered.answered(200)
		for i, want := range []Result{Accepted, Duplicate} {
			if got, _ := one.Delivery(aborted.x.ID()).Abort(); got != want {
				t.Errorf("abort %d = %v, want %v", i, got, want)
			}
		}
		s.answer(one, aborted.x, 200, Conflict)
		s.answer(one, &Exchange{id: "never"}, 200, Unknown)
	})
}

func TestTombstonesAreForgottenInTime(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session(Settings{Lease: new(time.Hour)})
		v := s.visit("GET")
		s.take(one, nil)
		s.answer(one, v.x, 200, Accepted)
		time.Sleep(2 * time.Minute)
		s.answer(one, v.x, 200, Duplicate)
		time.Sleep(time.Nanosecond)
		s.answer(one, v.x, 200, Unknown)
	})
}

func TestTombstonesAreBoundedByCount(t *testing.T) {
	inScene(t, Options{Limits: Limits{Tombstones: 3}}, func(t *testing.T, s *scene) {
		one := s.session()
		var vs []*visit
		for range 10 {
			v := s.visit("GET")
			s.take(one, nil)
			s.answer(one, v.x, 200, Accepted)
			vs = append(vs, v)
		}
		for i, v := range vs {
			want := Unknown
			if i >= 7 {
				want = Duplicate
			}
			s.answer(one, v.x, 200, want)
		}
		if n := len(one.tombs.byID); n != 3 || one.tombs.order.len() != 3 {
			t.Errorf("%d tombstones of %d in order, want 3", n, one.tombs.order.len())
		}
	})
}

func TestExpiredTombstonesTakeNoRoom(t *testing.T) {
	for _, door := range []string{"", "old"} {
		inScene(t, Options{}, func(t *testing.T, s *scene) {
			open, serve := s.session, linkAll // both are as idle as a connection may be
			if door != "" {
				open, serve = s.plain, feedAll
			}
			one := open(Settings{Lease: new(time.Hour)})
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() {
				ended <- serve(ctx, one, func(m *Message) { s.answer(one, m.Exchange, 200, Accepted) })
			}()
			defer func() {
				stop()
				<-ended
			}()
			for range 100 {
				s.visit("GET").answered(200)
				time.Sleep(2 * time.Second)
			}
			kept := func() (tombs, order, numbers int) {
				s.claim.mu.Lock()
				defer s.claim.mu.Unlock()
				return len(one.tombs.byID), one.tombs.order.len(), len(one.numbers.ids)
			}
			time.Sleep(50 * time.Second) // the first 60 are older than two minutes after four
			if tombs, order, _ := kept(); tombs != 40 || order != 40 {
				t.Errorf("%d tombstones, %d in order; want those of the last 40", tombs, order)
			}
			time.Sleep(2 * time.Minute)
			if tombs, order, numbers := kept(); tombs+order+numbers > 0 || one.tombs.byID != nil {
				t.Errorf("%d tombstones, %d in order, %d numbers; want none", tombs, order, numbers)
			}
		})
	}
}
