package claim

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// bed allows a number of naps, on a timer like that of a read.
type bed struct {
	timer *time.Timer
	times int
}

func (b *bed) Until(t time.Time) { b.timer.Reset(time.Until(t)) }
func (b *bed) Rouse()            { b.timer.Reset(0) }

func (b *bed) Nap() bool {
	<-b.timer.C
	b.times--
	return b.times > 0
}

// A poll may be awaited alternately on a channel and in naps, and loses nothing in between.
func TestAPollCanBeAwaitedOnAChannelAndInNaps(t *testing.T) {
	for name, naps := range map[string]int{"by naps": 1_000, "by one nap, then on a channel": 1} {
		t.Run(name, func(t *testing.T) {
			inScene(t, Options{}, func(t *testing.T, s *scene) {
				one := s.session()
				open, err := one.Open(new(cursorOf(one.id, 0)), time.Minute, Flow{Stream: true})
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				start, give := time.Now(), func(b *Batch) { got = append(got, ids(b)...) }
				if over, err := open.Listen(t.Context(), start.Add(time.Second), nil, give); over || err != nil {
					t.Fatalf("after a second over = %v, %v, want that it goes on", over, err)
				}
				first := s.visit("GET") // while nobody waits
				by := &bed{time.NewTimer(time.Hour), naps}
				done := make(chan struct{})
				go func() {
					defer close(done)
					over, err := open.Listen(t.Context(), start.Add(time.Hour), by, give)
					if took := time.Since(start); !over || err != nil || took < 3*time.Second {
						t.Errorf("after %s over = %v, %v, want the end", took, over, err)
					}
				}()
				time.Sleep(time.Second)
				second := s.visit("GET")
				synctest.Wait()
				if want := []string{first.x.ID(), second.x.ID()}; !slices.Equal(got, want) {
					t.Errorf("given %v, want %v", got, want)
				}
				time.Sleep(time.Second)
				s.answer(one, first.x, 200, Accepted)
				s.answer(one, second.x, 200, Accepted)
				<-done
				if n := s.Registry.Stats().Polls; n != 0 {
					t.Errorf("%d polls are open, want none", n)
				}
			})
		})
	}
}

func TestANapEndsWhenTheGatewayStops(t *testing.T) {
	for name, naps := range map[string]int{"by naps": 1_000, "by one nap, then on a channel": 1} {
		t.Run(name, func(t *testing.T) {
			inScene(t, Options{}, func(t *testing.T, s *scene) {
				one := s.session()
				open, err := one.Open(nil, 20*time.Second, Flow{})
				if err != nil {
					t.Fatal(err)
				}
				by := &bed{time.NewTimer(time.Hour), naps}
				done := make(chan struct{})
				go func() {
					defer close(done)
					start := time.Now()
					if b, over, err := open.Next(context.Background(), start.Add(time.Hour), by); b != nil || !over || !errors.Is(err, ErrDraining) {
						t.Errorf("it ends with %v, %v, %v, want ErrDraining", b, over, err)
					}
					if took := time.Since(start); took > s.Registry.Options().Times.Spread {
						t.Errorf("it ended after %s, want %s at most", took, s.Registry.Options().Times.Spread)
					}
				}()
				synctest.Wait()
				s.Registry.Drain(nil)
				<-done
			})
		})
	}
}
