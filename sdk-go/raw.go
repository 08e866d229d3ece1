package reversehttp

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"sync"

	"reversehttp/schema"
)

// sendRaw sends content, and all that follows, in one request to the responseUrl. It reports that the stream is
// untouched, and leaves the content, if that failed before anything was sent: parts may do it then.
func (t *parts) sendRaw(content *[]byte) (untouched bool, err error) {
	s := t.session
	body := &rawBody{parts: t, content: *content, trailers: http.Header{}}
	*content = nil // the request lasts, and gives it back
	defer func() {
		if untouched {
			*content = body.content
		}
	}()
	req, err := http.NewRequestWithContext(t.ctx, http.MethodPost, t.url, body)
	if err != nil {
		return true, err
	}
	req.ContentLength = -1
	req.Trailer = body.trailers
	req.Header["Authorization"] = []string{"Bearer " + t.at.Token}
	req.Header["Content-Type"] = []string{"application/octet-stream"}
	// Nothing is read while the connection may turn out to be one that a proxy has closed: it cannot be sent again.
	req.Header["Expect"] = []string{"100-continue"}
	answer, err := s.gateway.do(req, func() {})
	untouched, whole, gaveUp := body.stop()
	var refused *Error
	refusedAtAll := errors.As(err, &refused)
	switch {
	case gaveUp:
		return false, errGivenUp
	case t.ctx.Err() != nil:
		return false, context.Cause(t.ctx)
	case refusedAtAll && refused.Code == codeUnexpected:
		s.log.Warn("stream not taken as it is", "id", t.x.id, "error", err)
		t.at.probe.passes.Store(false)
		return untouched, err
	case refusedAtAll:
		return false, err
	case err != nil:
		return untouched, err
	}
	if !whole {
		return false, errNotTaken
	}
	var r schema.Result
	if err := json.Unmarshal(answer, &r); err != nil {
		return false, &Error{Code: codeUnexpected, Detail: err.Error()}
	}
	return false, t.judged(r)
}

// rawBody is the content of a stream for the client that sends it.
type rawBody struct {
	parts    *parts
	content  []byte      // taken and not read
	last     bool        // nothing follows that
	trailers http.Header // filled at the end, when the client has read the content and not written the trailers

	mu      sync.Mutex // guards what follows, and is free while the stream is waited for
	begun   bool
	stopped bool
	whole   bool
	gaveUp  bool
}

func (b *rawBody) Read(p []byte) (int, error) {
	if err := b.next(); err != nil {
		return 0, err
	}
	n := copy(p, b.content)
	b.content = b.content[n:]
	return n, nil
}

// WriteTo spares an HTTP/1 client the pieces that it would read.
func (b *rawBody) WriteTo(w io.Writer) (sent int64, err error) {
	for {
		if err := b.next(); err == io.EOF {
			return sent, nil
		} else if err != nil {
			return sent, err
		}
		n, err := w.Write(b.content)
		b.content = b.content[n:]
		sent += int64(n)
		if err != nil {
			return sent, err
		}
	}
}

// next waits for content where all was read.
func (b *rawBody) next() error {
	b.mu.Lock()
	stopped := b.stopped
	b.begun = b.begun || !stopped
	b.mu.Unlock()
	if stopped {
		return errNotTaken
	}
	for len(b.content) == 0 {
		if b.last {
			maps.Copy(b.trailers, b.parts.trailers)
			b.mu.Lock()
			b.whole = true
			b.mu.Unlock()
			return io.EOF
		}
		var err error
		b.content = nil // is the end of what the stream gives back while nothing comes
		if b.content, b.last, err = b.parts.take(); err != nil {
			b.mu.Lock()
			b.gaveUp = err == errGivenUp
			b.mu.Unlock()
			return err
		}
	}
	return nil
}

// Close is called by the client, who may close early.
func (b *rawBody) Close() error { return nil }

// stop lets nobody read any more. It tells whether nobody did, whether all was read, and whether the handler gave up.
func (b *rawBody) stop() (untouched, whole, gaveUp bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
	return !b.begun, b.whole, b.gaveUp
}
