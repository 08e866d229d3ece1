package claim

import (
	"bytes"
	"errors"
	"io"
	"sync/atomic"

	"reversehttp/server/budget"
)

// Source is the content of a request that the visitor is still sending. One goroutine at a time
// reads it.
type Source interface {
	// Read reads as [io.Reader] does. [io.EOF] is the clean end of the content; any other error
	// has ended the exchange.
	Read(into []byte) (int, error)
	// Length returns the length of the content in bytes, or -1 if it is unknown.
	Length() int64
	// Trailers returns the fields that follow the content. Before the clean end of the content
	// these are the names that the visitor announced, without values.
	Trailers() []Field
	// Close says that the reader has left. The door decides what that ends.
	Close() error
}

// Content is the content of a visitor's request: whole, still being sent by the visitor, or
// collected, which makes it whole with its trailers. A nil Content is empty.
type Content struct {
	whole    []byte
	trailers []Field // of whole content

	source Source // nil where content is whole
	passed atomic.Int64
	ended  atomic.Bool // it was read to its end
	watch  *watch      // that sees what passes; nil where no tap does
}

// Whole returns content that has arrived. The caller must not change it afterwards.
func Whole(content []byte) *Content {
	if len(content) == 0 {
		return nil
	}
	return &Content{whole: content}
}

// Streamed returns content that is read once, from a source.
func Streamed(from Source) *Content { return &Content{source: from} }

// Streams reports whether the content has to be read from a source, because the visitor is still
// sending it.
func (c *Content) Streams() bool { return c != nil && c.source != nil }

// Bytes returns content that is whole; nil where it streams.
func (c *Content) Bytes() []byte {
	if c == nil {
		return nil
	}
	return c.whole
}

// Length returns the length of the content in bytes, or -1 if it is unknown.
func (c *Content) Length() int64 {
	if c.Streams() {
		return c.source.Length()
	}
	return int64(len(c.Bytes()))
}

// Trailers returns the fields that follow the content. Before the clean end of content that streams
// these are the names that the visitor announced, without values.
func (c *Content) Trailers() []Field {
	switch {
	case c == nil:
		return nil
	case c.source != nil:
		return c.source.Trailers()
	}
	return c.trailers
}

// read returns how many bytes were read; all bytes of whole content count as read.
func (c *Content) read() int {
	if c.Streams() {
		return int(c.passed.Load())
	}
	return len(c.Bytes())
}

// Open returns a reader of the content. Each reader of whole content starts at the beginning.
// Content that streams can be read once, by the caller of [Delivery.Fetch].
func (c *Content) Open() io.ReadCloser {
	if c.Streams() {
		return (*streaming)(c)
	}
	return io.NopCloser(bytes.NewReader(c.Bytes()))
}

// streaming reads content that streams.
type streaming Content

// Read reads what the visitor sends next.
func (c *streaming) Read(into []byte) (int, error) {
	n, err := c.source.Read(into)
	c.passed.Add(int64(n))
	if err == io.EOF {
		c.ended.Store(true)
	}
	c.watch.sent(into[:n])
	return n, err
}

// Close says that the reader has left, see [Source].
func (c *streaming) Close() error { return c.source.Close() }

// ErrTooLong means that content is too long to be collected.
var ErrTooLong = errors.New("claim: the content is too long")

// firstCollected is how many bytes are allocated before any content has come.
const firstCollected = 4 << 10

// collect reads content to its end and returns it whole, with its trailers, so that it can be read
// again. It counts in h until free is called. It fails with [ErrTooLong] beyond limit bytes, with
// [ErrNoRoom], or with the error of its source, and then holds nothing.
func (c *Content) collect(h *budget.Hold, limit int) (whole *Content, free func(), err error) {
	if c.Length() > int64(limit) {
		return nil, nil, ErrTooLong
	}
	if !c.Streams() {
		return c, func() {}, nil // it is held already
	}
	in := c.Open()
	var all []byte
	for {
		if len(all) == cap(all) {
			size := min(max(2*cap(all), firstCollected), limit+1) // one more, to see the end
			if !h.Grow(size) {
				h.Shrink(cap(all))
				return nil, nil, ErrNoRoom
			}
			held := cap(all)
			all = append(make([]byte, 0, size), all...)
			h.Shrink(held)
		}
		n, err := in.Read(all[len(all):cap(all)])
		all = all[:len(all)+n]
		switch {
		case len(all) > limit:
			h.Shrink(cap(all))
			return nil, nil, ErrTooLong
		case err == io.EOF:
			return &Content{whole: all, trailers: c.Trailers()}, func() { h.Shrink(cap(all)) }, nil
		case err != nil:
			h.Shrink(cap(all))
			return nil, nil, err
		}
	}
}

// Fetch returns the content of the request, once. It fails with [ErrNoExchange] or [ErrTaken].
func (d Delivery) Fetch() (*Content, error) {
	c := d.session.claim
	c.mu.Lock()
	defer c.mu.Unlock()
	x, err := d.fetch()
	if err != nil {
		return nil, err
	}
	// A session that fetches the content has the request, so a later poll leaves it out.
	x.seen = true
	return x.request.Content, nil
}

// Collect is Fetch for a door whose program takes only whole content. It reads the content to its
// end and returns it with its trailers, so that it can be read again. The content counts in the
// hold of the exchange until free is called. Collect fails as Fetch does, with [ErrTooLong] beyond
// limit bytes, with [ErrNoRoom], or with the error of the content's source. Then it holds nothing,
// and no program has had the request.
func (d Delivery) Collect(limit int) (whole *Content, free func(), err error) {
	c := d.session.claim
	c.mu.Lock()
	x, err := d.fetch()
	if err == nil {
		x.gathers = true
	}
	c.mu.Unlock()
	if err != nil {
		return nil, nil, err
	}
	if whole, free, err = x.request.Content.collect(x.hold, limit); err != nil {
		return nil, nil, err
	}
	c.mu.Lock()
	x.gathers = false
	over := x.state == ended
	c.mu.Unlock()
	if over {
		free()
		return nil, nil, ErrNoExchange
	}
	return whole, free, nil
}

// fetch notes that the session takes the content of an exchange. The caller holds claim.mu.
func (d Delivery) fetch() (*Exchange, error) {
	s := d.session
	x := s.held[d.id]
	switch {
	case x == nil || x.request.Content == nil:
		return nil, ErrNoExchange
	case x.fetched:
		return nil, ErrTaken
	}
	s.life.touch()
	x.fetched = true
	if x.state == delivered {
		x.state = running
	}
	return x, nil
}
