package claim

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// listener is a listening poll on its own goroutine.
type listener struct {
	stop  context.CancelFunc
	done  chan struct{}
	err   error
	took  time.Duration
	mu    sync.Mutex // guards given
	given []*Batch   // nil for a heartbeat
}

func listen(s *Session, cursor *string, wait time.Duration) *listener {
	ctx, stop := context.WithCancel(context.Background())
	l := &listener{stop: stop, done: make(chan struct{})}
	go func() {
		defer close(l.done)
		defer stop()
		start := time.Now()
		l.err = s.Listen(ctx, cursor, wait, Flow{}, func(b *Batch) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.given = append(l.given, b)
		})
		l.took = time.Since(start)
	}()
	synctest.Wait()
	return l
}

func (l *listener) open() bool {
	synctest.Wait()
	select {
	case <-l.done:
		return false
	default:
		return true
	}
}

// ids lists the delivered exchanges, with "" for a heartbeat.
func (l *listener) ids() (out []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.given {
		if b == nil {
			out = append(out, "")
		}
		out = append(out, ids(b)...)
	}
	return out
}

func TestAListenerGetsEachMessageWhenItComes(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		l := listen(one, new(cursorOf(one.id, 0)), time.Minute)
		a := s.visit("GET")
		if !l.open() || !slices.Equal(l.ids(), []string{"", a.x.ID()}) {
			t.Fatalf("given %q, want a heartbeat and %s", l.ids(), a.x.ID())
		}
		s.answer(one, a.x, 200, Accepted)
		a.answered(200)
		b := s.visit("POST")
		m := l.given[2].Messages[0]
		if m.Exchange != b.x || m.Attempt != 1 || m.Cursor != l.given[2].Cursor || m.Cursor == l.given[1].Cursor {
			t.Errorf("second = %+v, want %s with a cursor of its own", m, b.x.ID())
		}
		s.answer(one, b.x, 200, Accepted)
		b.answered(200)
		time.Sleep(time.Minute)
		if l.open() || l.took != 55*time.Second || l.err != nil {
			t.Errorf("took %s and gave %v, want 55s and no error", l.took, l.err)
		}
	})
}

func TestAListenerGetsAHeartbeatAfterSilence(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		l := listen(one, nil, 50*time.Second)
		time.Sleep(10 * time.Second)
		a := s.visit("GET")
		s.answer(one, a.x, 200, Accepted)
		time.Sleep(15*time.Second - time.Nanosecond)
		if synctest.Wait(); len(l.ids()) != 2 {
			t.Fatalf("given %q before the silence was long, want no heartbeat", l.ids())
		}
		time.Sleep(16 * time.Second)
		if synctest.Wait(); !slices.Equal(l.ids(), []string{"", a.x.ID(), "", ""}) {
			t.Errorf("given %q, want two heartbeats after the message", l.ids())
		}
		time.Sleep(time.Minute)
		if l.open() || l.took != 50*time.Second {
			t.Errorf("took %s, want the wait", l.took)
		}
	})
}

func TestAListenerThatReadsNothingEnds(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		l := listen(one, new(cursorOf(one.id, 0)), time.Minute)
		time.Sleep(3 * time.Second)
		a := s.visit("POST")
		time.Sleep(2 * time.Second)
		b := s.visit("POST")
		time.Sleep(3*time.Second - time.Nanosecond)
		if !l.open() {
			t.Fatalf("ended after %s, want 8s", l.took)
		}
		time.Sleep(time.Nanosecond)
		if l.open() || l.err != nil || l.took != 8*time.Second {
			t.Fatalf("took %s and gave %v, want 8s and no error", l.took, l.err)
		}
		// A program that has only the first gets the second again.
		again := listen(one, &l.given[1].Cursor, time.Minute)
		if m := again.given[1].Messages; len(m) != 1 || m[0].Exchange != b.x || m[0].Attempt != 2 {
			t.Errorf("again = %+v, want %s with attempt 2", m, b.x.ID())
		}
		time.Sleep(5 * time.Second)
		if again.open() || again.took != 5*time.Second {
			t.Errorf("took %s, want 5s from when it was given again", again.took)
		}
		s.answer(one, a.x, 200, Accepted)
		s.answer(one, b.x, 200, Accepted)
	})
}

func TestAnswersKeepAListenerOpen(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		l := listen(one, new(cursorOf(one.id, 0)), time.Minute)
		for range 12 {
			v := s.visit("POST")
			time.Sleep(4 * time.Second)
			s.answer(one, v.x, 200, Accepted)
		}
		if !l.open() {
			t.Errorf("ended after %s, want it open: every message was answered", l.took)
		}
		l.stop()
		<-l.done
	})
}

func TestAListenerEndsAtItsBound(t *testing.T) {
	inScene(t, Options{Limits: Limits{Batch: 2}}, func(t *testing.T, s *scene) {
		one := s.session()
		l := listen(one, new(cursorOf(one.id, 0)), time.Minute)
		var visits []*visit
		for range 10 {
			visits = append(visits, s.visit("GET"))
		}
		if l.open() || l.err != nil || len(l.ids()) != 1+4*2 {
			t.Fatalf("gave %d messages, %v, want 8 and the end", len(l.ids())-1, l.err)
		}
		last := l.given[len(l.given)-1].Cursor
		b := s.take(one, &last)
		if !slices.Equal(ids(b), []string{visits[8].x.ID(), visits[9].x.ID()}) {
			t.Errorf("next = %q, want the other two", ids(b))
		}
		for _, v := range visits {
			s.answer(one, v.x, 200, Accepted)
		}
	})
}

func TestAListenerContinuesIfBatchesHaveNoBound(t *testing.T) {
	inScene(t, Options{Limits: Limits{Batch: -1}}, func(t *testing.T, s *scene) {
		one := s.session()
		l := listen(one, new(cursorOf(one.id, 0)), time.Minute)
		v := s.visit("GET")
		if !l.open() || !slices.Equal(l.ids(), []string{"", v.x.ID()}) {
			t.Errorf("given %q, open %v; want a heartbeat and %s, and it open", l.ids(), l.open(), v.x.ID())
		}
		s.answer(one, v.x, 200, Accepted)
		l.stop()
		<-l.done
	})
}

func TestARepeatedBatchIsBoundedLikeOthers(t *testing.T) {
	inScene(t, Options{Limits: Limits{Batch: 2}}, func(t *testing.T, s *scene) {
		one := s.session()
		l := listen(one, new(cursorOf(one.id, 0)), time.Minute)
		var visits []*visit
		for range 5 {
			visits = append(visits, s.visit("GET"))
		}
		l.stop()
		<-l.done
		cursor, got := cursorOf(one.id, 0), []string(nil)
		for range 3 {
			b := s.take(one, &cursor)
			if len(b.Messages) > 2 {
				t.Errorf("a batch of %d messages, want 2 at most", len(b.Messages))
			}
			got, cursor = append(got, ids(b)...), b.Cursor
		}
		for i, v := range visits {
			if i >= len(got) || got[i] != v.x.ID() {
				t.Fatalf("again = %q, want all five in their order", got)
			}
			s.answer(one, v.x, 200, Accepted)
		}
	})
}

func TestWhatEndsAListener(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(s *scene, one *Session)
		want error
	}{
		"a newer poll":         {func(s *scene, one *Session) { s.take(one, nil) }, nil},
		"the end of its claim": {func(s *scene, one *Session) { one.Claim().Delete() }, ErrClaimDeleted},
		"its own end":          {func(s *scene, one *Session) { _ = one.End(nil, false) }, ErrNoSession},
		"a drain":              {func(s *scene, one *Session) { s.Drain(nil) }, ErrDraining},
	} {
		t.Run(name, func(t *testing.T) {
			inScene(t, Options{}, func(t *testing.T, s *scene) {
				one := s.session()
				l := listen(one, nil, time.Minute)
				time.Sleep(16 * time.Second)
				c.end(s, one)
				time.Sleep(2 * time.Second)
				if l.open() || !errors.Is(l.err, c.want) {
					t.Errorf("ended with %v, want %v", l.err, c.want)
				}
			})
		})
	}
}

func TestABrokenListenerReturnsMessagesThatItDidNotTake(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one, two := s.session(), s.session()
		l := listen(one, new(cursorOf(one.id, 0)), time.Minute)
		l.stop()
		<-l.done
		if !errors.Is(l.err, context.Canceled) {
			t.Errorf("ended with %v, want that it was cancelled", l.err)
		}
		v := s.visit("POST")
		m, _ := s.one(two, new(cursorOf(two.id, 0)))
		if m.Exchange != v.x || m.Attempt != 1 {
			t.Errorf("the other session got %+v, want the request for the first time", m)
		}
		s.answer(two, v.x, 200, Accepted)
	})
}

func TestSessionsThatListenTakeTurns(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one, two := s.session(), s.session()
		a, b := listen(one, nil, time.Minute), listen(two, nil, time.Minute)
		time.Sleep(20 * time.Second) // heartbeats do not change who has waited longest
		var visits []*visit
		for range 4 {
			visits = append(visits, s.visit("GET"))
		}
		if got := a.ids()[2:]; !slices.Equal(got, []string{visits[0].x.ID(), visits[2].x.ID()}) {
			t.Errorf("the first got %q, want the first and the third", got)
		}
		if got := b.ids()[2:]; !slices.Equal(got, []string{visits[1].x.ID(), visits[3].x.ID()}) {
			t.Errorf("the second got %q, want the second and the fourth", got)
		}
		for i, v := range visits {
			s.answer([]*Session{one, two}[i%2], v.x, 200, Accepted)
		}
		a.stop()
		b.stop()
		<-a.done
		<-b.done
	})
}

func TestAFrozenListenerIsFenced(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		frozen, other := s.session(), s.session()
		l := listen(frozen, new(cursorOf(frozen.id, 0)), time.Minute)
		v := s.visit("GET")
		time.Sleep(15 * time.Second)
		if l.open() {
			t.Fatal("the stream is open, want it ended after 5s")
		}
		m, _ := s.one(other, new(cursorOf(other.id, 0)))
		if m.Exchange != v.x || m.Attempt != 2 {
			t.Fatalf("the other session got %+v, want the request again", m)
		}
		if _, err := frozen.Poll(t.Context(), nil, 0, 0); !errors.Is(err, ErrSessionFenced) {
			t.Errorf("the frozen session: %v, want that it is fenced", err)
		}
		s.answer(other, v.x, 200, Accepted)
	})
}
