package bounds

import (
	"testing"
)

// watched is what the gateway and the program hold more than at the start.
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

// look notes what the two hold where that is more than before.
func (w *watched) look() {
	more := func(most *held, p *process, before figures) {
		if h := p.tell(order{Collect: true}).held(before); h.all() > most.all() {
			*most = h
		}
	}
	more(&w.most, w.gateway, w.before)
	more(&w.mostToo, w.program, w.beforeToo)
}

// judge says how much that was, and fails where of was more than a bound.
func (w *watched) judge(of func(held) int64, bound int64) {
	w.t.Helper()
	w.t.Logf("the gateway held %s, the program %s", w.most, w.mostToo)
	if of(w.most) > bound || of(w.mostToo) > bound {
		w.t.Errorf("the gateway held %s and the program %s, want at most %s each", w.most, w.mostToo, kib(bound))
	}
	if w.most.heap <= 0 || w.mostToo.heap <= 0 {
		w.t.Error("nothing was held at all: the figures are none")
	}
}

// left waits until both are as they were: no goroutine more, and memory as it
// was but for what is remembered of the exchanges that ended.
func (w *watched) left(remembered int64) {
	w.t.Helper()
	var gateway, program figures
	defer func() {
		w.t.Logf("left: the gateway %+d goroutines and %s, the program %+d and %s",
			gateway.Goroutines-w.before.Goroutines, kib(gateway.Heap-w.before.Heap),
			program.Goroutines-w.beforeToo.Goroutines, kib(program.Heap-w.beforeToo.Heap))
	}()
	await(w.t, "the gateway and the program are as they were", func() bool {
		gateway, program = w.gateway.tell(order{Collect: true}), w.program.tell(order{Collect: true})
		return gateway.Goroutines <= w.before.Goroutines && program.Goroutines <= w.beforeToo.Goroutines &&
			gateway.Heap-w.before.Heap <= remembered && program.Heap-w.beforeToo.Heap <= remembered
	})
}
