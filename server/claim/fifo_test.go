package claim

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestAFifoKeepsItsOrderAndCopiesLittle(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var q fifo[int]
	var want []int
	pushed := 0
	for round := range 400 {
		// It grows and shrinks alternately.
		for range rnd.IntN(100 + 900*(round/100%2)) {
			q.push(pushed)
			want = append(want, pushed)
			pushed++
		}
		for range rnd.IntN(1000) {
			if len(want) == 0 {
				break
			}
			if got := q.pop(); got != want[0] {
				t.Fatalf("pop = %d, want %d", got, want[0])
			}
			want = want[1:]
		}
		if round%50 == 0 {
			odd := func(n int) bool { return n%2 == 1 }
			q.keep(func(n *int) bool { return odd(*n) })
			want = slices.DeleteFunc(want, func(n int) bool { return !odd(n) })
		}
		if !slices.Equal(q.list(), want) || q.len() != len(want) {
			t.Fatalf("round %d: %d in the queue, want %d, or others", round, q.len(), len(want))
		}
	}
	if q.moved > pushed {
		t.Errorf("%d elements were copied for %d that came, want no more", q.moved, pushed)
	}
	q.drop(q.len())
	if n := cap(q.all); n > 2*roomy {
		t.Errorf("empty, it has places for %d, want %d at most", n, 2*roomy)
	}
}

func TestAFifoKeepsNoReferenceToTakenItems(t *testing.T) {
	var q fifo[*int]
	for range 10 {
		q.push(new(int))
	}
	q.drop(3)
	oldest := q.list()[0]
	q.keep(func(p **int) bool { return *p != oldest })
	for i, p := range q.all[:cap(q.all)] {
		if here := i >= q.taken && i < len(q.all); (p != nil) != here {
			t.Errorf("place %d of %d to %d has %v", i, q.taken, len(q.all), p)
		}
	}
}
