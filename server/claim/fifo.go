package claim

// fifo is a queue. Taking an element costs the same however many there are: its place is
// cleared at once, and reused when half of the places are such.
type fifo[T any] struct {
	all   []T
	taken int // how many of all, from its front, are not in the queue any more
	moved int // how many elements were copied; tests compare it with how many came
}

// roomy is how many places are too few to be worth freeing.
const roomy = 32

func (q *fifo[T]) len() int { return len(q.all) - q.taken }

// list returns the elements, oldest first. They may be changed in place.
func (q *fifo[T]) list() []T { return q.all[q.taken:] }

func (q *fifo[T]) push(v T) { q.all = append(q.all, v) }

// pop removes and returns the oldest element. There must be one.
func (q *fifo[T]) pop() T {
	v := q.all[q.taken]
	q.drop(1)
	return v
}

// drop removes the n oldest elements.
func (q *fifo[T]) drop(n int) {
	clear(q.all[q.taken : q.taken+n])
	q.taken += n
	switch left := q.len(); {
	case left == 0:
		q.empty()
	case q.taken >= roomy && q.taken >= left:
		q.moved += left
		copy(q.all, q.list())
		clear(q.all[left:])
		q.all, q.taken = q.all[:left], 0
	}
}

// keep removes the elements for which stays is false.
func (q *fifo[T]) keep(stays func(*T) bool) {
	all, n := q.list(), 0
	for i := range all {
		if stays(&all[i]) {
			all[n] = all[i]
			n++
		}
	}
	clear(all[n:])
	if q.all = q.all[:q.taken+n]; n == 0 {
		q.empty()
	}
}

func (q *fifo[T]) empty() {
	if q.all, q.taken = q.all[:0], 0; cap(q.all) > 2*roomy {
		q.all = nil
	}
}
