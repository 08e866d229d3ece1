package claim

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"
)

// streamed is a visitor of an answer that has begun.
type streamed struct {
	*visit
	s   *Session
	ctx context.Context
}

// stream returns a visitor whose answer has begun, in a session that uses cursors.
func (s *scene) stream(method string) *streamed {
	s.t.Helper()
	one := s.session()
	v := s.visit(method)
	s.one(one, new(cursorOf(one.id, 0)))
	if got, err := one.Delivery(v.x.ID()).Answer(&Answer{Status: 200, More: true}, nil); got != Accepted || err != nil {
		s.t.Fatalf("begin = %v %v, want accepted", got, err)
	}
	<-v.done
	if v.err != nil || !v.a.More {
		s.t.Fatalf("visitor got %+v %v, want the beginning", v.a, v.err)
	}
	ctx, leave := context.WithCancel(context.Background())
	s.t.Cleanup(leave)
	v.leave = leave
	return &streamed{v, one, ctx}
}

// next reads the next content, like a visitor who waits for it.
func (v *streamed) next() (string, error) {
	chunks, err := v.x.Next(v.ctx)
	out := ""
	for _, c := range chunks {
		out += string(c)
	}
	return out, err
}

// part posts a part; the result must be want.
func (v *streamed) part(seq int, content string, more bool, want Result) {
	v.visit.s.t.Helper()
	got, err := v.s.Delivery(v.x.ID()).Part(context.Background(), Part{Seq: seq, Content: []byte(content), More: more})
	if err != nil || got != want {
		v.visit.s.t.Errorf("part %d = %v %v, want %v", seq, got, err, want)
	}
}

// cut checks that the visitor's answer ends prematurely.
func (v *streamed) cut(o Outcome, want error) {
	v.visit.s.t.Helper()
	for {
		_, err := v.next()
		if err == nil {
			continue
		}
		f, ok := errors.AsType[*Failure](err)
		if !ok || !errors.Is(err, want) || f.Handed != HandedYes {
			v.visit.s.t.Errorf("the answer ended with %v %+v, want %v", err, f, want)
		}
		break
	}
	v.ended(o)
}

func inStream(t *testing.T, test func(t *testing.T, s *scene, v *streamed)) {
	t.Helper()
	inScene(t, Options{}, func(t *testing.T, s *scene) { test(t, s, s.stream("GET")) })
}

func TestPartsReachTheVisitorInOrder(t *testing.T) {
	inStream(t, func(t *testing.T, s *scene, v *streamed) {
		v.part(1, "one", true, Accepted)
		v.part(2, "two", true, Accepted)
		if got, err := v.next(); got != "onetwo" || err != nil {
			t.Errorf("next = %q %v, want both parts", got, err)
		}
		if got, err := v.s.Delivery(v.x.ID()).Part(t.Context(), Part{Seq: 3, Content: []byte("end"), Trailers: []Field{{"A", "b"}}}); got != Accepted || err != nil {
			t.Errorf("last part = %v %v, want accepted", got, err)
		}
		if got, err := v.next(); got != "end" || err != nil {
			t.Errorf("next = %q %v, want the last part", got, err)
		}
		if n := s.claim.State().Ends; n != [4]uint64{} {
			t.Errorf("ends = %v, want none until the visitor has it", n)
		}
		if got, err := v.next(); got != "" || err != io.EOF {
			t.Errorf("next = %q %v, want the end", got, err)
		}
		if len(v.a.Trailers) != 1 {
			t.Errorf("trailers = %v, want one", v.a.Trailers)
		}
		v.ended(Done)
	})
}

func TestPartsGetTheirResults(t *testing.T) {
	inStream(t, func(t *testing.T, _ *scene, v *streamed) {
		id := v.x.ID()
		if _, err := v.s.Delivery(id).Part(t.Context(), Part{Seq: 2}); !errors.Is(err, ErrGap) {
			t.Errorf("a skipped part gave %v, want ErrGap", err)
		}
		v.part(1, "a", true, Accepted)
		v.part(1, "a", true, Duplicate)
		v.part(2, "b", false, Accepted)
		v.part(2, "b", false, Duplicate)
		v.part(3, "c", false, Conflict)
		begun, whole := &Answer{Status: 200, More: true}, &Answer{Status: 200}
		judge := func(when string) {
			for _, c := range []struct {
				a    *Answer
				want Result
			}{{begun, Duplicate}, {whole, Conflict}, {&Answer{Status: 201, More: true}, Conflict}} {
				if got, err := v.s.Delivery(id).Answer(c.a, nil); got != c.want || err != nil {
					t.Errorf("%s: answer %+v = %v %v, want %v", when, c.a, got, err, c.want)
				}
			}
		}
		judge("before the end")
		_, _ = v.next()
		if _, err := v.next(); err != io.EOF {
			t.Fatalf("next = %v, want the end", err)
		}
		judge("after the end")
		v.part(1, "a", true, Duplicate)
		v.part(2, "b", false, Duplicate)
		v.part(3, "c", true, Conflict)
		for range 5 { // two minutes, and the session lives
			if _, err := v.s.Poll(t.Context(), nil, 25*time.Second, 0); err != nil {
				t.Fatal(err)
			}
		}
		v.part(2, "b", false, Unknown)
	})
}

func TestAWholeAnswerDiffersByItsTrailers(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		v := s.visit("GET")
		s.one(one, nil)
		s.answer(one, v.x, 200, Accepted)
		if got, _ := one.Delivery(v.x.ID()).Answer(&Answer{Status: 200, Trailers: []Field{{"A", "b"}}}, nil); got != Conflict {
			t.Errorf("the answer with a trailer = %v, want conflict", got)
		}
		v.answered(200)
	})
}

func TestAPartNeedsABeginning(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		v := s.visit("GET")
		s.one(one, nil)
		if _, err := one.Delivery(v.x.ID()).Part(t.Context(), Part{Seq: 1}); !errors.Is(err, ErrNotAnswering) {
			t.Errorf("part = %v, want ErrNotAnswering", err)
		}
		if _, _, err := one.Delivery(v.x.ID()).Stream(Coming{}); !errors.Is(err, ErrNotAnswering) {
			t.Errorf("stream = %v, want ErrNotAnswering", err)
		}
		if _, err := one.Delivery(v.x.ID()).Abort(); err != nil {
			t.Fatal(err)
		}
		v.failed(Failed, ErrHandlerFailed, HandedYes)
		if got, err := one.Delivery(v.x.ID()).Part(t.Context(), Part{Seq: 1}); got != Conflict || err != nil {
			t.Errorf("part after an abort = %v %v, want conflict", got, err)
		}
	})
}

func TestPartsAndStreamsExcludeEachOther(t *testing.T) {
	inStream(t, func(t *testing.T, s *scene, v *streamed) {
		v.part(1, "a", true, Accepted)
		if _, _, err := v.s.Delivery(v.x.ID()).Stream(Coming{}); !errors.Is(err, ErrNotAnswering) {
			t.Errorf("stream after a part = %v, want ErrNotAnswering", err)
		}
		raw := s.stream("GET")
		w, _, err := raw.s.Delivery(raw.x.ID()).Stream(Coming{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := raw.s.Delivery(raw.x.ID()).Part(t.Context(), Part{Seq: 1}); !errors.Is(err, ErrNotAnswering) {
			t.Errorf("part after a stream = %v, want ErrNotAnswering", err)
		}
		if _, _, err := raw.s.Delivery(raw.x.ID()).Stream(Coming{}); !errors.Is(err, ErrNotAnswering) {
			t.Errorf("second stream = %v, want ErrNotAnswering", err)
		}
		if !w.Write(t.Context(), []byte("x")) {
			t.Error("nobody wants more")
		}
		got := make(chan Result)
		go func() { got <- w.Close(t.Context(), false, nil) }()
		for err := error(nil); err == nil; {
			_, err = raw.next()
		}
		if r := <-got; r != Accepted {
			t.Errorf("close = %v, want accepted", r)
		}
		raw.ended(Done)
		v.leave()
		v.cut(Abandoned, ErrVisitorGone)
	})
}

func TestAnEndBetweenWritesIsReportedOnce(t *testing.T) {
	inStream(t, func(t *testing.T, _ *scene, v *streamed) {
		v.part(1, "a", true, Accepted)
		if got, err := v.next(); got != "a" || err != nil {
			t.Fatalf("next = %q %v", got, err)
		}
		if _, err := v.s.Delivery(v.x.ID()).Abort(); err != nil {
			t.Fatal(err)
		}
		v.x.Fail(ErrVisitorGone) // its door could not write either
		v.ended(Failed)
		if got, _ := v.s.Delivery(v.x.ID()).Abort(); got != Duplicate {
			t.Errorf("the abort again = %v, want duplicate", got)
		}
	})
}

func TestTheSessionIsInformedOfAVisitorWhoLeaves(t *testing.T) {
	inStream(t, func(t *testing.T, s *scene, v *streamed) {
		v.leave()
		v.cut(Abandoned, ErrVisitorGone)
		b := s.take(v.s, nil)
		if b == nil || len(b.Messages) != 1 || b.Messages[0].Cancel != CancelVisitorGone {
			t.Errorf("batch = %+v, want the cancellation", b)
		}
		v.part(1, "a", false, Late)
	})
}

func TestTheTimeBetweenPartsEndsTheAnswer(t *testing.T) {
	inStream(t, func(t *testing.T, s *scene, v *streamed) {
		poll := park(v.s, nil, time.Hour)
		defer func() { poll.stop(); <-poll.done }()
		start := time.Now()
		go func() {
			time.Sleep(59 * time.Second)
			v.part(1, "", true, Accepted) // an empty part counts
		}()
		go func() { // the session lives
			for range 8 {
				time.Sleep(20 * time.Second)
				park(v.s, nil, time.Hour)
			}
		}()
		v.cut(TimedOut, ErrHandlerTimeout)
		if took := time.Since(start); took != 119*time.Second {
			t.Errorf("the answer ended after %s, want 119s", took)
		}
		v.part(2, "", true, Late)
		time.Sleep(2 * time.Minute)
	})
}

func TestTheTimeBetweenPartsExcludesTheVisitorsOwn(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		v := s.stream("GET")
		v.part(1, "a", true, Accepted)
		if _, err := v.next(); err != nil {
			t.Fatal(err)
		}
		held := v.send(t.Context(), 2, make([]byte, window+1))
		time.Sleep(5 * time.Minute) // it takes the first
		if !held.waits() {
			t.Fatal("the sender does not wait")
		}
		if got, err := v.next(); err != nil || len(got) != window+1 {
			t.Fatalf("next = %d bytes %v, want the second part", len(got), err)
		}
		time.Sleep(8 * time.Second)
		if held.waits() || held.result != Accepted || v.s.gone == ErrSessionFenced {
			t.Fatalf("the sender heard %v, and its session is %v", held.result, v.s.gone)
		}
		go func() {
			time.Sleep(time.Second)
			v.part(3, "c", false, Accepted)
		}()
		if got, err := v.next(); got != "c" || err != nil {
			t.Errorf("next = %q %v, want the last part: the time counts from here", got, err)
		}
		if _, err := v.next(); err != io.EOF {
			t.Errorf("next = %v, want the end", err)
		}
	})
}

func TestAnAnswerThatBeginsAtTheLastMomentStays(t *testing.T) {
	inStream(t, func(t *testing.T, s *scene, v *streamed) {
		s.claim.mu.Lock()
		v.x.due.look() // the timer of Do, beside the answer
		s.claim.mu.Unlock()
		v.part(1, "a", false, Accepted)
		if got, err := v.next(); got != "a" || err != nil {
			t.Errorf("next = %q %v, want the part", got, err)
		}
		if _, err := v.next(); err != io.EOF {
			t.Errorf("next = %v, want the end", err)
		}
	})
}

func TestALostSessionCutsItsStreams(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		s.session(Settings{Redeliver: new(RedeliverAny)})
		v := s.stream("GET")
		start := time.Now()
		v.cut(Failed, ErrSessionLost)
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("cut after %s, want 10s", took)
		}
		if _, err := v.s.Delivery(v.x.ID()).Part(t.Context(), Part{Seq: 1}); !errors.Is(err, ErrSessionFenced) {
			t.Errorf("part = %v, want ErrSessionFenced", err)
		}
		if _, _, err := v.s.Delivery(v.x.ID()).Stream(Coming{}); !errors.Is(err, ErrSessionFenced) {
			t.Errorf("stream = %v, want ErrSessionFenced", err)
		}
	})
}

func TestPartsKeepASessionAlive(t *testing.T) {
	inStream(t, func(_ *testing.T, _ *scene, v *streamed) {
		for i := range 6 {
			time.Sleep(9 * time.Second)
			v.part(i+1, "a", i < 5, Accepted)
			_, _ = v.next()
		}
		_, _ = v.next()
		v.ended(Done)
	})
}

func TestWorkKeepsASessionAlive(t *testing.T) {
	inStream(t, func(t *testing.T, _ *scene, v *streamed) {
		done := v.s.Work(context.Background())
		time.Sleep(30 * time.Second)
		v.part(1, "a", true, Accepted)
		done()
		_, _ = v.next()
		start := time.Now()
		v.cut(Failed, ErrSessionLost)
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("lost after %s, want 10s: work has ended", took)
		}
	})
}

func TestAStreamOutlivesItsClaimAndADrain(t *testing.T) {
	for name, end := range map[string]func(s *scene){
		"deleted":  func(s *scene) { s.claim.Delete() },
		"draining": func(s *scene) { s.Drain(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			inStream(t, func(t *testing.T, s *scene, v *streamed) {
				v.part(1, "a", true, Accepted)
				end(s)
				v.part(2, "b", false, Accepted)
				if got, err := v.next(); got != "ab" || err != nil {
					t.Errorf("next = %q %v, want both parts", got, err)
				}
				if _, err := v.next(); err != io.EOF {
					t.Errorf("next = %v, want the end", err)
				}
			})
		})
	}
}
