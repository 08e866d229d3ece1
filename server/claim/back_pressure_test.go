package claim

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/server/budget"
)

// sender is a call of a session on its own goroutine.
type sender struct {
	done   chan struct{}
	result Result
	err    error
}

func (v *streamed) send(ctx context.Context, seq int, content []byte) *sender {
	b := &sender{done: make(chan struct{})}
	go func() {
		defer close(b.done)
		b.result, b.err = v.s.Delivery(v.x.ID()).Part(ctx, Part{Seq: seq, Content: content, More: true})
	}()
	synctest.Wait()
	return b
}

func (b *sender) waits() bool {
	synctest.Wait()
	select {
	case <-b.done:
		return false
	default:
		return true
	}
}

func TestASenderWaitsForTheVisitor(t *testing.T) {
	inStream(t, func(t *testing.T, _ *scene, v *streamed) {
		full := make([]byte, window)
		if b := v.send(t.Context(), 1, full); b.waits() {
			t.Fatal("a part within the window waits")
		}
		senders := []*sender{v.send(t.Context(), 2, []byte("b")), v.send(t.Context(), 3, full), v.send(t.Context(), 2, []byte("b"))}
		ctx, stop := context.WithCancel(t.Context())
		gone := v.send(ctx, 3, full)
		for i, b := range append(senders, gone) {
			if !b.waits() {
				t.Fatalf("sender %d does not wait", i)
			}
		}
		stop()
		if gone.waits() || !errors.Is(gone.err, context.Canceled) {
			t.Errorf("a sender who left waits, or heard %v %v", gone.result, gone.err)
		}
		if got, err := v.next(); err != nil || len(got) != window+1 {
			t.Errorf("next = %d bytes %v, want what there was room for", len(got), err)
		}
		for i, want := range []Result{Accepted, Accepted, Duplicate} {
			if senders[i].waits() || senders[i].result != want {
				t.Errorf("sender %d waits, or heard %v, want %v", i, senders[i].result, want)
			}
		}
		v.leave()
		v.cut(Abandoned, ErrVisitorGone)
	})
}

// The claim has little room left, which is reserved for small answers.
func TestASenderWaitsForEveryByteIfRoomIsShort(t *testing.T) {
	inScene(t, Options{Limits: Limits{Memory: 1 << 20}}, func(t *testing.T, s *scene) {
		v := s.stream("GET")
		if b := v.send(t.Context(), 1, []byte("a")); b.waits() {
			t.Fatal("a part within the window waits")
		}
		rest := s.budget.Open(someone)
		defer rest.Close()
		s.claim.Charge(rest)
		rest.Add(300 << 10)
		b := v.send(t.Context(), 2, []byte("b"))
		if !b.waits() {
			t.Fatal("a part does not wait for the visitor")
		}
		for _, want := range []string{"a", "b"} {
			if got, err := v.next(); err != nil || got != want {
				t.Errorf("next = %q %v, want %s", got, err, want)
			}
			synctest.Wait()
		}
		if b.waits() || b.result != Accepted {
			t.Errorf("the sender waits, or heard %v, want accepted", b.result)
		}
		v.leave()
		v.cut(Abandoned, ErrVisitorGone)
	})
}

func TestContentBehindAWaitingSenderCounts(t *testing.T) {
	inStream(t, func(t *testing.T, s *scene, v *streamed) {
		w, _, err := v.s.Delivery(v.x.ID()).Stream(Coming{Lasts: true, Behind: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		before := int(v.x.Hold().Held(budget.Memory))
		for _, want := range []int{window, window + 1 + 1<<20} {
			content := make([]byte, want-(int(v.x.Hold().Held(budget.Memory))-before))
			if want > window {
				content = make([]byte, 1)
			}
			written := make(chan bool)
			go func() { written <- w.Write(t.Context(), content) }()
			synctest.Wait()
			if got := int(v.x.Hold().Held(budget.Memory)) - before; got != want {
				t.Errorf("%d bytes more are held, want %d", got, want)
			}
			if want > window {
				if _, err := v.next(); err != nil {
					t.Error(err)
				}
			}
			if !<-written {
				t.Error("nobody wants more")
			}
		}
		if got := int(v.x.Hold().Held(budget.Memory)) - before; got != window+1 {
			t.Errorf("%d bytes more are held while the visitor reads %d", got, window+1)
		}
		v.leave()
		v.cut(Abandoned, ErrVisitorGone)
	})
}

func TestEveryEndOfAnExchangeReleasesItsSender(t *testing.T) {
	for name, c := range map[string]struct {
		end     func(s *scene, v *streamed)
		outcome Outcome
		err     error
		want    Result
		later   Result
	}{
		"the visitor leaves": {func(_ *scene, v *streamed) { v.x.Fail(ErrVisitorGone) }, Abandoned, ErrVisitorGone, Late, Late},
		"bad content":        {func(_ *scene, v *streamed) { v.x.Reject(ErrTaken) }, Failed, ErrTaken, Late, Late},
		"an abort": {func(_ *scene, v *streamed) { _, _ = v.s.Delivery(v.x.ID()).Abort() }, Failed, ErrHandlerFailed,
			Accepted, Conflict},
		"the session ends": {func(_ *scene, v *streamed) { _ = v.s.End(nil, false) }, Failed, ErrSessionLost, Accepted, Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			inStream(t, func(t *testing.T, s *scene, v *streamed) {
				b := v.send(t.Context(), 1, make([]byte, window+1))
				if !b.waits() {
					t.Fatal("the sender does not wait")
				}
				start := time.Now()
				c.end(s, v)
				if b.waits() || b.result != c.want || time.Since(start) != 0 {
					t.Errorf("the sender waits, or heard %v after %s, want %v at once", b.result, time.Since(start), c.want)
				}
				if c.later != Unknown {
					v.part(2, "x", true, c.later)
				}
				if c.err != ErrVisitorGone { // an exchange whose visitor left is not checked
					v.cut(c.outcome, c.err)
				}
				v.ended(c.outcome)
			})
		})
	}
}

func TestAProgramThatDoesNotWaitCannotFillTheMemory(t *testing.T) {
	inStream(t, func(t *testing.T, _ *scene, v *streamed) {
		for seq := 1; seq <= 50; seq++ {
			ctx, hangUp := context.WithTimeout(t.Context(), time.Second)
			_, _ = v.s.Delivery(v.x.ID()).Part(ctx, Part{Seq: seq, Content: make([]byte, 50_000), More: true})
			hangUp()
		}
		v.x.claim.mu.Lock()
		held := v.x.parts.size
		v.x.claim.mu.Unlock()
		if held > window+50_000 {
			t.Errorf("held = %d bytes for a visitor who takes nothing, want at most %d", held, window+50_000)
		}
		v.leave()
		v.cut(Abandoned, ErrVisitorGone)
	})
}
