package peer

import "sync"

// pieces has buffers for content that is passed on.
var pieces buffers

// buffers are buffers of one size that are used again.
type buffers struct{ pool sync.Pool }

// get returns a buffer of at least n bytes.
func (b *buffers) get(n int) *[]byte {
	if n <= piece {
		if buf, is := b.pool.Get().(*[]byte); is {
			return buf
		}
		buf := make([]byte, piece)
		return &buf
	}
	buf := make([]byte, n)
	return &buf
}

// put takes a buffer back.
func (b *buffers) put(buf *[]byte) {
	if len(*buf) == piece {
		b.pool.Put(buf)
	}
}
