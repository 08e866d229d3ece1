package claim

// fifo is a queue. Taking an element costs constant time: its slot is cleared at once, and slots
// are reused once half of them are clear.
type fifo[T any] struct {
	all   []T
	taken int // number of elements at the front of all that were taken
	moved int // number of elements copied; tests compare it with the number of elements that came
}

// roomy is how many clear slots are not worth reusing yet.
const roomy = 32

func (q *fifo[T]) len() int { return len(q.all) - q.taken }

// list returns the elements, oldest first. The caller may change them in place.
func (q *fifo[T]) list() []T { return q.all[q.taken:] }

func (q *fifo[T]) push(v T) { q.all = append(q.all, v) }

// pop removes and returns the oldest element. The queue must not be empty.
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

// keep removes the elements for which stays returns false.
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
