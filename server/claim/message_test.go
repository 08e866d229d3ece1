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

// leavers is the number of visitors who leave.
const leavers = 10_000

// serveWays are the ways in which a program gets messages, each until ctx ends. They pass each message to a
// function, one at a time.
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
	{"a link", "", linkAll},
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
	f, err := s.Feed()
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		m, err := f.Next(ctx, nil)
		if err != nil {
			return err
		}
		give(m)
	}
}

// linkAll acknowledges everything that it passes on.
func linkAll(ctx context.Context, s *Session, give func(*Message)) error {
	l, err := s.link()
	if err != nil {
		return err
	}
	defer l.Close(false)
	for {
		b, err := l.next(ctx)
		if err != nil {
			return err
		}
		for i := range b.Messages {
			give(&b.Messages[i])
		}
		if err := l.Acknowledge(b.Cursor); err != nil {
			return err
		}
	}
}

func TestVisitorsWhoLeaveLeaveNoMemoryBehind(t *testing.T) {
	for _, way := range serveWays {
		t.Run(way.name, func(t *testing.T) {
			r := New(Options{})
			defer r.Close()
			open := func() (*Opened, error) { return r.Open(netip.Addr{}, "demo", "t0", Settings{}) }
			if way.door != "" {
				open = func() (*Opened, error) { return r.Enter(netip.Addr{}, Place{Door: way.door}, "demo", "t0", Settings{}) }
			}
			o, err := open()
			if err != nil {
				t.Fatal(err)
			}
			s := o.Session
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
				t.Errorf("%d cancellations were delivered, want at least %d", cancels, least)
			}
			runtime.KeepAlive(r)
		})
	}
}

// leave makes a visitor come, and leave once the program has the request.
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

func TestASessionWithoutPollsHoldsNoEndedExchanges(t *testing.T) {
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

func TestTheNewestCancellationsAreKept(t *testing.T) {
	inScene(t, Options{Limits: Limits{Batch: mostCancels}}, func(t *testing.T, s *scene) {
		one := s.session()
		l, err := one.link()
		if err != nil {
			t.Fatal(err)
		}
		var told []string
		for len(told) < mostCancels-100 {
			v := s.visit("POST")
			if b, err := l.next(t.Context()); err != nil || !slices.Equal(ids(b), []string{v.x.ID()}) {
				t.Fatalf("next = %v %v, want %s", ids(b), err, v.x.ID())
			}
			v.leave()
			synctest.Wait()
			if b, err := l.next(t.Context()); err != nil || b.Messages[0].Cancel == "" {
				t.Fatalf("next = %+v %v, want a cancellation", b, err)
			}
			told = append(told, v.x.ID())
		}
		// A hundred more wait for a poll, and one beyond that has no place.
		var visits []*visit
		for range 101 {
			v := s.visit("POST")
			if _, err := l.next(t.Context()); err != nil {
				t.Fatal(err)
			}
			visits = append(visits, v)
		}
		l.Close(false)
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

func TestTheCostOfAMessageDoesNotGrowWithTheNumberOfWaitingOnes(t *testing.T) {
	const messages = 3_000
	for _, c := range []struct {
		name  string
		door  string
		waits int // requests that wait for their answers all the time
		serve func(ctx context.Context, s *Session, give func(*Message)) error
	}{
		{"a connection of a door", "old", 0, feedAll},
		{"a connection of a door where many wait", "old", 1_000, feedAll},
		{"a link", "", 0, linkAll},
		{"a link where many wait", "", 1_000, linkAll},
		{"a stream", "", 0, func(ctx context.Context, s *Session, give func(*Message)) error { return listenAll(ctx, s, nil, give) }},
		{"a stream where many wait", "", 128, func(ctx context.Context, s *Session, give func(*Message)) error { return listenAll(ctx, s, nil, give) }},
		{"batches", "", 0, func(ctx context.Context, s *Session, give func(*Message)) error {
			cursor := cursorOf(s.id, 0)
			return pollAll(ctx, s, &cursor, give)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inScene(t, Options{}, func(t *testing.T, s *scene) {
				open := s.session
				if c.door != "" {
					open = s.plain
				}
				one := open()
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
