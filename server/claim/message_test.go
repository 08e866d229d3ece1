package claim

import (
	"context"
	"errors"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"
	"weak"
)

// leavers is how many visitors leave.
const leavers = 10_000

// serveWays are the ways in which a program has messages, each on until ctx ends. They
// give each to a function, which is called by one at a time.
var serveWays = []struct {
	name  string
	door  string
	serve func(ctx context.Context, s *Session, give func(*Message)) error
}{
	{"batches", "", func(ctx context.Context, s *Session, give func(*Message)) error {
		cursor := cursorOf(s.id, 0)
		return pollAll(ctx, s, &cursor, give)
	}},
	{"batches without a cursor", "", func(ctx context.Context, s *Session, give func(*Message)) error {
		return pollAll(ctx, s, nil, give)
	}},
	{"streams", "", func(ctx context.Context, s *Session, give func(*Message)) error {
		cursor := cursorOf(s.id, 0)
		return listenAll(ctx, s, &cursor, give)
	}},
	{"streams without a cursor", "", func(ctx context.Context, s *Session, give func(*Message)) error {
		return listenAll(ctx, s, nil, give)
	}},
	{"a tunnel", "", func(ctx context.Context, s *Session, give func(*Message)) error {
		return feedAll(ctx, s, func(m *Message) {
			if give(m); m.Cancel != "" {
				s.SeenCancel(m.Cursor)
			}
		})
	}},
	{"a tunnel that acknowledges nothing", "", feedAll},
	{"a connection of a door", "old", feedAll},
}

func pollAll(ctx context.Context, s *Session, cursor *string, give func(*Message)) error {
	for {
		b, err := s.Poll(ctx, cursor, time.Minute, 0)
		if err != nil {
			return err
		}
		takeAll(b, cursor, give)
	}
}

func listenAll(ctx context.Context, s *Session, cursor *string, give func(*Message)) error {
	for {
		said := cursor
		if cursor != nil {
			said = new(*cursor)
		}
		if err := s.Listen(ctx, said, time.Minute, Flow{}, func(b *Batch) { takeAll(b, cursor, give) }); err != nil {
			return err
		}
	}
}

func takeAll(b *Batch, cursor *string, give func(*Message)) {
	if b == nil {
		return
	}
	for i := range b.Messages {
		give(&b.Messages[i])
	}
	if cursor != nil {
		*cursor = b.Cursor
	}
}

func feedAll(ctx context.Context, s *Session, give func(*Message)) error {
	f, err := s.Feed(nil)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		m, err := f.Next(ctx)
		if m == nil {
			return err
		}
		give(m)
	}
}

func TestVisitorsWhoLeaveLeaveNothing(t *testing.T) {
	for _, way := range serveWays {
		t.Run(way.name, func(t *testing.T) {
			r := New(Options{})
			defer r.Close()
			o, err := r.Open(netip.Addr{}, "demo", "t0", Settings{})
			if err != nil {
				t.Fatal(err)
			}
			s := o.Session
			if way.door != "" {
				s.Plain(way.door)
			}
			ctx, stop := context.WithCancel(t.Context())
			has, cancels, ended := make(chan string), 0, make(chan error, 1)
			go func() {
				ended <- way.serve(ctx, s, func(m *Message) {
					if m.Cancel != "" {
						cancels++
						return
					}
					has <- m.ID
				})
			}()
			var all []weak.Pointer[Exchange]
			for range leavers {
				all = append(all, leave(t, s.Claim(), has))
			}
			stop()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Fatalf("the program ended with %v", err)
			}
			runtime.GC()
			alive := 0
			for _, p := range all {
				if p.Value() != nil {
					alive++
				}
			}
			if alive > 2 {
				t.Errorf("%d of %d exchanges are held, want none but the last", alive, leavers)
			}
			s.claim.mu.Lock()
			defer s.claim.mu.Unlock()
			if n := s.out.sent.len() + s.out.next.len(); n > 3*mostCancels || s.out.cancels > mostCancels || len(s.held) > 0 {
				t.Errorf("%d messages, %d of them cancellations, and %d held; want none held, and %d cancellations at most", n, s.out.cancels, len(s.held), mostCancels)
			}
			if least := leavers - mostCancels; way.door == "" && cancels < least {
				t.Errorf("%d cancellations were told, want at least %d", cancels, least)
			}
			runtime.KeepAlive(r)
		})
	}
}

// leave has a visitor come, and leave when the program has the request.
func leave(t *testing.T, c *Claim, has <-chan string) weak.Pointer[Exchange] {
	x, err := c.Begin(c.registry.budget.Open(netip.Addr{}), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = x.Do(ctx, &Request{Method: "POST", Content: Whole(make([]byte, 1000))})
	}()
	if id := <-has; id != x.ID() {
		t.Errorf("the program has %s, want %s", id, x.ID())
	}
	leave()
	<-done
	return weak.Make(x)
}

func TestASessionThatPollsNoMoreHoldsNoExchangeThatEnded(t *testing.T) {
	r := New(Options{Limits: Limits{Batch: 100}})
	defer r.Close()
	o, err := r.Open(netip.Addr{}, "demo", "t0", Settings{})
	if err != nil {
		t.Fatal(err)
	}
	s := o.Session
	var all []weak.Pointer[Exchange]
	func() {
		var visits []func()
		for range 500 {
			x, err := s.Claim().Begin(r.budget.Open(netip.Addr{}), nil)
			if err != nil {
				t.Fatal(err)
			}
			ctx, leave := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				_, _ = x.Do(ctx, &Request{Method: "POST", Content: Whole(make([]byte, 1000))})
			}()
			visits = append(visits, func() { leave(); <-done })
			all = append(all, weak.Make(x))
		}
		for got := 0; got < 500; {
			b, err := s.Poll(t.Context(), nil, time.Minute, 0)
			if err != nil {
				t.Fatal(err)
			}
			got += len(b.Messages)
		}
		for _, leaves := range visits {
			leaves()
		}
	}()
	runtime.GC()
	for i, p := range all {
		if p.Value() != nil {
			t.Fatalf("exchange %d is held though its visitor left", i)
		}
	}
	if n := s.out.next.len(); n != 500 {
		t.Errorf("%d messages wait, want the 500 cancellations", n)
	}
}

// visitsThatLeave opens requests until the session has them, and has their visitors leave.
func (s *scene) visitsThatLeave(n int, f *Feed) (ids []string) {
	s.t.Helper()
	for range n {
		v := s.visit("POST")
		if m, err := f.Next(s.t.Context()); err != nil || m.ID != v.x.ID() {
			s.t.Fatalf("next = %+v %v, want %s", m, err, v.x.ID())
		}
		v.leave()
		synctest.Wait()
		ids = append(ids, v.x.ID())
	}
	return ids
}

func TestACancellationThatWasSeenComesNoMore(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		f, err := one.Feed(nil)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for i := range 5 {
			ids := s.visitsThatLeave(1, f)
			m, err := f.Next(t.Context())
			if err != nil || m.Cancel != CancelVisitorGone || m.ID != ids[0] || m.Exchange != nil {
				t.Fatalf("next = %+v %v, want that %s is cancelled", m, err, ids[0])
			}
			switch i {
			case 1, 3:
				one.SeenCancel(m.Cursor)
				one.SeenCancel(m.Cursor)
			default:
				want = append(want, m.Cursor+m.ID)
			}
		}
		v := s.visit("POST")
		m, err := f.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, m.Cursor+m.ID)
		f.Close()
		for _, bad := range []string{"", "7", cursorOf(one.id, 0), cursorOf(one.id, 1<<50), m.Cursor} {
			one.SeenCancel(bad) // names no cancellation
		}
		// In any form the rest comes again, as often as it is asked for.
		zero := cursorOf(one.id, 0)
		cursors := func(b *Batch) (out []string) {
			for _, m := range b.Messages {
				out = append(out, m.Cursor+m.ID)
			}
			return out
		}
		if got := cursors(s.take(one, &zero)); !slices.Equal(got, want) {
			t.Errorf("a batch has %q, want %q", got, want)
		}
		l := listen(one, &zero, time.Minute)
		if got := cursors(l.given[1]); !slices.Equal(got, want) {
			t.Errorf("a stream has %q, want %q", got, want)
		}
		l.stop()
		<-l.done
		if f, err = one.Feed(&zero); err != nil {
			t.Fatal(err)
		}
		var got []string
		for range want {
			m, err := f.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, m.Cursor+m.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("a tunnel has %q, want %q", got, want)
		}
		f.Close()
		if one.out.cancels != 3 {
			t.Errorf("%d cancellations are kept, want 3", one.out.cancels)
		}
		s.answer(one, v.x, 200, Accepted)
		if b := s.take(one, nil); b != nil || one.out.cancels != 0 {
			t.Errorf("a poll without a cursor gives %v and leaves %d cancellations, want none", ids(b), one.out.cancels)
		}
	})
}

func TestTheNewestCancellationsAreKept(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		f, err := one.Feed(nil)
		if err != nil {
			t.Fatal(err)
		}
		var told []string
		for len(told) < mostCancels-100 {
			told = append(told, s.visitsThatLeave(1, f)...)
			if m, err := f.Next(t.Context()); err != nil || m.Cancel == "" {
				t.Fatalf("next = %+v %v, want a cancellation", m, err)
			}
		}
		// A hundred more wait for a poll, and one beyond that which has no place.
		var visits []*visit
		for range 101 {
			v := s.visit("POST")
			if _, err := f.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
			visits = append(visits, v)
		}
		f.Close()
		for _, v := range visits {
			v.leave()
			synctest.Wait()
			told = append(told, v.x.ID())
		}
		if one.out.cancels != mostCancels/2+1 {
			t.Fatalf("%d cancellations are kept, want %d", one.out.cancels, mostCancels/2+1)
		}
		cursor, got := cursorOf(one.id, 0), []string(nil)
		for b := s.take(one, &cursor); b != nil; b = s.take(one, &cursor) {
			got, cursor = append(got, ids(b)...), b.Cursor
		}
		if want := told[len(told)-mostCancels/2-1:]; !slices.Equal(got, want) {
			t.Errorf("%d cancellations come, want the newest %d in their order", len(got), len(want))
		}
		if one.out.cancels != 0 {
			t.Errorf("%d cancellations are kept after all were acknowledged", one.out.cancels)
		}
	})
}

func TestAMessageCostsTheSameHoweverManyWait(t *testing.T) {
	const messages = 3_000
	for _, c := range []struct {
		name  string
		waits int // requests that wait for their answers all the time
		serve func(ctx context.Context, s *Session, give func(*Message)) error
	}{
		{"a tunnel", 0, feedAll},
		{"a tunnel where many wait", 1_000, feedAll},
		{"a stream", 0, func(ctx context.Context, s *Session, give func(*Message)) error { return listenAll(ctx, s, nil, give) }},
		{"a stream where many wait", 128, func(ctx context.Context, s *Session, give func(*Message)) error { return listenAll(ctx, s, nil, give) }},
		{"batches", 0, func(ctx context.Context, s *Session, give func(*Message)) error {
			cursor := cursorOf(s.id, 0)
			return pollAll(ctx, s, &cursor, give)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inScene(t, Options{}, func(t *testing.T, s *scene) {
				one := s.session()
				ctx, stop := context.WithCancel(t.Context())
				ended, came := make(chan error, 1), 0
				go func() {
					ended <- c.serve(ctx, one, func(m *Message) {
						if came++; came > c.waits {
							s.answer(one, m.Exchange, 200, Accepted)
						}
					})
				}()
				var waiting []*visit
				for range c.waits {
					waiting = append(waiting, s.visit("POST"))
				}
				before := one.out.sent.looked + one.out.sent.moved + one.out.next.moved
				for range messages {
					s.visit("POST").answered(200)
				}
				stop()
				<-ended
				if came != c.waits+messages {
					t.Errorf("%d messages came, want %d", came, c.waits+messages)
				}
				if n := one.out.sent.looked + one.out.sent.moved + one.out.next.moved - before; n > 8*messages {
					t.Errorf("%d messages cost %d looks and copies, want %d at most", messages, n, 8*messages)
				}
				for _, v := range waiting {
					s.answer(one, v.x, 200, Accepted)
				}
			})
		})
	}
}
