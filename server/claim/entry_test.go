package claim

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// beside is the node that accepted a request.
type beside struct {
	before *Note
	notes  []Note
	err    error // of the next note
}

func (b *beside) Note(n Note, _ bool) error {
	b.notes = append(b.notes, n)
	return b.err
}

func (b *beside) Before() *Note { return b.before }

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
