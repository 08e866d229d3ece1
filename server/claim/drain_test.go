package claim

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// In every run: if the gateway reports no long exchange, none has been open for more than a second; and if all are
// short, it reports that soon.
func TestLongExchangesAreReported(t *testing.T) {
	for name, c := range map[string]struct {
		most time.Duration // that one is open
		said bool
	}{
		"short ones": {400 * time.Millisecond, true},
		"some long":  {5 * time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				type one struct {
					era         uint32
					begun, ends time.Time
				}
				var e eras
				open, looks, brief := []one(nil), 0, 0
				for range 20_000 {
					now := time.Now()
					for i := 0; i < len(open); i++ {
						if !open[i].ends.After(now) {
							e.end(open[i].era)
							open[i] = open[len(open)-1]
							open, i = open[:len(open)-1], i-1
						}
					}
					for len(open) < 8 { // never idle
						open = append(open, one{e.begin(), now, now.Add(rand.N(c.most) + time.Millisecond)})
					}
					looks++
					if !e.last() {
						brief++
						for _, x := range open {
							if age := now.Sub(x.begun); age > lasting {
								t.Fatalf("one is open for %s, and none is said to last", age)
							}
						}
					}
					time.Sleep(5 * time.Millisecond)
				}
				if c.said && brief < looks/10 {
					t.Errorf("at %d of %d looks none was said to last, want a tenth at least", brief, looks)
				}
			})
		})
	}
}

// The program of an upgraded connection is informed once that the gateway stops, and the gateway ends the connection
// later if the program does not. This also holds for a connection that is upgraded while the gateway stops.
func TestUpgradedConnectionsEndWhenTheGatewayStops(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		upgrade := &Request{Method: "GET", Upgrade: "websocket", Content: Streamed(&source{})}
		early := s.request(upgrade)
		m, cursor := s.one(one, new(cursorOf(one.id, 0)))
		slow := s.request(upgrade)
		n, cursor := s.one(one, &cursor)
		s.answerMore(one, m.Exchange)
		s.Drain(func() {
			s.told(one, &cursor, m.ID)
			s.answerMore(one, n.Exchange)
			s.told(one, &cursor, n.ID)
			if v := s.request(upgrade); v.err == nil {
				t.Error("another is upgraded while the gateway stops")
			} else {
				v.failed(Failed, ErrDraining, HandedNo)
			}
			time.Sleep(2 * time.Second)
			for _, v := range []*visit{early, slow} {
				synctest.Wait()
				if _, err := v.x.Next(t.Context()); err == nil {
					t.Error("it goes on after 2 s")
				}
			}
			if got, _ := one.Delivery(m.ID).Part(t.Context(), Part{Seq: 1}); got != Late {
				t.Errorf("what follows is %v, want late", got)
			}
		})
	})
}

// answerMore lets a session upgrade a connection.
func (s *scene) answerMore(one *Session, x *Exchange) {
	s.t.Helper()
	if got, err := one.Delivery(x.ID()).Answer(&Answer{Status: 101, More: true}, nil); got != Accepted || err != nil {
		s.t.Fatalf("101: %v %v", got, err)
	}
	synctest.Wait()
}

// told fails the test unless the session is informed exactly once that an exchange drains. It moves the cursor of the
// session.
func (s *scene) told(one *Session, cursor *string, id string) {
	s.t.Helper()
	b := s.take(one, cursor)
	if b == nil || len(b.Messages) != 1 || b.Messages[0].ID != id || b.Messages[0].Cancel != CancelDraining {
		s.t.Fatalf("batch = %+v, want that %s drains", b, id)
	}
	*cursor = b.Cursor
}
