package main

import (
	"io"
	"net/http"
	"sync"
)

const (
	// The most content of a request that is kept until the local server is known to have received
	// it, in bytes.
	keptMost = 64 << 10
	// The bytes read at a time into it.
	keptEach = 16 << 10
)

// keptContent is the content of a request that may have to be sent again. Readers read it one after
// another, each from the beginning. A goroutine reads the source, so that a closed reader need not
// wait for it: net/http waits for the Read of a failed request, but the visitor may send more only
// after an answer. The goroutine ends with the source.
type keptContent struct {
	source io.ReadCloser

	mu      sync.Mutex
	changed sync.Cond // signals changes of the fields below
	kept    []byte
	err     error // how the source ended
	reading bool  // the goroutine runs
	lost    bool  // more was read than was kept
}

func newKeptContent(source io.ReadCloser) *keptContent {
	k := &keptContent{source: source}
	k.changed.L = &k.mu
	return k
}

func (k *keptContent) reader() *keptReader { return &keptReader{content: k} }

// whole reports whether another reader could read all content. Earlier readers are closed.
func (k *keptContent) whole() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !k.lost
}

// read reads the next bytes of the source.
func (k *keptContent) read() {
	b := make([]byte, keptEach)
	n, err := k.source.Read(b)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kept, k.err, k.reading = append(k.kept, b[:n]...), err, false
	k.changed.Broadcast()
}

type keptReader struct {
	content *keptContent
	closed  bool // guarded by the content's mu, like at
	at      int  // position in the kept content
}

func (r *keptReader) Read(p []byte) (int, error) {
	k := r.content
	k.mu.Lock()
	for !k.lost {
		switch {
		case r.closed:
			k.mu.Unlock()
			return 0, http.ErrBodyReadAfterClose
		case r.at < len(k.kept):
			n := copy(p, k.kept[r.at:])
			r.at += n
			k.mu.Unlock()
			return n, nil
		case k.err != nil:
			k.mu.Unlock()
			return 0, k.err
		case k.reading:
			k.changed.Wait()
		case len(k.kept) >= keptMost:
			k.lost, k.kept = true, nil
		default:
			k.reading = true
			go k.read()
		}
	}
	k.mu.Unlock()
	return k.source.Read(p)
}

// Close closes this reader. It closes the source only if no other reader could read all content.
func (r *keptReader) Close() error {
	k := r.content
	k.mu.Lock()
	defer k.mu.Unlock()
	r.closed = true
	k.changed.Broadcast()
	if k.lost {
		return k.source.Close()
	}
	return nil
}
