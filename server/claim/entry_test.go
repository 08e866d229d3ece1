package claim

import (
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// beside is the node that accepted a request.
type beside struct {
	before *Note
	notes  []Note
	err    error                  // of the next note
	say    func(taken func(bool)) // says whether it has an answer; nil says at once that it has
}

func (b *beside) Note(n Note, _ bool) error {
	b.notes = append(b.notes, n)
	return b.err
}

func (b *beside) Before() *Note { return b.before }

func (b *beside) Taken(f func(taken bool)) {
	if b.say != nil {
		b.say(f)
	} else {
		f(true)
	}
}

// shown is the session that programs of these tests show.
var shown = strings.Repeat("a", nameLength)

// inTakeover runs a test with a claim that was just taken over from another node.
func inTakeover(t *testing.T, test func(t *testing.T, s *scene)) {
	t.Helper()
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		kept := Kept{Record: Record{Label: "demo", Token: HashToken("t0"), Terms: Terms{Lease: time.Minute, Timeout: time.Minute, Redeliver: RedeliverIdempotent}}}
		var err error
		if kept.Revision, err = s.options.Records.Create(t.Context(), kept.Record); err != nil {
			t.Fatal(err)
		}
		if err := Take(t.Context(), s.Registry, kept); err != nil {
			t.Fatal(err)
		}
		s.claim = s.Lookup("demo")
		test(t, s)
	})
}

// resumed sends a POST that the shown session had as a message of another node.
func (s *scene) resumed(id string, number uint64) *visit {
	s.t.Helper()
	return s.request(&Request{Method: "POST", Target: "/", Entry: &beside{before: &Note{ID: id, Attempt: 1, Session: shown, Number: number}}})
}

// adopt adopts the shown session.
func (s *scene) adopt() *Session {
	s.t.Helper()
	one := Adopt(s.claim, shown)
	if one == nil {
		s.t.Fatal("the session is not adopted")
	}
	return one
}

func TestARequestThatItsProgramHasIsNotDeliveredAgain(t *testing.T) {
	inTakeover(t, func(t *testing.T, s *scene) {
		early := s.resumed("other-1", 4)
		one := s.adopt()
		if b := s.take(one, new(cursorOf(shown, 5))); b != nil {
			t.Fatalf("batch = %v, want none", ids(b))
		}
		late := s.resumed("other-2", 5)
		if b := s.take(one, new(cursorOf(shown, 5))); b != nil {
			t.Fatalf("batch = %v, want none", ids(b))
		}
		s.answer(one, early.x, 200, Accepted)
		s.answer(one, late.x, 201, Accepted)
		early.answered(200)
		late.answered(201)
	})
}

func TestARequestThatItsProgramNeverHadIsDeliveredAgain(t *testing.T) {
	inTakeover(t, func(t *testing.T, s *scene) {
		early := s.resumed("other-1", 7)
		one := s.adopt()
		m, cursor := s.one(one, new(cursorOf(shown, 5)))
		if m.ID != "other-1" || m.Attempt != 2 {
			t.Errorf("%s, attempt %d; want other-1, attempt 2", m.ID, m.Attempt)
		}
		s.answer(one, early.x, 200, Accepted)
		early.answered(200)
		// Messages of this node have numbers that the other one used for what never arrived.
		fresh := s.visit("POST")
		_, cursor = s.one(one, &cursor)
		late := s.resumed("other-2", 6)
		if m, _ := s.one(one, &cursor); m.ID != "other-2" {
			t.Errorf("%s, want other-2", m.ID)
		}
		for _, v := range []*visit{fresh, late} {
			s.answer(one, v.x, 200, Accepted)
			v.answered(200)
		}
	})
}

func TestARequestIsLostWithASessionThatDoesNotComeBack(t *testing.T) {
	inTakeover(t, func(t *testing.T, s *scene) {
		v := s.resumed("other-1", 4)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		v.failed(Failed, ErrSessionLost, HandedUnknown)
	})
}

func TestNoRequestIsHandedOverWithoutConsentOfItsEntry(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		entry := &beside{}
		v := s.request(&Request{Method: "POST", Target: "/", Entry: entry})
		m, cursor := s.one(one, nil)
		if want := (Note{ID: m.ID, Attempt: 1, Session: one.id, Number: 1}); len(entry.notes) != 1 || !reflect.DeepEqual(entry.notes[0], want) {
			t.Errorf("notes %+v, want %+v", entry.notes, want)
		}
		s.answer(one, v.x, 200, Accepted)
		v.answered(200)
		gone := s.request(&Request{Method: "POST", Target: "/", Entry: &beside{err: errors.New("gone")}})
		if b := s.take(one, &cursor); b != nil && (len(b.Messages) != 1 || b.Messages[0].Cancel == "") {
			t.Errorf("batch = %v, want a cancellation at most", ids(b))
		}
		gone.failed(Failed, ErrVisitorGone, HandedUnknown)
	})
}

func TestTheExchangesOfADeposedClaimMoveWithIt(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		queued := s.visit("GET")
		m, cursor := s.one(one, nil)
		second := s.visit("POST")
		s.one(one, &cursor)
		third := s.visit("GET")
		synctest.Wait()
		if !Settled(s.claim) || !Keeps(s.Registry, "demo") {
			t.Fatal("exchanges whose content is here are not settled")
		}
		Depose(s.Registry, "demo")
		synctest.Wait()
		if Keeps(s.Registry, "demo") {
			t.Error("the claim is still kept")
		}
		for _, v := range []*visit{queued, second, third} {
			f, is := errors.AsType[*Failure](v.err)
			if !is || f.Err != ErrMoved || f.Before == nil || f.Before.ID != v.x.ID() {
				t.Errorf("%v", v.err)
			}
		}
		if _, err := one.Delivery(m.ID).Answer(&Answer{Status: 200}, nil); err != ErrMoved {
			t.Errorf("an answer after that: %v, want %v", err, ErrMoved)
		}
		if b, err := one.Poll(t.Context(), nil, time.Minute, 0); b != nil || err != ErrMoved {
			t.Errorf("a poll after that: %v, %v; want %v", b, err, ErrMoved)
		}
	})
}

func TestAnAnswerIsAcceptedOnceItsEntryHasIt(t *testing.T) {
	for what, c := range map[string]struct {
		taken, moves bool
		want         Result
		err          error
		repeated     Result
	}{
		"it has":                       {true, false, Accepted, nil, Duplicate},
		"it has not":                   {false, false, Late, nil, Late},
		"it has not, for another home": {false, true, Unknown, ErrMoved, Late},
	} {
		for _, more := range []bool{false, true} {
			inScene(t, Options{}, func(t *testing.T, s *scene) {
				said := make(chan func(bool), 2)
				one := s.session()
				v := s.request(&Request{Method: "POST", Target: "/", Entry: &beside{say: func(f func(bool)) { said <- f }}})
				s.one(one, nil)
				var got Result
				var err error
				over := make(chan struct{})
				go func() {
					defer close(over)
					got, err = one.Delivery(v.x.ID()).Answer(&Answer{Status: 200, More: more}, nil)
				}()
				synctest.Wait()
				select {
				case <-over:
					t.Errorf("%s, more: %v: %v, %v before the entry said anything", what, more, got, err)
				default:
				}
				if c.moves {
					Depose(s.Registry, "demo")
				}
				(<-said)(c.taken)
				if <-over; got != c.want || err != c.err {
					t.Errorf("%s, more: %v: %v, %v; want %v, %v", what, more, got, err, c.want, c.err)
				}
				if got, _ := one.Delivery(v.x.ID()).Answer(&Answer{Status: 200, More: more}, nil); !c.moves && got != c.repeated {
					t.Errorf("%s, more: %v: again %v, want %v", what, more, got, c.repeated)
				}
				_, _ = one.Delivery(v.x.ID()).Abort()
			})
		}
	}
}

// doubted has a session take a request from another node, which says by say whether it has the answer.
func (s *scene) doubted() (one *Session, v *visit, say func(taken bool)) {
	s.t.Helper()
	var said func(bool)
	one = s.session()
	v = s.request(&Request{Method: "POST", Target: "/", Entry: &beside{say: func(f func(bool)) { said = f }}})
	s.one(one, nil)
	return one, v, func(taken bool) { said(taken) }
}

func TestARepeatedAnswerSharesTheDoubtAboutTheFirst(t *testing.T) {
	for taken, want := range map[bool][]Result{true: {Accepted, Duplicate, Duplicate}, false: {Late, Late, Late}} {
		inScene(t, Options{}, func(t *testing.T, s *scene) {
			one, v, say := s.doubted()
			var got []Result
			var mu sync.Mutex // guards got
			var answering sync.WaitGroup
			for range want {
				answering.Go(func() {
					result, err := one.Delivery(v.x.ID()).Answer(&Answer{Status: 200}, nil)
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					got = append(got, result)
				})
				synctest.Wait() // the first comes first
			}
			if len(got) > 0 {
				t.Errorf("%v before the entry said anything", got)
			}
			say(taken)
			answering.Wait()
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("taken: %v: %v, want %v", taken, got, want)
			}
			if len(one.tombs.doubts) > 0 {
				t.Errorf("%d doubts are kept", len(one.tombs.doubts))
			}
		})
	}
}

func TestFewRepeatsShareADoubt(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one, v, say := s.doubted()
		waits := 0
		for i := range 10 * mostRepeats {
			result, taken, err := Give(one.Delivery(v.x.ID()), &Answer{Status: 200}, nil)
			if want := map[bool]Result{true: Accepted, false: Duplicate}[i == 0]; result != want || err != nil {
				t.Fatalf("answer %d: %v, %v; want %v", i, result, err, want)
			}
			if taken != nil {
				waits++
			}
		}
		if waits != 1+mostRepeats {
			t.Errorf("%d answers wait, want the first and %d repeats", waits, mostRepeats)
		}
		say(true)
	})
}

func TestAnAnswerIsJudgedThoughItsProgramHasLeft(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one, v, say := s.doubted()
		if _, _, err := Give(one.Delivery(v.x.ID()), &Answer{Status: 200}, nil); err != nil {
			t.Fatal(err)
		}
		say(false)
		s.answer(one, v.x, 200, Late)
	})
}

func TestAnAnswerOnALinkIsConfirmedOnceItsEntryHasIt(t *testing.T) {
	for taken, want := range map[bool]Result{true: Accepted, false: Late} {
		inScene(t, Options{}, func(t *testing.T, s *scene) {
			var say func(bool)
			one, door := s.session(), &doorway{}
			link, err := one.Link(new(cursorOf(one.id, 0)), Flow{Stream: true}, door)
			if err != nil {
				t.Fatal(err)
			}
			defer link.Close(false)
			v := s.request(&Request{Method: "POST", Target: "/", Entry: &beside{say: func(f func(bool)) { say = f }}})
			synctest.Wait()
			if b, err := link.Take(); err != nil || len(ids(b)) != 1 {
				t.Fatal(ids(b), err)
			}
			if got, later, err := link.Answer(v.x.ID(), &Answer{Status: 200}, nil, Windows{}); got != Accepted || !later || err != nil {
				t.Fatalf("%v, later: %v, %v", got, later, err)
			}
			if early := door.confirmed(); len(early) > 0 {
				t.Errorf("%v before the entry said anything", early)
			}
			say(taken)
			if told := door.confirmed(); len(told) != 1 || told[0].ID != v.x.ID() || told[0].Result != want || !told[0].Whole || !slices.Equal(door.expected, []string{v.x.ID()}) {
				t.Errorf("taken: %v: %+v after %v, want %v", taken, told, door.expected, want)
			}
		})
	}
}

func TestPartsOnALinkAreConfirmedOnceTheirEntryHasTheAnswer(t *testing.T) {
	for taken, want := range map[bool]Result{true: Accepted, false: Late} {
		inScene(t, Options{}, func(t *testing.T, s *scene) {
			said := make(chan func(bool), 1)
			one, door := s.session(), &doorway{}
			link, err := one.Link(new(cursorOf(one.id, 0)), Flow{Stream: true}, door)
			if err != nil {
				t.Fatal(err)
			}
			defer link.Close(false)
			x, err := s.claim.Begin(s.budget.Open(netip.Addr{}), nil)
			if err != nil {
				t.Fatal(err)
			}
			var visiting sync.WaitGroup
			visiting.Go(func() {
				if _, err := x.Do(t.Context(), &Request{Method: "GET", Target: "/", Entry: &beside{say: func(f func(bool)) { said <- f }}}); err != nil {
					t.Error(err)
				}
				for err := error(nil); err == nil; {
					_, err = x.Next(t.Context())
				}
			})
			synctest.Wait()
			if b, err := link.Take(); err != nil || len(ids(b)) != 1 {
				t.Fatal(ids(b), err)
			}
			w := Windows{First: 1 << 10, Most: 1 << 10}
			if got, later, err := link.Answer(x.ID(), &Answer{Status: 200, More: true, Content: []byte("a")}, nil, w); got != Accepted || !later || err != nil {
				t.Fatalf("%v, later: %v, %v", got, later, err)
			}
			if got, later, err := link.Part(x.ID(), Part{Seq: 1, Content: []byte("b")}, w); got != Accepted || !later || err != nil {
				t.Fatalf("%v, later: %v, %v", got, later, err)
			}
			synctest.Wait()
			if early := door.confirmed(); len(early) > 0 {
				t.Errorf("%v before the entry said anything", early)
			}
			(<-said)(taken)
			visiting.Wait()
			for _, told := range door.confirmed() {
				if told.Result != want {
					t.Errorf("taken: %v: %+v, want %v", taken, told, want)
				}
			}
		})
	}
}

func TestAFeedEndsWithTheClaimThatMoves(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		feed, err := s.plain().Feed()
		if err != nil {
			t.Fatal(err)
		}
		defer feed.Close()
		go func() {
			synctest.Wait()
			Depose(s.Registry, "demo")
		}()
		if m, err := feed.Next(t.Context(), nil); m != nil || err != ErrMoved {
			t.Errorf("%v, %v; want %v", m, err, ErrMoved)
		}
	})
}
