package domain

import (
	"container/heap"
	"time"
)

// queue holds entries in the order in which they are due.
type queue struct{ entries []*entry }

// Len implements [heap.Interface].
func (q *queue) Len() int { return len(q.entries) }

// Less implements [heap.Interface].
func (q *queue) Less(i, j int) bool { return q.entries[i].due.Before(q.entries[j].due) }

// Swap implements [heap.Interface].
func (q *queue) Swap(i, j int) {
	q.entries[i], q.entries[j] = q.entries[j], q.entries[i]
	q.entries[i].place, q.entries[j].place = i, j
}

// Push implements [heap.Interface].
func (q *queue) Push(x any) {
	e := x.(*entry)
	e.place = len(q.entries)
	q.entries = append(q.entries, e)
}

// Pop implements [heap.Interface].
func (q *queue) Pop() any {
	last := len(q.entries) - 1
	e := q.entries[last]
	q.entries[last], q.entries = nil, q.entries[:last]
	e.place = -1
	return e
}

// remove removes an entry if it is in the queue.
func (q *queue) remove(e *entry) {
	if e.place >= 0 {
		heap.Remove(q, e.place)
	}
}

// plan schedules the next lookup of an entry. The caller holds d.mu.
func (d *Domains) plan(e *entry, at time.Time) {
	d.due.remove(e)
	e.due = at
	heap.Push(&d.due, e)
	d.begin()
}

// begin starts the lookups that are due, as many as allowed, and sets the timer for the next. The
// caller holds d.mu.
func (d *Domains) begin() {
	if d.closed {
		return
	}
	now := time.Now()
	for d.due.Len() > 0 && d.lookups < mostLookups && !now.Before(d.due.entries[0].due) {
		e := heap.Pop(&d.due).(*entry)
		d.lookups++
		d.running.Go(func() { d.look(e) })
	}
	if d.due.Len() == 0 || d.lookups >= mostLookups { // a lookup that ends begins the next
		return
	}
	wait := d.due.entries[0].due.Sub(now)
	if d.timer != nil {
		d.timer.Reset(wait)
		return
	}
	d.timer = time.AfterFunc(wait, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.begin()
	})
}
