// Package recording keeps exchanges for the owner of a claim to look at (schema/README.md, section 13).
//
// A [Recorder] has a [Book] for each claim that asks for recordings. The book is the claim's tap:
// it copies what it sees, within the bounds of that section, and notifies its watchers. Readers get
// snapshots of a book, or the changes since one. Nothing here delays an exchange: a full book drops
// its oldest recording, and a full recorder the oldest of its largest book.
package recording

import (
	"crypto/rand"
	"strings"
	"sync"
	"sync/atomic"

	"reversehttp/schema"
	"reversehttp/server/claim"
	"reversehttp/server/terms"
)

// The bounds of a book and of a recording.
const (
	// MostRecordings is the most recordings of a claim.
	MostRecordings = 200

	bookBytes      = 16 << 20
	contentBytes   = 256 << 10 // in each direction
	mostParts      = 512
	mostDeliveries = 16
	mostInterims   = 16
)

// Recorder holds the recordings of a gateway.
type Recorder struct {
	most  int64 // bytes in all; 0 for no bound
	total atomic.Int64

	mu    sync.Mutex // guards books
	books map[*claim.Claim]*Book
}

// New returns a recorder that keeps at most most bytes; 0 means no bound.
func New(most int64) *Recorder {
	return &Recorder{most: most, books: make(map[*claim.Claim]*Book)}
}

// Tap is the Tap of [claim.Options]: it returns the book of a claim that asks for recordings, and
// closes the book of one that no longer does.
func (r *Recorder) Tap(c *claim.Claim, t claim.Terms) claim.Tap {
	if t.Others[terms.Inspect] == nil {
		r.End(c)
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	book := r.books[c]
	if book == nil {
		book = newBook(r)
		r.books[c] = book
	}
	return book
}

// End is the Untap of [claim.Options]: it drops the recordings of an ended claim.
func (r *Recorder) End(c *claim.Claim) {
	r.mu.Lock()
	book := r.books[c]
	delete(r.books, c)
	r.mu.Unlock()
	if book != nil {
		book.Close()
	}
}

// Take returns the book of a claim that is about to end, so that the book outlives the claim. The
// caller must close it. It is nil if nothing is recorded.
func (r *Recorder) Take(c *claim.Claim) *Book {
	r.mu.Lock()
	defer r.mu.Unlock()
	book := r.books[c]
	delete(r.books, c)
	return book
}

// Book returns the recordings of a claim; nil if it asks for none.
func (r *Recorder) Book(c *claim.Claim) *Book {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.books[c]
}

// Refused records a request that the policy of its claim refused with a code, and its received content, if
// recordings are on, and unless there are so many that they would replace others.
func (r *Recorder) Refused(c *claim.Claim, req *claim.Request, content []byte, code schema.Code) {
	b := r.Book(c)
	if b == nil || !b.refusals.Allow() {
		return
	}
	x := newRefused("refused-"+strings.ToLower(rand.Text()[:16]), req, content, code)
	b.mu.Lock()
	if !b.closed {
		b.recordings = append(b.recordings, x)
		b.byID[x.id] = x
		b.weigh(x)
		b.touch(x)
		b.bound()
	}
	b.mu.Unlock()
	r.relieve()
}

// Bytes returns the size of all recordings in bytes.
func (r *Recorder) Bytes() int64 { return r.total.Load() }

// relieve drops the oldest recordings of the largest book until all recordings fit. The caller
// holds no lock.
func (r *Recorder) relieve() {
	for r.most > 0 && r.total.Load() > r.most {
		if largest := r.largest(); largest == nil || !largest.dropOldest() {
			return
		}
	}
}

func (r *Recorder) largest() (largest *Book) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.books {
		if largest == nil || b.bytes.Load() > largest.bytes.Load() {
			largest = b
		}
	}
	return largest
}
