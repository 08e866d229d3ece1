package quota

import (
	"context"
	"time"
)

// Shared is where the nodes of a cluster keep what each of them has used. Every node adds what the
// others have used to its own count.
type Shared interface {
	// Follow calls f with the record of every node for every owner before it returns, and then with
	// each change of one. f returns soon, and does not call Shared.
	Follow(f func(Share))
	// Write replaces the record of this node for an owner. One without usage is removed.
	Write(ctx context.Context, r Record) error
	// Remove removes a record, of whichever node, unless it has changed.
	Remove(ctx context.Context, s Share) error
	// Lives reports whether what a run of a node has at a time still exists: it does not if the node
	// has ended or is about to end.
	Lives(node, run string) bool
}

// Share is the usage of one owner at one node.
type Share struct {
	// Node is the name of the node, and Run the run of its process.
	Node, Run string
	// Own says that the node has the name of this one, in whichever run.
	Own bool
	// Record is the usage. Its Used is nil if the record was removed.
	Record
	// Value is the record as it is stored, for [Shared.Remove].
	Value []byte
}

// part is a share in the form that is counted.
type part struct {
	node, run string
	used      [kinds]int64
	since     [kinds]time.Time // zero for kinds without a period
	value     []byte
}

// partOf returns a share as a part.
func partOf(s Share) part {
	p := part{node: s.Node, run: s.Run, value: s.Value}
	for k := range kinds {
		p.used[k], p.since[k] = max(s.Used[k.String()], 0), s.Since[k.String()]
	}
	return p
}

// record returns a part as the record of an owner.
func (p *part) record(of key) Record {
	r := Record{Of: of.of, Name: of.name, Used: map[string]int64{}, Since: map[string]time.Time{}}
	for k, n := range p.used {
		if n == 0 {
			continue
		}
		r.Used[Kind(k).String()] = n
		if !p.since[k].IsZero() {
			r.Since[Kind(k).String()] = p.since[k]
		}
	}
	return r
}

// is reports whether two parts count the same.
func (p *part) is(other *part) bool {
	for k, n := range p.used {
		if n != other.used[k] || n > 0 && !p.since[k].Equal(other.since[k]) {
			return false
		}
	}
	return true
}

// over reports whether every period in which something was used is over.
func (p *part) over(now time.Time) bool {
	for k := RequestsPerMinute; k < kinds; k++ {
		if from, _ := k.window(now); p.used[k] > 0 && !p.since[k].Before(from) {
			return false
		}
	}
	return true
}

// away returns how much of a kind other nodes use, or have used in its current period.
func (o *owner) away(k Kind, now time.Time) (n int64) {
	others := o.others.Load()
	if others == nil {
		return 0
	}
	from, _ := k.window(now)
	for i := range *others {
		p := &(*others)[i]
		if p.used[k] > 0 && p.since[k].Equal(from) && (!from.IsZero() || o.book.options.Shared.Lives(p.node, p.run)) {
			n += p.used[k]
		}
	}
	return n
}

// part returns what other nodes need to know of the usage. was is what they know. It reports false
// if they need to know nothing: no account, and less than a hundredth of each limit. What exists at
// a time is not known of labels: all of it is where their claim is.
func (o *owner) part(was *part, now time.Time) (p part, needed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for k := range kinds {
		if o.of == Label && k < RequestsPerMinute {
			continue
		}
		o.roll(k, now)
		limit := o.limit(k)
		known := was.used[k] > 0 && was.since[k].Equal(o.since[k])
		if o.used[k] == 0 || limit == 0 && o.of != Account && !known {
			continue
		}
		p.used[k], p.since[k] = o.used[k], o.since[k]
		needed = needed || known || o.of == Account || o.used[k] > little(limit)
	}
	return p, needed
}

// weight returns how much a change matters, as a fraction of a limit.
func (o *owner) weight(was, is *part) (w float64) {
	for k := range kinds {
		n := is.used[k]
		if is.since[k].Equal(was.since[k]) {
			n -= was.used[k]
		}
		if limit := o.limit(k); limit > 0 {
			w = max(w, float64(max(n, -n))/float64(limit))
		}
	}
	return w
}
