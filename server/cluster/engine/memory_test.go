package engine

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/server/claim"
)

// inMemory runs a test in a bubble.
func inMemory(t *testing.T, test func(t *testing.T, w *memoryWorld)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, &memoryWorld{t, NewMemory()}) })
}

func TestAChangeWithoutAnAnswerIsFinishedBeforeTheLabelIsReadAgain(t *testing.T) {
	for _, cut := range []Cut{CutAll, CutAnswers} {
		inMemory(t, func(t *testing.T, w *memoryWorld) {
			a := w.connect("a")
			ctx := t.Context()
			w.Cut("a", cut)
			began := time.Now()
			_, err := a.Create(ctx, demo("demo", "t0"))
			wants(t, "create", err, context.DeadlineExceeded)
			if took := time.Since(began); took != CallTime {
				t.Errorf("it took %v, want %v", took, CallTime)
			}
			_, _, err = a.Get(ctx, "demo")
			wants(t, "get while it is in doubt", err, context.DeadlineExceeded)
			w.Mend("a")
			r, one, err := a.Get(ctx, "demo")
			if err != nil || r.Token != claim.HashToken("t0") {
				t.Fatalf("get: %+v %v, want what was to be created", r, err)
			}

			w.Cut("a", cut)
			_, err = a.Update(ctx, demo("demo", "t1"), one)
			wants(t, "update", err, context.DeadlineExceeded)
			w.Mend("a")
			r, two, err := a.Get(ctx, "demo")
			if err != nil || r.Token != claim.HashToken("t1") || two == one {
				t.Fatalf("get: %+v %d %v, want what was to be updated", r, two, err)
			}

			w.Cut("a", cut)
			wants(t, "delete", a.Delete(ctx, "demo", two), context.DeadlineExceeded)
			w.Mend("a")
			_, _, err = a.Get(ctx, "demo")
			wants(t, "get", err, claim.ErrNoRecord)
		})
	}
}

// TestARecordThatAnotherTookOverIsNotThisNodes has another node write the very record that this node
// asked for, with another home.
func TestARecordThatAnotherTookOverIsNotThisNodes(t *testing.T) {
	inMemory(t, func(t *testing.T, w *memoryWorld) {
		a, b := w.connect("a"), w.connect("b")
		ctx := t.Context()
		one := create(t, a, demo("demo", "t0"))
		w.Cut("a", CutAnswers)
		_, err := a.Update(ctx, demo("demo", "t1"), one)
		wants(t, "update", err, context.DeadlineExceeded)
		r, h, err := b.Look(ctx, "demo")
		wants(t, "look", err, nil)
		if h.Node != "a" || r.Token != claim.HashToken("t1") {
			t.Fatalf("look: %+v %+v, want what a asked for", r, h)
		}
		_, err = b.Update(ctx, r, h.Term)
		wants(t, "take over", err, nil)
		w.Mend("a")
		_, _, err = a.Get(ctx, "demo")
		wants(t, "get", err, claim.ErrMoved)
	})
}

func TestADirectoryThatIsHeldIsOld(t *testing.T) {
	inMemory(t, func(t *testing.T, w *memoryWorld) {
		a, b := w.connect("a"), w.connect("b")
		w.Hold("b")
		one := create(t, a, demo("demo", "t0"))
		time.Sleep(time.Hour)
		if h, ok := b.Home("demo"); ok {
			t.Errorf("home %+v, want none yet", h)
		}
		if _, h, err := b.Look(t.Context(), "demo"); err != nil || h.Term != one {
			t.Errorf("look: %+v %v, want term %d", h, err, one)
		}
		w.Flow("b")
		synctest.Wait()
		if h, _ := b.Home("demo"); h.Term != one {
			t.Errorf("home %+v, want term %d", h, one)
		}
	})
}

func TestADelayIsPaidEachWay(t *testing.T) {
	inMemory(t, func(t *testing.T, w *memoryWorld) {
		a := w.connect("a")
		w.Delay("a", 100*time.Millisecond)
		began := time.Now()
		create(t, a, demo("demo", "t0"))
		if took := time.Since(began); took != 200*time.Millisecond {
			t.Errorf("create took %v, want 200ms", took)
		}
	})
}

func TestANodeThatWasCutOffReadsWhatChangedMeanwhile(t *testing.T) {
	inMemory(t, func(t *testing.T, w *memoryWorld) {
		a, b := w.connect("a"), w.connect("b")
		ctx := t.Context()
		gone, moved := create(t, a, demo("gone", "t0")), create(t, a, demo("moved", "t0"))
		synctest.Wait()
		w.Cut("a", CutAll)
		wants(t, "delete", b.Delete(ctx, "gone", gone), nil)
		there, err := b.Update(ctx, demo("moved", "t0"), moved)
		wants(t, "take over", err, nil)
		create(t, b, demo("made", "t0"))
		time.Sleep(noticeTime + time.Second)
		if s := a.State(); s.Up || !s.Synced {
			t.Errorf("state %+v, want that it is not up", s)
		}
		time.Sleep(10 * time.Minute)
		var got []Change
		a.Changed(func(c Change) { got = append(got, c) })
		if got = nil; len(got) != 0 {
			t.Fatal(got)
		}
		w.Mend("a")
		time.Sleep(longestPause)
		if !a.State().Up {
			t.Error("it is not up again")
		}
		ended := map[string]bool{}
		for _, c := range got {
			if c.Lost {
				t.Errorf("change %+v, want that nothing was lost", c)
			}
			ended[c.Label] = c.Ended
		}
		if h, _ := a.Home("moved"); len(got) != 3 || !ended["gone"] || ended["moved"] || ended["made"] || h.Node != "b" || h.Term != there {
			t.Errorf("changes %+v, want that gone ended, and that moved and made are at b", got)
		}
	})
}

func TestSilenceIsThatOfOthersOnly(t *testing.T) {
	inMemory(t, func(t *testing.T, w *memoryWorld) {
		a, b := w.connect("a"), w.connect("b")
		beat := func(e Engine, times int) {
			for range times {
				_ = e.Beat(t.Context(), Node{})
				time.Sleep(BeatTime)
			}
		}
		silent := func() time.Duration {
			synctest.Wait()
			for _, n := range a.Nodes() {
				if n.Name == "b" {
					return n.Silent
				}
			}
			t.Fatal("b is not known")
			return 0
		}
		beat(b, 1)
		beat(a, 4)
		if got := silent(); got != 4*BeatTime {
			t.Errorf("b is silent for %v, want %v", got, 4*BeatTime)
		}
		beat(b, 1)
		if got := silent(); got != 0 {
			t.Errorf("b is silent for %v after it beat, want 0", got)
		}
		w.Hold("a") // as if a were paused: b beats on
		beat(b, 10)
		if got := silent(); got != 0 {
			t.Errorf("b is silent for %v while a receives nothing, want 0", got)
		}
		w.Flow("a")
		if got := silent(); got > BeatTime {
			t.Errorf("b is silent for %v when a is back, want a beat at most", got)
		}
		w.Lose() // heartbeats, too
		synctest.Wait()
		if got := silent(); got > BeatTime {
			t.Errorf("b is silent for %v when heartbeats were lost, want a beat at most", got)
		}
	})
}

func TestANameBelongsToOneProcess(t *testing.T) {
	inMemory(t, func(t *testing.T, w *memoryWorld) {
		first := w.run("a", "1")
		wants(t, "beat", first.Beat(t.Context(), Node{}), nil)
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for {
				select {
				case <-stop:
					return
				case <-time.After(BeatTime):
					_ = first.Beat(t.Context(), Node{})
				}
			}
		}()
		_, err := w.Connect(t.Context(), Options{Node: "a", Run: "2"})
		wants(t, "a second node of that name", err, ErrNameTaken)
		close(stop) // it is paused, or was killed
		<-stopped
		second := w.run("a", "3")
		wants(t, "beat", second.Beat(t.Context(), Node{}), nil)
		wants(t, "beat of the one before", first.Beat(t.Context(), Node{}), ErrReplaced)
		if s := first.State(); s.Up {
			t.Errorf("state of the one before: %+v, want that it is not up", s)
		}
		first.Close()
		synctest.Wait()
		if all := second.Nodes(); len(all) != 1 || all[0].Run != "3" {
			t.Errorf("nodes %+v, want run 3", all)
		}
	})
}

// TestALookSeesWhatWasThereWhenItBegan has a read under way while a record is made.
func TestALookSeesWhatWasThereWhenItBegan(t *testing.T) {
	inMemory(t, func(t *testing.T, w *memoryWorld) {
		a, b := w.connect("a"), w.connect("b")
		w.Delay("b", 100*time.Millisecond)
		early := make(chan error, 1)
		go func() {
			_, _, err := b.Look(t.Context(), "demo")
			early <- err
		}()
		time.Sleep(150 * time.Millisecond) // it was read, and the answer is on its way
		create(t, a, demo("demo", "t0"))
		if _, _, err := b.Look(t.Context(), "demo"); err != nil {
			t.Errorf("look after it was made: %v, want the record", err)
		}
		if err := <-early; !errors.Is(err, claim.ErrNoRecord) {
			t.Errorf("look before it was made: %v, want none", err)
		}
	})
}

func TestLooksAtOnceAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reads := 0
		l := looks{read: func(context.Context, string) ([]byte, uint64, error) {
			reads++
			time.Sleep(time.Second)
			return nil, 0, errNone
		}}
		for range 1000 {
			go func() { _, _, _ = l.get(t.Context(), "demo") }()
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if reads != 2 || len(l.keys) != 0 {
			t.Errorf("%d reads, %d left; want one for the first, and one for all others", reads, len(l.keys))
		}
	})
}

// TestAClaimThatAnotherNodeTookOverEnds has a registry change a claim without an answer, so that it
// cannot know from the content of the record whether it is still its own.
func TestAClaimThatAnotherNodeTookOverEnds(t *testing.T) {
	inMemory(t, func(t *testing.T, w *memoryWorld) {
		a, b := w.connect("a"), w.connect("b")
		r := claim.New(claim.Options{Records: a})
		defer r.Close()
		o, err := r.Open(netip.Addr{}, "demo", "t0", claim.Settings{})
		wants(t, "open", err, nil)
		w.Cut("a", CutAnswers)
		wants(t, "change", o.Session.Claim().Change(claim.Settings{Lease: new(2 * time.Hour)}), claim.ErrUnavailable)
		record, h, err := b.Look(t.Context(), "demo")
		if err != nil || record.Lease != 2*time.Hour {
			t.Fatalf("look: %+v %v, want that the change was made", record, err)
		}
		term, err := b.Update(t.Context(), record, h.Term)
		wants(t, "take over", err, nil)
		w.Mend("a")
		time.Sleep(10 * time.Minute)
		if c := r.Lookup("demo"); c != nil {
			t.Error("the claim is still at a")
		}
		if _, h, err := b.Look(t.Context(), "demo"); err != nil || h.Node != "b" || h.Term != term {
			t.Errorf("look: %+v %v, want b at %d", h, err, term)
		}
	})
}
