package reversehttp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
)

const (
	// mostWaited bounds the content of a request that is waited for.
	mostWaited = 1 << 20
	// mostPaths bounds the paths that are kept from the handler.
	mostPaths = 1_024
)

// WaitOptions say how WaitFor waits.
type WaitOptions struct {
	// Accept reports whether a request is the one; another gets 404, and the wait goes on. Nil takes the first GET or POST.
	Accept func(*http.Request) bool
	// Respond answers the request. Nil answers with a page that says that it can be closed.
	Respond http.Handler
}

// WaitFor waits for one GET or POST to a path, such as a redirect of OAuth, and returns it with its content,
// of at most 1 MiB. The session has to be serving: Serve runs concurrently. Options may be nil.
//
// From the first wait on, the path no longer reaches the handler: requests before and after the awaited one
// get 404. WaitFor also returns when the context or the session ends. When it returns a request, the answer
// is on its way; Shutdown waits until it has arrived.
func (s *Session) WaitFor(ctx context.Context, path string, options *WaitOptions) (*http.Request, error) {
	w := &waiter{came: make(chan *http.Request, 1)}
	if options != nil {
		w.WaitOptions = *options
	}
	if w.Respond == nil {
		w.Respond = http.HandlerFunc(closable)
	}
	if !s.waits.add(path, w) {
		return nil, fmt.Errorf("reversehttp: wait for %s: it is waited for already", path)
	}
	select {
	case r := <-w.came:
		return r, nil
	case <-ctx.Done():
	case <-s.polls.Done():
	}
	if !s.waits.take(path, w) { // it came at the same time
		return <-w.came, nil
	}
	err := ErrClosed
	if cause := context.Cause(s.polls); cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return nil, fmt.Errorf("reversehttp: wait for %s: %w", path, err)
}

// waits are the paths of a session that are waited for, or were. The zero value has none.
type waits struct {
	mu sync.Mutex         // guards of
	of map[string]*waiter // nil once nobody waits
}

type waiter struct {
	WaitOptions
	came chan *http.Request // has room for the one
}

// add adds a waiter for a path, and reports false if there is one already.
func (w *waits) add(path string, by *waiter) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.of[path] != nil {
		return false
	}
	if w.of == nil {
		w.of = make(map[string]*waiter)
	}
	w.of[path] = by
	for path, by := range w.of {
		if len(w.of) <= mostPaths {
			break
		}
		if by == nil {
			delete(w.of, path)
		}
	}
	return true
}

// take ends a wait, and reports whether it had not ended.
func (w *waits) take(path string, by *waiter) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.of[path] != by {
		return false
	}
	w.of[path] = nil
	return true
}

// serve answers a request that is waited for, or has the handler answer another.
func (w *waits) serve(handler http.Handler, rw http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	w.mu.Lock()
	by, waited := w.of[path]
	w.mu.Unlock()
	switch {
	case !waited:
		handler.ServeHTTP(rw, r)
		return
	case by == nil, r.Method != http.MethodGet && r.Method != http.MethodPost, ahead(r):
		rw.WriteHeader(http.StatusNotFound)
		return
	}
	content, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, mostWaited))
	if err != nil {
		rw.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	whole := func() *http.Request {
		r := r.Clone(context.WithoutCancel(r.Context()))
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(content)), int64(len(content))
		return r
	}
	// Another may have come while this one was read, or judged.
	if by.Accept != nil && !by.Accept(whole()) || !w.take(path, by) {
		rw.WriteHeader(http.StatusNotFound)
		return
	}
	by.came <- whole()
	by.Respond.ServeHTTP(rw, whole())
}

// ahead reports whether a browser fetches a page ahead, which its visitor may never open.
func ahead(r *http.Request) bool {
	for _, name := range []string{"Sec-Purpose", "Purpose"} {
		if strings.Contains(strings.ToLower(r.Header.Get(name)), "prefetch") {
			return true
		}
	}
	return false
}

// closable answers with a page that says that it can be closed. What the URL has, a code for example, goes no further.
func closable(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	_, _ = io.WriteString(w, `<!doctype html><html lang="en"><meta name="viewport" content="width=device-width"><title>Done</title>`+
		`<h1>Done</h1><p>You can close this page.</p>`) // the page does not matter if the visitor left
}
