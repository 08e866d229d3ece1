package main

import (
	"io"
	"net/http"
	"sync"
)

const (
	// As much content of a request is kept until the local server is known to have seen it.
	keptMost = 64 << 10
	// Bytes read at a time into what is kept.
	keptEach = 16 << 10
)

// keptContent is the content of a request that may have to be sent again. Readers read it from its beginning, one after the
// other. The source is read by a goroutine, which a reader that is closed does not wait for: net/http waits for the Read of
// a request that failed, and the visitor may send the next bytes only after an answer. It ends with the source.
type keptContent struct {
	source io.ReadCloser

	mu      sync.Mutex
	changed sync.Cond // something of what follows
	kept    []byte
	err     error // how the source ended
	reading bool  // the goroutine runs
	lost    bool  // more was read than is kept
}

func newKeptContent(source io.ReadCloser) *keptContent {
	k := &keptContent{source: source}
	k.changed.L = &k.mu
	return k
}

func (k *keptContent) reader() *keptReader { return &keptReader{content: k} }

// whole reports whether another reader would have all of it. Those before are closed.
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
	closed  bool // guarded by the content's mu, as is what follows
	at      int  // in what is kept
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

// Close ends this reader. It ends the source only where no other reader can have all of it.
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
