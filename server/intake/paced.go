package intake

import (
	"io"
	"net/http"
	"time"

	"reversehttp/server/budget"
)

// Paced is the content of a program's request, read piece by piece at a pace. It must not be used
// by several goroutines at once.
type Paced struct {
	pace   Pace
	rc     *http.ResponseController
	r      *http.Request
	hold   *budget.Hold
	waited time.Duration
	size   int
	free   bool
}

// Pieces returns the content of a request, to be read piece by piece. It counts in [HoldOf], and
// the hold may be taken back meanwhile.
func (p Pace) Pieces(w http.ResponseWriter, r *http.Request) *Paced {
	c := &Paced{pace: p, rc: http.NewResponseController(w), r: r, hold: HoldOf(r)}
	c.hold.Evictable(func(error) { _ = c.rc.SetReadDeadline(Past) })
	return c
}

// Free suspends the pace, or starts it anew. While it is suspended, the caller bounds the time of
// reads.
func (c *Paced) Free(free bool) {
	c.free, c.waited, c.size = free, 0, 0
}

// Read implements [io.Reader]. Any error other than [io.EOF], the clean end, is a
// [*problem.Problem].
func (c *Paced) Read(into []byte) (n int, err error) {
	if c.free {
		n, err = c.r.Body.Read(into)
		return n, refused(err, c.hold)
	}
	begin := time.Now()
	n, err = c.pace.piece(c.rc, c.r.Body, c.hold, into, c.waited, c.size)
	c.waited += time.Since(begin)
	c.size += n
	return n, err
}

// Grow holds n more bytes for the next content; if n is small, it waits up to two seconds for room.
// It reports whether it holds them.
func (c *Paced) Grow(n int) bool { return growSoon(c.r.Context(), c.hold, n) }

// Take reads n bytes from in, which reads the content. The buffer grows as they come, whatever n
// is, and is held until Shrink is called with its capacity. Take fails with [Crowded] if there is
// no room, with the error of in, or with [io.ErrUnexpectedEOF] if in ends early, and then holds
// nothing.
func (c *Paced) Take(in io.Reader, n int) (content []byte, err error) {
	for err == nil && len(content) < n {
		size := min(n, max(2*len(content), soonThere))
		if !c.Grow(size) {
			err = Crowded()
			break
		}
		have := len(content)
		content = append(make([]byte, 0, size), content...)
		c.Shrink(have)
		if _, err = io.ReadFull(in, content[have:size]); err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		content = content[:size]
	}
	if err != nil {
		c.Shrink(cap(content))
		return nil, err
	}
	return content, nil
}

// Shrink holds n fewer bytes.
func (c *Paced) Shrink(n int) { c.hold.Shrink(n) }
