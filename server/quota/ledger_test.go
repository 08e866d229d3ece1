package quota

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// board is where the nodes of a test keep what they have used. Records reach every node at once.
type board struct {
	mu     sync.Mutex
	shares map[string]Share // by node, kind and name of the owner
	follow map[string]func(Share)
	gone   map[string]bool // runs
	writes int
	down   bool
}

func newBoard() *board {
	return &board{shares: map[string]Share{}, follow: map[string]func(Share){}, gone: map[string]bool{}}
}

// seat is the board for a node.
type seat struct {
	*board
	node, run string
}

func (s seat) Follow(f func(Share)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.shares {
		one.Own = one.Node == s.node
		f(one)
	}
	s.follow[s.node] = f
}

func (s seat) Write(_ context.Context, r Record) error {
	one := Share{Node: s.node, Run: s.run, Record: r}
	if len(r.Used) == 0 {
		one.Used = nil
	}
	return s.put(one)
}

func (s seat) Remove(_ context.Context, one Share) error {
	one.Used = nil
	return s.put(one)
}

func (s seat) put(one Share) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return errors.New("down")
	}
	s.writes++
	at := one.Node + string(one.Of) + one.Name
	if s.shares[at] = one; one.Used == nil {
		delete(s.shares, at)
	}
	for node, f := range s.follow {
		one.Own = one.Node == node
		f(one)
	}
	return nil
}

func (s seat) Lives(_, run string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.gone[run]
}

// records returns how many records there are, and how often any was written.
func (b *board) records() (n, writes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.shares), b.writes
}

// has reports whether there is a record.
func (b *board) has(at string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, has := b.shares[at]
	return has
}

// set changes the board.
func (b *board) set(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
}

// member is a book of a node.
type member struct {
	*Book
	run  string
	stop func()
}

// enter starts a node with limits for every account and every label.
func (b *board) enter(t *testing.T, node, run string, account, label *Limits) member {
	t.Helper()
	book := New(Options{
		Account: func(string) (*Limits, bool) { return account, account != nil },
		Label:   func(string) *Limits { return label }, Shared: seat{b, node, run}, Log: slog.New(slog.DiscardHandler),
	})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { book.Publish(ctx) })
	m := member{book, run, sync.OnceFunc(func() { cancel(); running.Wait() })}
	t.Cleanup(m.stop)
	return m
}

// end ends a node: normally, or without another word.
func (b *board) end(m member, killed bool) {
	m.stop()
	if !killed {
		m.Close()
	}
	b.set(func() { b.gone[m.run] = true })
}

// published waits until every node has written.
func published() {
	time.Sleep(publishEvery)
	synctest.Wait()
}

// used returns what an account has used of a kind, as a node sees it.
func used(b *Book, k Kind) int64 { return b.Account("ann")[k].Used }

func TestTheSumOfAllNodesIsEnforced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world, account := newBoard(), limits(t, `{"claims":3,"sessions":2,"requestsPerMinute":5,"responseBytesPerDay":1000}`)
		a, b := world.enter(t, "a", "a1", account, nil), world.enter(t, "b", "b1", account, nil)
		one, two := begin(t, a.Book, "one", ann), begin(t, b.Book, "two", ann)
		begin(t, b.Book, "three", ann)
		for _, m := range []*Meter{one, two} { // neither node knows of the other yet
			if err := m.Out(600); err != nil {
				t.Fatal(err)
			}
		}
		leave, err := a.Session("one")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Session("two"); err != nil {
			t.Fatal(err)
		}
		published()
		for _, n := range []member{a, b} {
			for k, want := range map[Kind]int64{Claims: 3, Sessions: 2, InFlight: 3, RequestsPerMinute: 3, ResponseBytesPerDay: 1200, ResponseBytesPerMonth: 1200} {
				if got := used(n.Book, k); got != want {
					t.Errorf("%s counts %d %s, want %d", n.run, got, k, want)
				}
			}
			_, _, err := n.Claim("four", ann, false)
			wants(t, "a fourth claim at "+n.run, err, Account, Claims)
		}
		wants(t, "a byte at a", one.Out(1), Account, ResponseBytesPerDay)
		wants(t, "a byte at b", two.Out(1), Account, ResponseBytesPerDay)
		_, err = b.Begin("two")
		wants(t, "a request", err, Account, ResponseBytesPerDay)
		_, err = b.Session("two")
		wants(t, "a third session", err, Account, Sessions)
		leave()
		one.Refund()
		published()
		if _, err := b.Session("two"); err != nil {
			t.Errorf("once a session ended at the other node: %v", err)
		}
		if got := used(b.Book, RequestsPerMinute); got != 2 {
			t.Errorf("%d requests after a refund at the other node, want 2", got)
		}
		_, before := world.records()
		published()
		published()
		if _, after := world.records(); after != before+1 { // the session at b
			t.Errorf("%d writes without any use, want none", after-before-1)
		}
	})
}

func TestOnlyUseOfTheCurrentPeriodOutlivesItsNode(t *testing.T) {
	for _, killed := range []bool{false, true} {
		t.Run(fmt.Sprint("killed ", killed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				world, account := newBoard(), limits(t, `{"claims":1,"inFlight":1,"responseBytesPerDay":1000}`)
				a, b := world.enter(t, "a", "a1", account, nil), world.enter(t, "b", "b1", account, nil)
				m := begin(t, a.Book, "one", ann)
				if err := m.Out(700); err != nil {
					t.Fatal(err)
				}
				published()
				_, _, err := b.Claim("two", ann, false)
				wants(t, "a second claim", err, Account, Claims)
				if err := m.Out(100); err != nil {
					t.Fatal(err)
				}
				world.end(a, killed)
				next := begin(t, b.Book, "two", ann) // what is at a counts no more, at once
				want := int64(800)
				if killed { // what was used last is forgotten
					want = 700
				}
				if got := used(b.Book, ResponseBytesPerDay); got != want {
					t.Errorf("%d bytes count, want %d", got, want)
				}
				wants(t, "more than is left", next.Out(1001-int(want)), Account, ResponseBytesPerDay)
			})
		})
	}
}

func TestANodeThatRestartsContinuesFromItsUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world, account := newBoard(), limits(t, `{"claims":5,"responseBytesPerDay":1000}`)
		a, b := world.enter(t, "a", "a1", account, nil), world.enter(t, "b", "b1", account, nil)
		for _, n := range []member{a, b} {
			if err := begin(t, n.Book, n.run, ann).Out(300); err != nil {
				t.Fatal(err)
			}
		}
		published()
		world.end(a, true)
		again := world.enter(t, "a", "a2", account, nil)
		if got, claims := used(again.Book, ResponseBytesPerDay), used(again.Book, Claims); got != 600 || claims != 1 {
			t.Errorf("it starts with %d bytes and %d claims, want 600, and 1 at the other node", got, claims)
		}
		m := begin(t, again.Book, "three", ann)
		if err := m.Out(200); err != nil {
			t.Fatal(err)
		}
		published()
		for _, n := range []member{again, b} {
			if got, claims := used(n.Book, ResponseBytesPerDay), used(n.Book, Claims); got != 800 || claims != 2 {
				t.Errorf("%s counts %d bytes and %d claims, want 800 and 2", n.run, got, claims)
			}
		}
		wants(t, "more than is left", m.Out(201), Account, ResponseBytesPerDay)
	})
}

func TestTheUseOfALabelMovesWithItToAnotherNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world, label := newBoard(), limits(t, `{"sessions":1,"requestBytesPerMonth":1000}`)
		a, b := world.enter(t, "a", "a1", nil, label), world.enter(t, "b", "b1", nil, label)
		_, release, err := a.Claim("demo", ann, false)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Session("demo"); err != nil {
			t.Fatal(err)
		}
		m, err := a.Begin("demo")
		if err != nil {
			t.Fatal(err)
		}
		if err := m.In(900); err != nil {
			t.Fatal(err)
		}
		published()
		next := begin(t, b.Book, "demo", ann)
		if _, err := b.Session("demo"); err != nil {
			t.Errorf("its session at the node that it left counts: %v", err)
		}
		release()
		wants(t, "more than is left", next.In(101), Label, RequestBytesPerMonth)
		if _, labels := b.Usage(ann, 1); len(labels) != 0 {
			t.Errorf("labels of an account that does not count: %v", labels)
		}
	})
}

func TestRecordsEndWithTheirPeriods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // it is midnight, 1 January 2000
		world, account := newBoard(), limits(t, `{"responseBytesPerDay":1000}`)
		a, b := world.enter(t, "a", "a1", account, nil), world.enter(t, "b", "b1", account, nil)
		one, release, err := a.Claim("one", ann, false)
		if err != nil || one {
			t.Fatal(one, err)
		}
		m, err := a.Begin("one")
		if err != nil {
			t.Fatal(err)
		}
		two := begin(t, b.Book, "two", ann)
		if m.Out(1000) != nil {
			t.Fatal("the quota is used up")
		}
		published()
		wants(t, "a byte", two.Out(1), Account, ResponseBytesPerDay)
		time.Sleep(24*time.Hour - publishEvery) // midnight: no node has written yet
		if err := two.Out(400); err != nil {
			t.Errorf("on the next day: %v", err)
		}
		published()
		if day, month := used(a.Book, ResponseBytesPerDay), used(a.Book, ResponseBytesPerMonth); day != 400 || month != 1400 {
			t.Errorf("%d bytes of the day and %d of the month, want 400 and 1400", day, month)
		}
		m.End()
		release()
		world.end(b, true)
		published()
		if n, _ := world.records(); n != 2 {
			t.Errorf("%d records, want 2", n)
		}
		a.stop()
		time.Sleep(31 * 24 * time.Hour)
		a = world.enter(t, "c", "c1", account, nil)
		time.Sleep(sweepEvery)
		synctest.Wait()
		if n, _ := world.records(); n != 1 {
			t.Errorf("%d records of last month, want that of a, which lives", n)
		}
		a = world.enter(t, "a", "a2", account, nil)
		published()
		if n, _ := world.records(); n != 0 {
			t.Errorf("%d records of last month, want none", n)
		}
		if got := used(a.Book, ResponseBytesPerMonth); got != 0 {
			t.Errorf("%d bytes of the month, want 0", got)
		}
	})
}

func TestANodeWritesRarelyAndTheLargestUseFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world, account, label := newBoard(), limits(t, `{"responseBytesPerDay":1000000000000}`), limits(t, `{"responseBytesPerDay":1000}`)
		a := world.enter(t, "a", "a1", account, label)
		const most = 2*mostWrites + 100
		a.ledger.most = most
		begin(t, a.Book, "last", ann)
		for i := range most + 1 {
			if err := begin(t, a.Book, fmt.Sprint("demo-", i), ann).Out(20); err != nil {
				t.Fatal(err)
			}
		}
		if err := begin(t, a.Book, "little", ann).Out(10); err != nil {
			t.Fatal(err)
		}
		if err := begin(t, a.Book, "much", ann).Out(900); err != nil {
			t.Fatal(err)
		}
		world.set(func() { world.down = true })
		published()
		world.set(func() { world.down = false })
		for i := 1; i <= most/mostWrites; i++ {
			published()
			if _, writes := world.records(); writes > i*mostWrites {
				t.Fatalf("%d writes in %d rounds, want %d a round at most", writes, i, mostWrites)
			}
			if !world.has("alabelmuch") {
				t.Fatal("what is nearly used up does not come first")
			}
		}
		published()
		published()
		if n, _ := world.records(); n != most+1 { // all labels that there may be, and the account
			t.Errorf("%d records, want %d", n, most+1)
		}
		if !world.has("aaccountann") {
			t.Error("labels leave no room for accounts")
		}
		if world.has("alabellittle") {
			t.Error("a hundredth is written")
		}
	})
}
