package claim

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// doorway is the door of a link, whose program is a round trip away.
type doorway struct {
	away     time.Duration
	mu       sync.Mutex
	ready    int
	told     []Confirmation
	expected []string
}

func (d *doorway) Ready() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ready++
}

func (d *doorway) Confirmed(c Confirmation) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.told = append(d.told, c)
}

func (d *doorway) Expected(id string)       { d.expected = append(d.expected, id) }
func (d *doorway) Heard() time.Time         { return time.Now() }
func (d *doorway) RoundTrip() time.Duration { return d.away }

// confirmed takes the confirmations.
func (d *doorway) confirmed() []Confirmation {
	d.mu.Lock()
	defer d.mu.Unlock()
	told := d.told
	d.told = nil
	return told
}

// linked is a visitor of an answer that has begun on a link.
type linked struct {
	*streamed
	link *Link
	door *doorway
	seq  int
	w    Windows
}

// onLink returns a visitor whose answer has begun on a link.
func (s *scene) onLink(away time.Duration, w Windows) *linked {
	s.t.Helper()
	door := &doorway{away: away}
	one := s.session()
	link, err := one.Link(new(cursorOf(one.id, 0)), Flow{Stream: true}, door)
	if err != nil {
		s.t.Fatal(err)
	}
	if b, err := link.Take(); b != nil || err != nil {
		s.t.Fatalf("%+v %v, want nothing", b, err)
	}
	v := s.visit("GET")
	synctest.Wait()
	if b, err := link.Take(); err != nil || len(b.Messages) != 1 || door.ready == 0 {
		s.t.Fatalf("%+v %v, want the request", b, err)
	}
	if _, later, err := link.Answer(v.x.ID(), &Answer{Status: 200, More: true}, nil, w); !later || err != nil {
		s.t.Fatalf("begin: %v %v, want that it is confirmed", later, err)
	}
	<-v.done
	return &linked{&streamed{v, one, s.t.Context()}, link, door, 0, w}
}

// sends sends a part with content of a size.
func (l *linked) sends(n int, more bool) (Result, bool) {
	l.visit.s.t.Helper()
	l.seq++
	r, later, err := l.link.Part(l.x.ID(), Part{Seq: l.seq, Content: make([]byte, n), More: more}, l.w)
	if err != nil {
		l.visit.s.t.Fatal(err)
	}
	return r, later
}

// Neither content that the visitor has not read nor later content is confirmed, and content beyond the window ends the
// exchange.
func TestALinkConfirmsContentThatTheVisitorRead(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		l := s.onLink(0, Windows{1_000, 1_000})
		for _, n := range []int{600, 0, 400} {
			if r, later := l.sends(n, true); r != Accepted || !later {
				t.Fatalf("%s %v", r, later)
			}
		}
		if told := l.door.confirmed(); len(told) > 0 {
			t.Errorf("%+v, though the visitor asked for nothing", told)
		}
		if _, err := l.next(); err != nil {
			t.Fatal(err)
		}
		if told := l.door.confirmed(); len(told) != 1 || told[0].Seq != 0 {
			t.Errorf("%+v, though the visitor has only the beginning", told)
		}
		if r, later := l.sends(1, true); r != Conflict || later {
			t.Errorf("%s %v, want that too much ends it", r, later)
		}
		told := l.door.confirmed()
		if len(told) != 3 {
			t.Fatalf("%+v, want all parts", told)
		}
		for i, c := range told {
			if c.Seq != i+1 || c.Result != Accepted {
				t.Errorf("%+v, want that it was taken", c)
			}
		}
		l.cut(Failed, ErrHandlerFailed)
		l.link.Close(false)
	})
}

func TestALinkConfirmsTheEnd(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		l := s.onLink(0, Windows{1_000, 1_000})
		l.sends(10, true)
		l.sends(0, false)
		if content, err := l.next(); err != nil || len(content) != 10 {
			t.Fatalf("%q %v", content, err)
		}
		_, _ = l.next()
		told := l.door.confirmed()
		if len(told) != 3 || told[2] != (Confirmation{ID: l.x.ID(), Seq: 2, Result: Accepted}) {
			t.Errorf("%+v, want three", told)
		}
		l.ended(Done)
		l.link.Close(false)
	})
}

// A window that holds back a fast visitor is widened up to its bound, and one that a slow visitor holds back
// is not.
func TestALinkWidensTheWindowOfAQuickVisitor(t *testing.T) {
	for name, test := range map[string]struct {
		took time.Duration // to take half of the window
		want int
	}{
		"quick": {30 * time.Millisecond, 4_000},
		"slow":  {50 * time.Millisecond, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inScene(t, Options{}, func(t *testing.T, s *scene) {
				l := s.onLink(20*time.Millisecond, Windows{1_000, 4_000})
				window, widest := 1_000, 0
				for range 8 {
					if r, later := l.sends(window/2, true); r != Accepted || !later {
						t.Fatalf("%s %v", r, later)
					}
					time.Sleep(test.took)
					if _, err := l.next(); err != nil {
						t.Fatal(err)
					}
					for _, c := range l.door.confirmed() {
						if c.Window > 0 {
							window, widest = c.Window, c.Window
						}
					}
				}
				if widest != test.want {
					t.Errorf("a window of %d, want %d", widest, test.want)
				}
				l.sends(0, false)
				_, _ = l.next()
				l.link.Close(false)
			})
		})
	}
}

// Another link, or a POST, takes over unconfirmed messages: nothing is accepted twice.
func TestPartsOfALinkAreSentAgain(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		l := s.onLink(0, Windows{1_000, 1_000})
		l.sends(500, true)
		again := &doorway{}
		link, err := l.s.Link(nil, Flow{Stream: true}, again)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.link.Take(); err != ErrReplaced {
			t.Errorf("%v, want that it was replaced", err)
		}
		l.link.Close(false)
		l.link, l.seq = link, 0
		if r, later := l.sends(500, true); r != Duplicate || !later {
			t.Errorf("%s %v, want a duplicate, confirmed when it was taken", r, later)
		}
		content, err := l.next()
		if err != nil || len(content) != 500 {
			t.Errorf("%d %v, want 500 bytes once", len(content), err)
		}
		l.part(2, "rest", false, Accepted)
		if content, err := l.next(); err != nil || content != "rest" {
			t.Errorf("%q %v, want the rest", content, err)
		}
		_, _ = l.next()
		if told := again.confirmed(); len(told) != 1 || told[0].Result != Duplicate || told[0].Size != 500 {
			t.Errorf("%+v, want a duplicate", told)
		}
		link.Close(false)
	})
}

// Messages that still arrive on a replaced link take no confirmations from the link that replaced it.
func TestALinkThatWasReplacedConfirmsNothing(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		l := s.onLink(0, Windows{1_000, 1_000})
		again := &doorway{}
		link, err := l.s.Link(nil, Flow{Stream: true}, again)
		if err != nil {
			t.Fatal(err)
		}
		old := l.link
		l.link = link
		l.sends(500, true)
		if r, later, _ := old.Part(l.x.ID(), Part{Seq: 1, Content: make([]byte, 500), More: true}, l.w); r != Duplicate || later {
			t.Errorf("%s %v, want that it is a duplicate", r, later)
		}
		l.sends(0, false)
		_, _ = l.next()
		_, _ = l.next()
		if told := again.confirmed(); len(told) != 2 {
			t.Errorf("%+v, want both parts", told)
		}
		old.Close(false)
		link.Close(false)
	})
}

// Parts stay accepted even if the program then aborts the answer; only the end of the visitor changes that.
func TestALinkConfirmsPartsOfAnAbortedAnswer(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		l := s.onLink(0, Windows{1_000, 1_000})
		l.sends(500, true)
		_, _ = l.s.Delivery(l.x.ID()).Abort()
		told := l.door.confirmed()
		if len(told) != 2 || told[1].Result != Accepted {
			t.Errorf("%+v, want that it was taken", told)
		}
		l.link.Close(false)
		_, _ = l.next()
	})
}

// Messages that arrive while a link is being notified go to that link, up to a bound. Then the link that has waited
// longest of the others is notified.
func TestMessagesOnALinkAreGivenTogetherUpToABound(t *testing.T) {
	inScene(t, Options{Limits: Limits{Batch: 8}}, func(t *testing.T, s *scene) {
		var links []*Link
		for range 2 {
			one := s.session()
			link, err := one.Link(new(cursorOf(one.id, 0)), Flow{Stream: true}, &doorway{})
			if err != nil {
				t.Fatal(err)
			}
			_, _ = link.Take()
			links = append(links, link)
		}
		var visits []*visit
		for range mostAtOnce + 4 {
			visits = append(visits, s.visit("GET"))
		}
		synctest.Wait()
		var given []Message
		for i, want := range []int{mostAtOnce, 4} {
			b, err := links[i].Take()
			if err != nil || b == nil || len(b.Messages) != want {
				t.Fatalf("link %d is given %+v %v, want %d requests", i+1, b, err, want)
			}
			given = append(given, b.Messages...)
		}
		for i, v := range visits {
			one := links[0].poll.session
			if i >= mostAtOnce {
				one = links[1].poll.session
			}
			s.answer(one, given[i].Exchange, 200, Accepted)
			v.answered(200)
		}
		for _, link := range links {
			link.Close(false)
		}
	})
}

func TestAClosedLinkTakesNothing(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		link, err := one.Link(new(cursorOf(one.id, 0)), Flow{Stream: true}, &doorway{})
		if err != nil {
			t.Fatal(err)
		}
		link.Close(false)
		if b, err := link.Take(); b != nil || err != nil {
			t.Errorf("took %v, %v", b, err)
		}
		s.visit("GET") // would be put to a session that has no poll
		synctest.Wait()
		m, _ := s.one(one, nil)
		s.answer(one, m.Exchange, 200, Accepted)
	})
}
