package claim

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// over returns a context that has ended.
func over() context.Context {
	ctx, end := context.WithCancel(context.Background())
	end()
	return ctx
}

// hangsUp opens a poll of a session and closes its connection.
func hangsUp(one *Session, cursor string) {
	w, err := one.Open(&cursor, time.Minute, Flow{HungUp: func() bool { return true }})
	if err != nil {
		panic(err)
	}
	_, _, _ = w.Next(over(), w.end, nil)
}

// looksLateForAHangup delays the next look, as in a gateway that is too busy.
func looksLateForAHangup(one *Session, by time.Duration) {
	one.claim.mu.Lock()
	due := one.life.hangup.look.due
	one.life.hangup.look.timer.Stop()
	one.claim.mu.Unlock()
	time.Sleep(time.Until(due.Add(by)))
	one.life.hangup.lapse()
}

func TestAHangupThatIsCheckedLateIsCheckedAgain(t *testing.T) {
	for late, again := range map[time.Duration]time.Duration{
		21 * time.Millisecond: 200 * time.Millisecond,
		time.Second:           time.Second,
	} {
		inScene(t, Options{}, func(t *testing.T, s *scene) {
			one := s.session()
			v := s.visit("GET")
			_, cursor := s.one(one, new(cursorOf(one.id, 0)))
			hangsUp(one, cursor)
			looksLateForAHangup(one, late)
			time.Sleep(again - time.Nanosecond)
			synctest.Wait()
			v.pending()
			time.Sleep(2 * time.Nanosecond)
			v.failed(Failed, ErrNoHandler, HandedYes)
			if err := one.Answerable(); err != nil {
				t.Errorf("the session: %v, want that it lives", err)
			}
		})
	}
}

func TestAHangupThatIsCheckedInTimeCounts(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		v := s.visit("GET")
		_, cursor := s.one(one, new(cursorOf(one.id, 0)))
		hangsUp(one, cursor)
		looksLateForAHangup(one, 20*time.Millisecond)
		v.failed(Failed, ErrNoHandler, HandedYes)
	})
}

// Anything that the program does within the time shows that it lives.
func TestASignOfLifeCancelsAHangup(t *testing.T) {
	for name, sign := range map[string]func(*scene, *Session, *Exchange){
		"an interim response": func(s *scene, one *Session, x *Exchange) {
			_, _ = one.Delivery(x.ID()).Interim(&Answer{Status: 103})
		},
		"content is asked for": func(s *scene, one *Session, x *Exchange) { one.Work(s.t.Context())() },
		"a poll": func(s *scene, one *Session, x *Exchange) {
			s.take(one, new(cursorOf(one.id, 1)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			inScene(t, Options{}, func(t *testing.T, s *scene) {
				one := s.session()
				v := s.visit("GET")
				m, cursor := s.one(one, new(cursorOf(one.id, 0)))
				hangsUp(one, cursor)
				time.Sleep(1999 * time.Millisecond)
				sign(s, one, m.Exchange)
				time.Sleep(9 * time.Second)
				synctest.Wait()
				v.pending()
				s.answer(one, v.x, 200, Accepted)
				v.answered(200)
			})
		})
	}
}

func TestASessionWithoutCursorsDoesNotHangUp(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		v := s.visit("GET")
		s.one(one, nil)
		w, err := one.Open(nil, time.Minute, Flow{HungUp: func() bool { return true }})
		if err != nil {
			t.Fatal(err)
		}
		_, _, _ = w.Next(over(), w.end, nil)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		v.pending()
		s.answer(one, v.x, 200, Accepted)
		v.answered(200)
	})
}

// Exchanges of a killed program may be repeated twice, as after any loss.
func TestHangupsMoveARequestAtMostTwice(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		v := s.visit("GET")
		for range 3 {
			_, cursor := s.one(one, new(cursorOf(one.id, 0)))
			next := s.session()
			hangsUp(one, cursor)
			time.Sleep(2 * time.Second)
			synctest.Wait()
			one = next
		}
		v.pending() // with the third
		time.Sleep(8 * time.Second)
		v.failed(Failed, ErrSessionLost, HandedYes)
	})
}
