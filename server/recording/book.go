package recording

import (
	"crypto/rand"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/time/rate"

	"reversehttp/schema"
	"reversehttp/server/claim"
)

// Book holds the recordings of one claim. It is the claim's [claim.Tap].
type Book struct {
	// Replays bounds the rate of replays.
	Replays  *rate.Limiter
	refusals *rate.Limiter
	recorder *Recorder
	name     string       // part of the name of every change, so that those of other books are refused
	bytes    atomic.Int64 // of all recordings

	mu         sync.Mutex   // guards what follows
	recordings []*recording // oldest first
	byID       map[string]*recording
	change     uint64        // number of the last change
	cleared    uint64        // number of the last change that deleted recordings
	changed    chan struct{} // closed at the next change; nil while nobody waits
	readers    int           // streams of changes
	watchers   map[*Watcher]struct{}
	closed     bool
}

// replaysPerSecond is how many replays a claim may have in a second, and at once.
const replaysPerSecond = 4

// refusalsPerSecond is how many refused requests of a claim are recorded a second, and refusalsAtOnce how many at once: strangers
// can send any number, and the others are to stay.
const (
	refusalsPerSecond = 0.2
	refusalsAtOnce    = 20
)

func newBook(r *Recorder) *Book {
	return &Book{
		Replays: rate.NewLimiter(replaysPerSecond, replaysPerSecond), refusals: rate.NewLimiter(refusalsPerSecond, refusalsAtOnce), recorder: r,
		name: strings.ToLower(rand.Text()[:8]), byID: make(map[string]*recording),
	}
}

// See implements [claim.Tap].
func (b *Book) See(e claim.Event) {
	b.mu.Lock()
	x := b.byID[e.Exchange.ID()]
	switch {
	case b.closed:
		b.mu.Unlock()
		return
	case e.Kind == claim.EventAsked:
		x = newRecording(e)
		b.recordings = append(b.recordings, x)
		b.byID[x.id] = x
	case x == nil: // it was dropped
		b.mu.Unlock()
		return
	default:
		x.see(e)
	}
	b.weigh(x)
	if x.tells(e) {
		b.touch(x)
	}
	b.bound()
	b.mu.Unlock()
	b.recorder.relieve()
}

// bound drops what is too much, the oldest first. The caller holds b.mu.
func (b *Book) bound() {
	for len(b.recordings) > MostRecordings || b.bytes.Load() > bookBytes && len(b.recordings) > 1 {
		b.drop(0)
	}
}

// weigh counts the current weight of a recording. The caller holds b.mu.
func (b *Book) weigh(x *recording) {
	n := x.weight()
	b.count(n - x.counted)
	x.counted = n
}

func (b *Book) count(n int) {
	b.bytes.Add(int64(n))
	b.recorder.total.Add(int64(n))
}

// touch notes that a recording changed, or with nil that the book did. The caller holds b.mu.
func (b *Book) touch(x *recording) {
	b.change++
	if x != nil {
		x.changed = b.change
	}
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
	for w := range b.watchers {
		w.notify()
	}
}

// drop drops a recording. The caller holds b.mu.
func (b *Book) drop(i int) {
	x := b.recordings[i]
	b.recordings = slices.Delete(b.recordings, i, i+1)
	delete(b.byID, x.id)
	b.count(-x.counted)
}

// dropOldest drops the oldest recording, and reports whether there was one.
func (b *Book) dropOldest() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.recordings) == 0 {
		return false
	}
	b.drop(0)
	return true
}

// Clear drops the recordings of exchanges that have ended.
func (b *Book) Clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := len(b.recordings) - 1; i >= 0; i-- {
		if b.recordings[i].ended() {
			b.drop(i)
		}
	}
	b.touch(nil)
	b.cleared = b.change
	for _, x := range b.recordings { // readers that forget everything get these again
		b.touch(x)
	}
}

// Close drops all recordings and ends the readers of the book.
func (b *Book) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for len(b.recordings) > 0 {
		b.drop(len(b.recordings) - 1)
	}
	b.touch(nil)
}

// Watcher is notified when a book changes.
type Watcher struct {
	book   *Book
	notify func()
}

// Watch calls notify whenever something changes, until the watcher stops. notify is called with the
// book locked and must not block.
func (b *Book) Watch(notify func()) *Watcher {
	b.mu.Lock()
	defer b.mu.Unlock()
	w := &Watcher{b, notify}
	if b.watchers == nil {
		b.watchers = make(map[*Watcher]struct{})
	}
	b.watchers[w] = struct{}{}
	return w
}

// Since is [Book.Since] of the watched book.
func (w *Watcher) Since(change string) Changes {
	c, _ := w.book.Since(change, Filter{})
	return c
}

// Stop ends the notifications.
func (w *Watcher) Stop() {
	w.book.mu.Lock()
	defer w.book.mu.Unlock()
	delete(w.book.watchers, w)
}

// Changes are the changes of a book.
type Changes struct {
	// Recordings are the changed recordings in their current state, the one that changed last at
	// the end.
	Recordings []schema.Recorded
	// Change names the current state of the book.
	Change string
	// Cleared reports whether recordings were deleted. Then Recordings begins anew with all that
	// there are.
	Cleared bool
	// More reports whether Recordings is cut short. The other changes follow Change.
	More bool
	// Closed reports whether the book is closed and will not change again.
	Closed bool
}

// changesBytes bounds the changes returned at once, in bytes of JSON, approximately.
const changesBytes = 64 << 10

// Since returns the recordings that pass a filter and changed since a named change, or all of them
// if the book does not know that name. It ignores Before and Limit of the filter. news is closed at
// the next change.
func (b *Book) Since(change string, f Filter) (c Changes, news <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	since, known := b.number(change)
	c.Cleared = !known && change != "" || since < b.cleared && known
	if c.Cleared {
		since = 0
	}
	var changed []*recording
	for _, x := range b.recordings {
		if x.changed > since {
			changed = append(changed, x)
		}
	}
	slices.SortFunc(changed, func(x, y *recording) int { return int(x.changed) - int(y.changed) })
	size := 0
	for i, x := range changed {
		if size > changesBytes {
			changed, c.More = changed[:i], true
			break
		}
		if f.passes(x) {
			c.Recordings = append(c.Recordings, x.recorded())
			size += x.listedBytes()
		}
	}
	last := b.change
	if c.More {
		last = changed[len(changed)-1].changed
	}
	c.Change, c.Closed = b.named(last), b.closed
	if b.changed == nil {
		b.changed = make(chan struct{})
	}
	return c, b.changed
}

// named returns the name of a change.
func (b *Book) named(n uint64) string { return b.name + "-" + strconv.FormatUint(n, 10) }

// number returns the number of a named change and reports whether the book knows the name. The
// caller holds b.mu.
func (b *Book) number(change string) (n uint64, known bool) {
	name, digits, _ := strings.Cut(change, "-")
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || name != b.name || n > b.change {
		return 0, false
	}
	return n, true
}

// MostReaders is the most streams of changes that a book has at once.
const MostReaders = 16

// Enter begins a stream of changes. It reports false if there are already [MostReaders]. A caller
// that entered must call Leave.
func (b *Book) Enter() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.readers >= MostReaders {
		return false
	}
	b.readers++
	return true
}

// Leave ends a stream that Enter began.
func (b *Book) Leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.readers--
}
