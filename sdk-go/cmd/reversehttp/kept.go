package main

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// As much content of a request is kept until the local server is known to have seen it.
const keptMost = 64 << 10

// keptContent is the content of a request that may have to be sent again. Readers read it from its beginning, one after the
// other; one that was closed in the middle of a Read leaves the bytes to the next.
type keptContent struct {
	lost atomic.Bool // more was read than is kept

	mu     sync.Mutex // guards what follows, and is held while the source is read
	source io.Reader
	kept   []byte
}

func (k *keptContent) reader() *keptReader { return &keptReader{content: k} }

// whole reports whether another reader would have all of it. Those before are closed.
func (k *keptContent) whole() bool { return !k.lost.Load() }

type keptReader struct {
	content *keptContent
	closed  atomic.Bool
	at      int // in what is kept
}

func (r *keptReader) Read(p []byte) (int, error) {
	k := r.content
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case r.closed.Load():
		return 0, http.ErrBodyReadAfterClose
	case r.at < len(k.kept):
		n := copy(p, k.kept[r.at:])
		r.at += n
		return n, nil
	case len(k.kept) >= keptMost:
		k.lost.Store(true)
		k.kept = nil
	}
	n, err := k.source.Read(p)
	if !k.lost.Load() {
		k.kept = append(k.kept, p[:n]...)
		r.at += n
	}
	return n, err
}

// Close ends this reader, and not the source.
func (r *keptReader) Close() error {
	r.closed.Store(true)
	return nil
}
