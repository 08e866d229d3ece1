package claim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// sight is a tap that keeps what it sees, by exchange.
type sight struct {
	claim *Claim

	mu     sync.Mutex // guards below
	events map[string][]Event
	seeing map[string]int // running calls
	faults []string
	block  chan struct{} // nil, or a channel for which the first event of an exchange waits
}

// watched lets a tap see demo.
func (s *scene) watched() *sight {
	k := &sight{claim: s.claim, events: map[string][]Event{}, seeing: map[string]int{}}
	setTap(s.claim, k)
	return k
}

func (k *sight) See(e Event) {
	id := e.Exchange.ID()
	k.claim.State() // it locks the claim, so it would deadlock if the caller held that lock
	e.Content = bytes.Clone(e.Content)
	k.mu.Lock()
	if k.seeing[id]++; k.seeing[id] > 1 {
		k.faults = append(k.faults, fmt.Sprintf("two events of %s at once", id))
	}
	seen := k.events[id]
	if e.Number != len(seen)+1 {
		k.faults = append(k.faults, fmt.Sprintf("event %d of %s has the number %d", len(seen)+1, id, e.Number))
	}
	if n := len(seen); n > 0 && (seen[n-1].Kind == EventEnded || e.At.Before(seen[n-1].At)) {
		k.faults = append(k.faults, fmt.Sprintf("%s at %s after %s at %s", e.Kind, e.At, seen[n-1].Kind, seen[n-1].At))
	}
	k.events[id] = append(seen, e)
	block := k.block
	k.mu.Unlock()
	if block != nil && e.Number == 1 {
		<-block
	}
	k.mu.Lock()
	k.seeing[id]--
	k.mu.Unlock()
}

// of returns the events of an exchange, one a line.
func (k *sight) of(x *Exchange) []string {
	synctest.Wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	out := slices.Clone(k.faults)
	for _, e := range k.events[x.ID()] {
		line := string(e.Kind)
		switch e.Kind {
		case EventSent, EventReceived:
			line += " " + string(e.Content)
		case EventDelivered:
			line += fmt.Sprintf(" %d to %s", e.Attempt, e.Session)
		case EventAnswered:
			line += fmt.Sprintf(" %d %v", e.Status, e.Fields)
		case EventEnded:
			line += fmt.Sprintf(" %s %v", e.Outcome, e.Fields)
			if e.Failure != nil {
				line += fmt.Sprintf(" %v", errors.Unwrap(e.Failure))
			}
		}
		out = append(out, line)
	}
	return out
}

// saw fails the test unless the tap saw these events of an exchange.
func (k *sight) saw(t *testing.T, x *Exchange, want ...string) {
	t.Helper()
	if got := k.of(x); !slices.Equal(got, want) {
		t.Errorf("the tap saw\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func TestATapSeesAWholeExchange(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		k := s.watched()
		v := s.request(&Request{Method: "POST", Content: Whole([]byte("question"))})
		k.saw(t, v.x, "asked", "sent question")
		s.one(one, nil)
		a := &Answer{Status: 200, Fields: []Field{{"A", "b"}}, Content: []byte("answer"), Trailers: []Field{{"C", "d"}}}
		if got, err := one.Delivery(v.x.ID()).Answer(a, nil); got != Accepted || err != nil {
			t.Fatalf("answer = %v %v", got, err)
		}
		v.answered(200)
		k.saw(t, v.x, "asked", "sent question", "delivered 1 to "+one.ID(), "answered 200 [{A b}]", "received answer", "ended done [{C d}]")
	})
}

func TestATapSeesContentAsItPasses(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		k := s.watched()
		from := &source{parts: [][]byte{[]byte("one"), []byte("two")}, length: -1}
		v := s.request(&Request{Method: "POST", Content: Streamed(from)})
		s.one(one, nil)
		content, err := one.Delivery(v.x.ID()).Fetch()
		if err != nil {
			t.Fatal(err)
		}
		in, buf := content.Open(), make([]byte, 3)
		if _, err := io.ReadFull(in, buf); err != nil {
			t.Fatal(err)
		}
		if got, err := one.Delivery(v.x.ID()).Answer(&Answer{Status: 201, More: true, Content: []byte("begins")}, nil); got != Accepted || err != nil {
			t.Fatalf("answer = %v %v", got, err)
		}
		if _, err := io.ReadFull(in, buf); err != nil {
			t.Fatal(err)
		}
		w, _, err := one.Delivery(v.x.ID()).Stream(Coming{})
		if err != nil {
			t.Fatal(err)
		}
		if !w.Write(t.Context(), []byte("goes on")) {
			t.Fatal("the visitor is gone")
		}
		k.saw(t, v.x, "asked", "delivered 1 to "+one.ID(), "sent one", "answered 201 []", "received begins", "sent two", "received goes on")
		closed := make(chan Result, 1)
		go func() { closed <- w.Close(t.Context(), false, []Field{{"C", "d"}}) }()
		<-v.done
		for err = nil; err == nil; {
			_, err = v.x.Next(t.Context())
		}
		if err != io.EOF || <-closed != Accepted {
			t.Errorf("the answer ended with %v", err)
		}
		if got := k.of(v.x); got[len(got)-1] != "ended done [{C d}]" || len(got) != 8 {
			t.Errorf("the tap saw %q, want the end last", got)
		}
	})
}

func TestATapSeesEveryAttemptAndHowItEnds(t *testing.T) {
	take := func(s *scene, from *Session) string {
		s.one(from, new(cursorOf(from.id, 0)))
		return from.ID()
	}
	for name, c := range map[string]func(t *testing.T, s *scene, k *sight, one, other *Session){
		"a session is lost and the exchange moves on": func(t *testing.T, s *scene, k *sight, one, other *Session) {
			v := s.visit("GET")
			first := take(s, one)
			p := park(other, nil, time.Minute)
			time.Sleep(20 * time.Second)
			if p.open() {
				t.Fatal("the other session got nothing")
			}
			s.answer(other, v.x, 200, Accepted)
			v.answered(200)
			k.saw(t, v.x, "asked", "delivered 1 to "+first, "delivered 2 to "+other.ID(), "answered 200 []", "ended done []")
		},
		"a poll that was lost": func(t *testing.T, s *scene, k *sight, one, _ *Session) {
			v := s.visit("POST")
			first, again := take(s, one), take(s, one)
			s.answer(one, v.x, 204, Accepted)
			v.answered(204)
			k.saw(t, v.x, "asked", "delivered 1 to "+first, "delivered 2 to "+again, "answered 204 []", "ended done []")
		},
		"a session is lost and the exchange may not move on": func(t *testing.T, s *scene, k *sight, one, _ *Session) {
			v := s.visit("POST")
			first := take(s, one)
			time.Sleep(10 * time.Second)
			v.failed(Failed, ErrSessionLost, HandedUnknown)
			k.saw(t, v.x, "asked", "delivered 1 to "+first, "ended failed [] claim: the session was lost")
		},
		"an answer is cut": func(t *testing.T, s *scene, k *sight, one, _ *Session) {
			v := s.visit("GET")
			first := take(s, one)
			if _, err := one.Delivery(v.x.ID()).Answer(&Answer{Status: 200, More: true, Trailers: []Field{{"C", "d"}}}, nil); err != nil {
				t.Fatal(err)
			}
			if got, err := one.Delivery(v.x.ID()).Part(t.Context(), Part{Seq: 1, Content: []byte("half"), More: true}); got != Accepted || err != nil {
				t.Fatalf("part = %v %v", got, err)
			}
			if got, err := one.Delivery(v.x.ID()).Abort(); got != Accepted || err != nil {
				t.Fatalf("abort = %v %v", got, err)
			}
			(&streamed{visit: v, s: one, ctx: t.Context()}).cut(Failed, ErrHandlerFailed)
			k.saw(t, v.x, "asked", "delivered 1 to "+first, "answered 200 []", "received half", "ended failed [] claim: the handler gave up")
		},
		"the visitor leaves": func(t *testing.T, s *scene, k *sight, one, _ *Session) {
			v := s.visit("GET")
			first := take(s, one)
			v.leave()
			v.failed(Abandoned, ErrVisitorGone, HandedUnknown)
			s.answer(one, v.x, 200, Late)
			k.saw(t, v.x, "asked", "delivered 1 to "+first, "ended abandoned [] claim: the visitor left")
		},
		"content breaks off, and what is read later is not seen": func(t *testing.T, s *scene, k *sight, one, _ *Session) {
			v := s.request(&Request{Method: "POST", Content: Streamed(&source{parts: [][]byte{[]byte("late")}})})
			first := take(s, one)
			content, err := one.Delivery(v.x.ID()).Fetch()
			if err != nil {
				t.Fatal(err)
			}
			v.x.Reject(ErrTooSlow)
			v.failed(Failed, ErrTooSlow, HandedYes)
			if got, err := io.ReadAll(content.Open()); string(got) != "late" || err != nil {
				t.Errorf("read %q %v", got, err)
			}
			k.saw(t, v.x, "asked", "delivered 1 to "+first, "ended failed [] budget: the peer was too slow")
		},
		"nobody polls": func(t *testing.T, s *scene, k *sight, _, _ *Session) {
			v := s.visit("GET")
			time.Sleep(10 * time.Second)
			v.failed(Failed, ErrNoHandler, HandedNo)
			k.saw(t, v.x, "asked", "ended failed [] claim: no session polls")
		},
		"the claim ends": func(t *testing.T, s *scene, k *sight, _, _ *Session) {
			v := s.visit("GET")
			if err := s.claim.Delete(); err != nil {
				t.Fatal(err)
			}
			v.failed(Failed, ErrNoClaim, HandedNo)
			k.saw(t, v.x, "asked", "ended failed [] claim: no such claim")
		},
		"it is evicted before it was asked": func(t *testing.T, s *scene, k *sight, _, _ *Session) {
			x, err := s.claim.Begin(s.budget.Open(netip.Addr{}), nil)
			if err != nil {
				t.Fatal(err)
			}
			x.Reject(ErrTooSlow)
			if _, err := x.Do(t.Context(), &Request{Method: "GET"}); !errors.Is(err, ErrTooSlow) {
				t.Errorf("do = %v, want ErrTooSlow", err)
			}
			k.saw(t, x)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inScene(t, Options{}, func(t *testing.T, s *scene) {
				one, other := s.session(), s.session()
				c(t, s, s.watched(), one, other)
			})
		})
	}
}

func TestATapSeesOnlyExchangesThatBeginMeanwhile(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		answer := func(v *visit) {
			s.one(one, nil)
			s.answer(one, v.x, 200, Accepted)
			v.answered(200)
		}
		before := s.visit("GET")
		k := s.watched()
		answer(before)
		during := s.visit("GET")
		setTap(s.claim, nil)
		answer(during)
		after := s.visit("GET")
		answer(after)
		k.saw(t, before.x)
		k.saw(t, during.x, "asked", "delivered 1 to "+one.ID(), "answered 200 []", "ended done []")
		k.saw(t, after.x)
	})
}

func TestALateTapGetsTheContentThatPassed(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		k := s.watched()
		k.block = make(chan struct{})
		from := &source{parts: [][]byte{[]byte("abc"), []byte("xyz")}, length: 6}
		v := s.request(&Request{Method: "POST", Content: Streamed(from)}) // it waits for the tap
		s.one(one, nil)
		content, err := one.Delivery(v.x.ID()).Fetch()
		if err != nil {
			t.Fatal(err)
		}
		in, buf := content.Open(), make([]byte, 3)
		for range 2 {
			if _, err := io.ReadFull(in, buf); err != nil {
				t.Fatal(err)
			}
		}
		clear(buf)
		k.saw(t, v.x, "asked")
		close(k.block)
		k.saw(t, v.x, "asked", "delivered 1 to "+one.ID(), "sent abc", "sent xyz")
		s.answer(one, v.x, 200, Accepted)
		v.answered(200)
	})
}

func TestATapSeesConcurrentExchanges(t *testing.T) {
	const visitors, parts = 8, 40
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		k := s.watched()
		var all sync.WaitGroup
		var visits []*visit
		for range visitors {
			from := &source{length: -1}
			for i := range parts {
				from.parts = append(from.parts, fmt.Appendf(nil, "<%d>", i))
			}
			visits = append(visits, s.request(&Request{Method: "POST", Content: Streamed(from)}))
		}
		var want strings.Builder
		for i := range parts {
			fmt.Fprintf(&want, "<%d>", i)
		}
		b := s.take(one, nil)
		for i, m := range b.Messages {
			x, v := m.Exchange, visits[slices.IndexFunc(visits, func(v *visit) bool { return v.x == m.Exchange })]
			if _, err := one.Delivery(x.ID()).Answer(&Answer{Status: 200, More: true}, nil); err != nil {
				t.Fatal(err)
			}
			content, err := one.Delivery(x.ID()).Fetch()
			if err != nil {
				t.Fatal(err)
			}
			w, _, err := one.Delivery(x.ID()).Stream(Coming{})
			if err != nil {
				t.Fatal(err)
			}
			all.Go(func() { // the program takes what the visitor sends
				var err error
				buf := make([]byte, 8)
				for in := content.Open(); err == nil; _, err = in.Read(buf) {
				}
			})
			all.Go(func() { // and answers meanwhile
				for n := range parts {
					if !w.Write(t.Context(), fmt.Appendf(nil, "<%d>", n)) {
						t.Error("the visitor is gone")
					}
				}
				if i%2 == 0 {
					w.Close(t.Context(), false, nil)
				} else {
					_, _ = one.Delivery(x.ID()).Abort()
				}
			})
			all.Go(func() {
				<-v.done
				var err error
				for err == nil {
					_, err = v.x.Next(context.Background())
				}
			})
		}
		all.Wait()
		for _, v := range visits {
			var sent, received strings.Builder
			ends := 0
			k.of(v.x)
			for _, e := range k.events[v.x.ID()] {
				switch e.Kind {
				case EventSent:
					sent.Write(e.Content)
				case EventReceived:
					received.Write(e.Content)
				case EventEnded:
					ends++
				}
			}
			if received.String() != want.String() || !strings.HasPrefix(want.String(), sent.String()) || ends != 1 {
				t.Errorf("the tap saw %q sent, %q received and %d ends, want all of the answer and one end", sent.String(), received.String(), ends)
			}
		}
		if len(k.faults) > 0 {
			t.Errorf("the tap saw\n\t%s", strings.Join(k.faults, "\n\t"))
		}
	})
}

func TestAnExchangeWithoutATapHasNoCostForIt(t *testing.T) {
	var w *watch
	a := &Answer{Status: 200, Content: []byte("content")}
	if n := testing.AllocsPerRun(100, func() {
		w.sent(a.Content)
		w.delivered(nil)
		w.answered(a)
		w.received(a.Content)
		w.ended(a)
	}); n != 0 {
		t.Errorf("%v allocations where nobody watches, want none", n)
	}
}

// discard is a tap that keeps nothing.
type discard struct{}

func (discard) See(Event) {}

// setTap lets t see the exchanges of a claim that begin from now on.
func setTap(c *Claim, t Tap) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tap = t
}
