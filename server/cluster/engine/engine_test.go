package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"reversehttp/server/claim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world has nodes that share an engine.
type world interface {
	// connect connects a node. It is closed after the test.
	connect(node string) Engine
	// until waits for a condition.
	until(what string, is func() bool)
	// lose makes the engine lose all its data.
	lose()
}

// inEachWorld runs a test with each kind of engine.
func inEachWorld(t *testing.T, test func(t *testing.T, w world)) {
	t.Run("memory", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { test(t, &memoryWorld{t, NewMemory()}) })
	})
	t.Run("nats", func(t *testing.T) { test(t, newNATSWorld(t)) })
}

// memoryWorld is a world in a bubble.
type memoryWorld struct {
	t *testing.T
	*Memory
}

func (w *memoryWorld) connect(node string) Engine { return w.run(node, "") }

// run connects a run of a node.
func (w *memoryWorld) run(node, run string) Engine {
	w.t.Helper()
	e, err := w.Connect(w.t.Context(), Options{Node: node, Run: run})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(e.Close)
	return e
}

func (w *memoryWorld) until(what string, is func() bool) {
	w.t.Helper()
	for range 10_000 {
		if synctest.Wait(); is() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.t.Fatal("never: " + what)
}

func (w *memoryWorld) lose() { w.Lose() }

// demo is a record whose owner has a token.
func demo(label, token string) claim.Record {
	return claim.Record{Label: label, Token: claim.HashToken(token), Terms: claim.Terms{Lease: time.Minute, Timeout: time.Second, Redeliver: claim.RedeliverAny}}
}

// create creates a record.
func create(t *testing.T, e Engine, r claim.Record) uint64 {
	t.Helper()
	revision, err := e.Create(t.Context(), r)
	if err != nil {
		t.Fatalf("create %s: %v", r.Label, err)
	}
	return revision
}

// wants fails the test unless an error is another.
func wants(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) || want == nil && err != nil {
		t.Fatalf("%s: %v, want %v", what, err, want)
	}
}

func TestRecordsChangeOnlyTheRevisionThatIsNamed(t *testing.T) {
	inEachWorld(t, func(t *testing.T, w world) {
		a, b := w.connect("a"), w.connect("b")
		ctx := t.Context()
		_, _, err := a.Get(ctx, "demo")
		wants(t, "get", err, claim.ErrNoRecord)
		_, _, err = a.Look(ctx, "demo")
		wants(t, "look", err, claim.ErrNoRecord)
		_, err = a.Update(ctx, demo("demo", "t0"), 1)
		wants(t, "update without a record", err, claim.ErrMoved)
		wants(t, "delete without a record", a.Delete(ctx, "demo", 1), claim.ErrMoved)

		one := create(t, a, demo("demo", "t0"))
		_, err = b.Create(ctx, demo("demo", "t1"))
		wants(t, "create again", err, claim.ErrExists)
		r, h, err := b.Look(ctx, "demo")
		if err != nil || h.Node != "a" || h.Run == "" || h.Term != one || r.Token != claim.HashToken("t0") || r.Lease != time.Minute || r.Redeliver != claim.RedeliverAny {
			t.Fatalf("look: %+v %+v %v, want what a created", r, h, err)
		}
		two, err := b.Update(ctx, r, one) // it takes the claim over
		if err != nil || two <= one {
			t.Fatalf("update: %d %v, want a revision after %d", two, err, one)
		}
		_, err = a.Update(ctx, demo("demo", "t2"), one)
		wants(t, "update of the former home", err, claim.ErrMoved)
		wants(t, "delete of the former home", a.Delete(ctx, "demo", one), claim.ErrMoved)
		if _, h, err := a.Look(ctx, "demo"); err != nil || h.Node != "b" || h.Term != two {
			t.Fatalf("look: %+v %v, want home b at %d", h, err, two)
		}
		wants(t, "delete", b.Delete(ctx, "demo", two), nil)
		_, _, err = b.Get(ctx, "demo")
		wants(t, "get after it was deleted", err, claim.ErrNoRecord)
		if three := create(t, a, demo("demo", "t3")); three <= two {
			t.Errorf("create after it was deleted: %d, want a revision after %d", three, two)
		}
	})
}

// TestOneNodeWinsALabel has several nodes create, and then take over, many labels at once.
func TestOneNodeWinsALabel(t *testing.T) {
	if *long {
		t.Run("several servers", raceOnSeveralServers)
	}
	inEachWorld(t, func(t *testing.T, w world) {
		nodes := []Engine{w.connect("a"), w.connect("b"), w.connect("c")}
		const labels = 60
		race := func(change func(e Engine, label string) (uint64, error), lost error) (terms []uint64) {
			for i := range labels {
				label := fmt.Sprint("demo-", i)
				var (
					mu   sync.Mutex
					wins []uint64
					all  sync.WaitGroup
				)
				for _, e := range nodes {
					all.Go(func() {
						switch term, err := change(e, label); {
						case err == nil:
							mu.Lock()
							defer mu.Unlock()
							wins = append(wins, term)
						case !errors.Is(err, lost):
							t.Errorf("%s: %v, want %v", label, err, lost)
						}
					})
				}
				all.Wait()
				if len(wins) != 1 {
					t.Fatalf("%s: %d of %d nodes won, want 1", label, len(wins), len(nodes))
				}
				terms = append(terms, wins[0])
			}
			return terms
		}
		created := race(func(e Engine, label string) (uint64, error) {
			return e.Create(t.Context(), demo(label, "t0"))
		}, claim.ErrExists)
		taken := race(func(e Engine, label string) (uint64, error) {
			var i int
			_, _ = fmt.Sscanf(label, "demo-%d", &i)
			return e.Update(t.Context(), demo(label, "t0"), created[i])
		}, claim.ErrMoved)
		for i := range taken {
			if taken[i] <= created[i] {
				t.Errorf("taken over at %d, created at %d, want a later one", taken[i], created[i])
			}
		}
		all := append(created, taken...)
		slices.Sort(all)
		if len(slices.Compact(all)) != 2*labels {
			t.Error("two homes have the same term")
		}
	})
}

func TestTheDirectoryFollowsWhatOthersChange(t *testing.T) {
	inEachWorld(t, func(t *testing.T, w world) {
		a, b := w.connect("a"), w.connect("b")
		one := create(t, a, demo("before", "t0"))
		w.until("before is seen", func() bool { _, ok := b.Home("before"); return ok })
		changes := make(chan Change, 100)
		b.Changed(func(c Change) { changes <- c })
		next := func(want Change) {
			t.Helper()
			var got Change
			w.until(fmt.Sprintf("%+v", want), func() bool {
				select {
				case got = <-changes:
					return true
				default:
					return false
				}
			})
			if got.Home.Run = ""; got != want {
				t.Fatalf("change %+v, want %+v", got, want)
			}
		}
		next(Change{Label: "before", Home: Home{Node: "a", Term: one}})
		two := create(t, a, demo("demo", "t0"))
		next(Change{Label: "demo", Home: Home{Node: "a", Term: two}})
		three, err := b.Update(t.Context(), demo("demo", "t0"), two)
		wants(t, "take over", err, nil)
		next(Change{Label: "demo", Home: Home{Node: "b", Term: three}})
		released := demo("demo", "t0")
		released.Released = time.UnixMilli(7)
		four, err := b.Update(t.Context(), released, three)
		wants(t, "release", err, nil)
		next(Change{Label: "demo", Home: Home{Node: "b", Term: three}, Ended: true})
		wants(t, "delete", b.Delete(t.Context(), "demo", four), nil)
		wants(t, "delete", a.Delete(t.Context(), "before", one), nil)
		next(Change{Label: "before", Home: Home{Node: "a", Term: one}, Ended: true})
		b.Homes(func(label string, h Home) bool {
			t.Errorf("%s is still in the directory: %+v", label, h)
			return true
		})
		if _, ok := b.Home("demo"); ok || !b.State().Synced || !b.State().Up {
			t.Errorf("demo in the directory: %v, state %+v; want it gone, and all up", ok, b.State())
		}
	})
}

func TestLostDataIsSaidToBeLost(t *testing.T) {
	inEachWorld(t, func(t *testing.T, w world) {
		a, b := w.connect("a"), w.connect("b")
		ctx := t.Context()
		one := create(t, a, demo("demo", "t0"))
		wants(t, "withdraw", a.Withdraw("gone", []byte(`{"reason":"x"}`)), nil)
		secret, err := a.Secret(ctx, "domains")
		wants(t, "secret", err, nil)
		for _, e := range []Engine{a, b} {
			w.until("demo is seen", func() bool { _, ok := e.Home("demo"); return ok })
			w.until("the takedown is seen", func() bool { all, _ := e.Withdrawn(); return len(all) == 1 })
		}
		lost := make(chan Change, 10)
		a.Changed(func(c Change) { lost <- c })
		<-lost // it is there
		w.lose()
		var c Change
		w.until("the loss is seen", func() bool {
			select {
			case c = <-lost:
				return true
			default:
				return false
			}
		})
		if c.Label != "demo" || !c.Ended || !c.Lost || c.Home.Term != one {
			t.Fatalf("change %+v, want demo lost at %d", c, one)
		}
		var two uint64
		w.until("it can be written again", func() bool {
			var err error
			two, err = a.Create(ctx, demo("demo", "t0"))
			return err == nil
		})
		if two <= one {
			t.Errorf("written again at %d, want a term after %d", two, one)
		}
		w.until("others see it", func() bool { h, _ := b.Home("demo"); return h.Term == two })
		w.until("beats are accepted", func() bool { return a.Beat(ctx, Node{}) == nil && b.Beat(ctx, Node{}) == nil })
		for _, e := range []Engine{a, b} {
			w.until("all is up", func() bool { return e.State().Up })
			if all, _ := e.Withdrawn(); string(all["gone"]) != `{"reason":"x"}` {
				t.Errorf("withdrawn: %q, want the takedown", all)
			}
			if again, err := e.Secret(ctx, "domains"); err != nil || string(again) != string(secret) {
				t.Errorf("secret: %x %v, want %x", again, err, secret)
			}
		}
	})
}

func TestADomainLeadsToTheLabelThatWasWrittenLast(t *testing.T) {
	inEachWorld(t, func(t *testing.T, w world) {
		a, b := w.connect("a"), w.connect("b")
		ctx := t.Context()
		leads := func(to string) {
			t.Helper()
			for _, e := range []Engine{a, b} {
				w.until("it leads to "+to, func() bool { return e.Domain("hooks.example.org") == to })
			}
		}
		wants(t, "set", a.SetDomain(ctx, "hooks.example.org", "one"), nil)
		leads("one")
		wants(t, "set", b.SetDomain(ctx, "hooks.example.org", "two"), nil)
		leads("two")
		wants(t, "unset one", a.UnsetDomain(ctx, "hooks.example.org", "one"), nil)
		leads("two")
		wants(t, "unset two", a.UnsetDomain(ctx, "hooks.example.org", "two"), nil)
		leads("")
		wants(t, "unset two again", b.UnsetDomain(ctx, "hooks.example.org", "two"), nil)
	})
}

func TestEachNodeKnowsWhatTheOthersUse(t *testing.T) {
	inEachWorld(t, func(t *testing.T, w world) {
		const owner = "address:2001:db8::/64 *>"
		a, b := w.connect("a"), w.connect("b.example")
		ctx := t.Context()
		watch := func(e Engine) (uses func(want ...string)) {
			var mu sync.Mutex
			all := map[string]string{}
			e.UsageChanged(func(node, owner string, value []byte) {
				mu.Lock()
				defer mu.Unlock()
				if all[node+" "+owner] = string(value); value == nil {
					delete(all, node+" "+owner)
				}
			})
			return func(want ...string) {
				t.Helper()
				w.until(fmt.Sprint("use of ", want), func() bool {
					mu.Lock()
					defer mu.Unlock()
					var got []string
					for at, value := range all {
						got = append(got, at+" "+value)
					}
					slices.Sort(got)
					return slices.Equal(got, want)
				})
			}
		}
		wants(t, "set", a.SetUsage(ctx, owner, []byte("1")), nil)
		atA, atB := watch(a), watch(b)
		wants(t, "set", b.SetUsage(ctx, owner, []byte("2")), nil)
		wants(t, "set", b.SetUsage(ctx, "label:demo", []byte("3")), nil)
		for _, uses := range []func(...string){atA, atB, watch(w.connect("c"))} {
			uses("a "+owner+" 1", "b.example "+owner+" 2", "b.example label:demo 3")
		}
		wants(t, "set", a.SetUsage(ctx, owner, []byte("4")), nil)
		wants(t, "unset what is there no more", b.UnsetUsage(ctx, "a", owner, []byte("1")), nil)
		wants(t, "unset", a.UnsetUsage(ctx, "b.example", "label:demo", []byte("3")), nil)
		wants(t, "unset again", a.UnsetUsage(ctx, "b.example", "label:demo", []byte("3")), nil)
		atA("a "+owner+" 4", "b.example "+owner+" 2")
		atB("a "+owner+" 4", "b.example "+owner+" 2")
		w.lose()
		atD := func() bool { // each node writes again what it has used
			d := w.connect("d")
			defer d.Close()
			n := 0
			d.UsageChanged(func(string, string, []byte) { n++ })
			return n == 2
		}
		w.until("it is written again", atD)
		wants(t, "set", a.SetUsage(ctx, owner, nil), nil)
		atB("b.example " + owner + " 2")
	})
}

func TestNodesKnowOfEachOther(t *testing.T) {
	inEachWorld(t, func(t *testing.T, w world) {
		a, b := w.connect("a"), w.connect("b")
		ctx := t.Context()
		say := Node{PeerURL: "https://192.0.2.1:7443", Version: 3, Settings: map[string]string{"public-url": "x"}, Claims: 7, Ready: true}
		wants(t, "beat", a.Beat(ctx, say), nil)
		wants(t, "beat", b.Beat(ctx, Node{Leaving: true}), nil)
		wants(t, "beat", a.Beat(ctx, say), nil)
		for _, e := range []Engine{a, b} {
			w.until("both are known", func() bool { return len(e.Nodes()) == 2 })
			all := e.Nodes()
			if n := all[0]; n.Name != "a" || n.Run == "" || n.PeerURL != say.PeerURL || n.Version != 3 || n.Settings["public-url"] != "x" || n.Claims != 7 || !n.Ready || n.Leaving {
				t.Errorf("a is known as %+v", n)
			}
			if n := all[1]; n.Name != "b" || n.Ready || !n.Leaving {
				t.Errorf("b is known as %+v", n)
			}
		}
		b.Close()
		w.until("b has left", func() bool { return len(a.Nodes()) == 1 })
		_ = w.connect("b") // the name is free at once
	})
}

func TestATakedownHoldsOnAllNodes(t *testing.T) {
	inEachWorld(t, func(t *testing.T, w world) {
		a, b := w.connect("a"), w.connect("b")
		wants(t, "withdraw", a.Withdraw("one", []byte(`{"atMs":1}`)), nil)
		w.until("b has it", func() bool { all, _ := b.Withdrawn(); return string(all["one"]) == `{"atMs":1}` })
		if all, _ := w.connect("c").Withdrawn(); string(all["one"]) != `{"atMs":1}` {
			t.Errorf("a node that starts has %q, want the takedown", all)
		}
		var mu sync.Mutex
		var got []string
		b.WithdrawnChanged(func(label string, value []byte) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, fmt.Sprint(label, " ", value != nil))
		})
		wants(t, "withdraw", a.Withdraw("two", []byte(`{}`)), nil)
		wants(t, "restore", b.Restore("one"), nil)
		want := []string{"one true", "two true", "one false"}
		w.until("b has all", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return slices.Equal(got, want)
		})
	})
}

func TestNodesShareSecrets(t *testing.T) {
	inEachWorld(t, func(t *testing.T, w world) {
		a, b := w.connect("a"), w.connect("b")
		var (
			all sync.WaitGroup
			got [4][]byte
		)
		for i := range got {
			all.Go(func() {
				e := []Engine{a, b}[i%2]
				var err error
				if got[i], err = e.Secret(t.Context(), fmt.Sprint("purpose-", i/2)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if len(got[0]) != secretBytes || !slices.Equal(got[0], got[1]) || !slices.Equal(got[2], got[3]) || slices.Equal(got[0], got[2]) {
			t.Errorf("secrets %x, want one for each purpose", got)
		}
	})
}

// TestACallEndsWithItsContext has each kind of call end at once with a context that has ended.
func TestACallEndsWithItsContext(t *testing.T) {
	inEachWorld(t, func(t *testing.T, w world) {
		a := w.connect("a")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, _, get := a.Get(ctx, "demo")
		_, _, look := a.Look(ctx, "demo")
		_, create := a.Create(ctx, demo("demo", "t0"))
		for _, err := range []error{get, look, create, a.Delete(ctx, "demo", 1), a.Beat(ctx, Node{})} {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%v, want that the context was cancelled", err)
			}
		}
	})
}
