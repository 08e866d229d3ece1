package bounds

import (
	"fmt"
	"testing"
)

// watched is how much more than at the start the gateway and the program hold.
type watched struct {
	t                 *testing.T
	gateway, program  *process
	before, beforeToo figures // of gateway and program
	most, mostToo     held
}

// watch notes what the two hold.
func watch(t *testing.T, gateway, program *process) *watched {
	return &watched{
		t: t, gateway: gateway, program: program,
		before: gateway.tell(order{Collect: true}), beforeToo: program.tell(order{Collect: true}),
	}
}

// look notes what the two hold if it is a new maximum.
func (w *watched) look() {
	more := func(most *held, p *process, before figures) {
		if h := p.tell(order{Collect: true}).held(before); h.all() > most.all() {
			*most = h
		}
	}
	more(&w.most, w.gateway, w.before)
	more(&w.mostToo, w.program, w.beforeToo)
}

// judge logs the maximum, and fails the test if it exceeds a bound.
func (w *watched) judge(of func(held) int64, bound int64) {
	w.t.Helper()
	w.t.Logf("the gateway held %s, the program %s", w.most, w.mostToo)
	if of(w.most) > bound || of(w.mostToo) > bound {
		w.t.Errorf("the gateway held %s and the program %s, want at most %s each", w.most, w.mostToo, kib(bound))
	}
	if w.most.heap <= 0 || w.mostToo.heap <= 0 {
		w.t.Error("nothing was held, so the figures were not collected")
	}
}

// remembered is how much of a crowd may remain in a process, in bytes: the ids of its exchanges.
const remembered = 256 << 10

// grown is how much more than before the gateway and the program hold.
type grown struct {
	goroutines, goroutinesToo int
	heap, heapToo             int64
}

// more reports whether a process has more goroutines, or more memory than it may remember.
func (g grown) more() bool {
	return max(g.goroutines, g.goroutinesToo) > 0 || max(g.heap, g.heapToo) > remembered
}

func (g grown) String() string {
	return fmt.Sprintf("the gateway %+d goroutines and %s, the program %+d and %s",
		g.goroutines, kib(g.heap), g.goroutinesToo, kib(g.heapToo))
}

// grown waits until both processes have released what they can, and returns what is left.
func (w *watched) grown() (g grown) {
	w.t.Helper()
	var fewest int64
	still := 0
	await(w.t, "nothing more is let go of", func() bool {
		gateway, program := w.gateway.tell(order{Collect: true}), w.program.tell(order{Collect: true})
		g = grown{
			gateway.Goroutines - w.before.Goroutines, program.Goroutines - w.beforeToo.Goroutines,
			gateway.Heap - w.before.Heap, program.Heap - w.beforeToo.Heap,
		}
		// A goroutine counts as much as its stack.
		held := g.heap + g.heapToo + int64(g.goroutines+g.goroutinesToo)*(4<<10)
		if still++; held < fewest-(16<<10) || still == 1 {
			fewest, still = held, 1
		}
		return !g.more() || still > stillLooks
	})
	w.t.Log("left: ", g)
	return g
}

// stillLooks is how many looks without a decrease mean that none will follow.
const stillLooks = 50
