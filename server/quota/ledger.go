package quota

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"
)

// How nodes publish what they have used.
const (
	// publishEvery is how often a node writes what has changed.
	publishEvery = 5 * time.Second
	// mostWrites bounds the records that a node writes or removes each time. Those that have changed
	// by the largest fraction of a limit come first.
	mostWrites = 500
	// mostShared bounds the records of a node, for each of accounts, addresses and labels. What
	// further owners use counts where they use it only.
	mostShared = 10_000
	// sweepEvery is how often a node looks for what nodes that are gone have left.
	sweepEvery = time.Minute
)

// ledger is a book's part of what all nodes of a cluster know of each other's usage.
type ledger struct {
	book *Book
	most int // records of this node, for each kind of owner

	// Guarded by book.mu.
	others  map[key][]part // records of other nodes; the slices do not change
	started bool           // the records of an earlier run of this node were read

	// Used by one goroutine at a time.
	written map[key]part // records of this node
	count   map[Of]int   // how many
	full    map[Of]bool  // that there are too many was logged
	failing bool         // the last write did not succeed
	swept   time.Time
}

// newLedger makes the ledger of a book, which has counted nothing. The book goes on from what an
// earlier run of this node has used.
func newLedger(b *Book) {
	l := &ledger{book: b, most: mostShared, others: make(map[key][]part), written: make(map[key]part), count: make(map[Of]int), full: make(map[Of]bool), swept: time.Now()}
	b.ledger = l
	b.options.Shared.Follow(l.take)
	b.mu.Lock()
	defer b.mu.Unlock()
	l.started = true
}

// take notes a record.
func (l *ledger) take(s Share) {
	l.book.mu.Lock()
	defer l.book.mu.Unlock()
	k := key{s.Of, s.Name}
	if s.Own {
		if !l.started && s.Used != nil {
			l.written[k] = partOf(s)
			l.count[k.of]++
			l.book.restore(s.Record, time.Now())
		}
		return
	}
	all := slices.DeleteFunc(slices.Clone(l.others[k]), func(p part) bool { return p.node == s.Node })
	if s.Used != nil {
		all = append(all, partOf(s))
	}
	if l.others[k] = all; len(all) == 0 {
		delete(l.others, k)
	}
	if o := l.book.owners[k]; o != nil {
		o.others.Store(&all)
	}
}

// join adds what other nodes have used to a new owner. The caller holds book.mu.
func (l *ledger) join(k key, o *owner) {
	if l != nil {
		if all := l.others[k]; all != nil {
			o.others.Store(&all)
		}
	}
}

// Publish writes what this node has used for the other nodes of a cluster, every 5 s until ctx
// ends. Without [Options.Shared] it returns at once.
func (b *Book) Publish(ctx context.Context) {
	if b == nil || b.ledger == nil {
		return
	}
	tick := time.NewTicker(publishEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			b.ledger.write(ctx, mostWrites)
			b.ledger.sweep(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// change is a record to be written, or to be removed.
type change struct {
	key
	part
	needed bool
	weight float64
}

// write writes up to so many records that have changed.
func (l *ledger) write(ctx context.Context, most int) {
	all := l.changes(time.Now())
	slices.SortFunc(all, func(a, b change) int { return cmp.Compare(b.weight, a.weight) })
	for _, c := range all[:min(len(all), most)] {
		_, had := l.written[c.key]
		var err error
		switch {
		case c.needed && !had && l.count[c.of] >= l.most:
			if !l.full[c.of] {
				l.full[c.of] = true
				l.book.options.Log.Warn("too many use quotas for other nodes to know all of them", "of", string(c.of), "known", l.most)
			}
			continue
		case c.needed:
			err = l.book.options.Shared.Write(ctx, c.record(c.key))
		default:
			err = l.book.options.Shared.Write(ctx, Record{Of: c.of, Name: c.name})
		}
		if err != nil {
			if !l.failing && ctx.Err() == nil {
				l.book.options.Log.Warn("other nodes do not learn which quotas are used here", "error", err)
			}
			l.failing = true
			return
		}
		l.failing = false
		switch {
		case !c.needed:
			delete(l.written, c.key)
			l.count[c.of]--
		case !had:
			l.count[c.of]++
			fallthrough
		default:
			l.written[c.key] = c.part
		}
	}
}

// changes returns the records that have changed.
func (l *ledger) changes(now time.Time) (all []change) {
	l.book.mu.RLock()
	owners := maps.Clone(l.book.owners)
	l.book.mu.RUnlock()
	for k, o := range owners {
		if k.name == others { // these are other owners at each node
			continue
		}
		was, had := l.written[k]
		is, needed := o.part(&was, now)
		if needed != had || needed && !is.is(&was) {
			all = append(all, change{k, is, needed, o.weight(&was, &is)})
		}
	}
	for k := range l.written {
		if owners[k] == nil { // it was forgotten, or its periods were over when this node started
			all = append(all, change{key: k})
		}
	}
	return all
}

// sweep removes what nodes that are gone have left of periods that are over.
func (l *ledger) sweep(ctx context.Context) {
	now := time.Now()
	if now.Sub(l.swept) < sweepEvery {
		return
	}
	l.swept = now
	var left []Share
	l.book.mu.RLock()
	for k, all := range l.others {
		for i := range all {
			if p := &all[i]; len(left) < mostWrites && p.over(now) {
				left = append(left, Share{Node: p.node, Run: p.run, Record: Record{Of: k.of, Name: k.name}, Value: p.value})
			}
		}
	}
	l.book.mu.RUnlock()
	for _, s := range left {
		if !l.book.options.Shared.Lives(s.Node, s.Run) && l.book.options.Shared.Remove(ctx, s) != nil {
			return
		}
	}
}

// close writes all that has changed, so that it counts after this node has ended.
func (l *ledger) close() {
	if l != nil {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		l.write(ctx, mostShared*3)
	}
}
