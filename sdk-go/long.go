package reversehttp

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"

	"reversehttp/schema/envelope"
)

// longLeast is how much content has to be left of an answer whose length is known, in bytes, to go as one long part.
const longLeast = 1 << 20

// long sends content, and all that follows, as one part of the framed form, whose length is known; the gateway relays it as it
// comes. It reports that the stream is untouched, and leaves the content, if that failed before anything was sent: other parts may do
// it then. A part that breaks off cuts the answer.
func (n *numberer) long(content *[]byte) (untouched bool, err error) {
	t := n.of
	s := t.session
	line := envelope.WithBeside(envelope.FramedAnswers.Part(t.x.id, n.next, nil, envelope.Tail{}), t.left)
	body := &longBody{parts: t, line: line, content: *content, left: t.left}
	*content = nil // the request lasts, and gives it back
	defer func() {
		if untouched {
			*content = body.content
		}
	}()
	req, err := http.NewRequestWithContext(t.ctx, http.MethodPost, t.at.Responses, body)
	if err != nil {
		return true, err
	}
	req.ContentLength = int64(len(line)) + t.left + 1
	req.Header["Authorization"] = []string{"Bearer " + t.at.Token}
	req.Header["Content-Type"] = []string{envelope.MediaFramed}
	// Nothing is read before the gateway asks for it: a proxy that refuses such a length says so, and content
	// read for a connection that an intermediary closed could not be sent again.
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
		s.log.Info("long part not taken", t.x.logged(), "error", err)
		t.at.short.Store(true)
		return untouched, err
	case err != nil: // nothing was sent; the posts of other parts get the same error
		return untouched, err
	case !whole:
		return false, errNotTaken
	}
	for last := body.last; !last; { // the handler may go on, and its context with it
		if _, last, err = t.take(); err != nil {
			return false, err
		}
	}
	results, err := envelope.DecodeResults(answer)
	if err != nil || len(results) != 1 {
		return false, &Error{Code: codeUnexpected, Detail: "a long part has one result"}
	}
	return false, judgeAll(t, results)
}

// longBody is a long part for the client that sends it.
type longBody struct {
	parts   *parts
	line    []byte // not read yet
	content []byte // taken and not read
	left    int64  // of the content, with what is taken
	last    bool   // nothing follows what is taken
	headed  bool   // the beginning was taken

	mu      sync.Mutex // guards what follows, and is free while the stream is waited for
	begun   bool
	stopped bool
	whole   bool
	gaveUp  bool
}

func (b *longBody) Read(p []byte) (int, error) {
	if !b.headed { // while the gateway was asked whether it takes the part
		if err := b.parts.passage.awaitHead(); err != nil {
			return 0, err
		}
		b.headed = true
	}
	b.mu.Lock()
	stopped := b.stopped
	b.begun = b.begun || !stopped
	b.mu.Unlock()
	if stopped {
		return 0, errNotTaken
	}
	if len(b.line) > 0 {
		n := copy(p, b.line)
		b.line = b.line[n:]
		return n, nil
	}
	if b.left == 0 {
		return b.end(p)
	}
	if err := b.next(); err != nil {
		return 0, err
	}
	n := copy(p, b.content)
	b.content, b.left = b.content[n:], b.left-int64(n)
	return n, nil
}

// end reads the LF after the content.
func (b *longBody) end(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.whole || len(p) == 0 {
		return 0, io.EOF
	}
	b.whole, p[0] = true, '\n'
	return 1, nil
}

// next waits for content if all was read.
func (b *longBody) next() error {
	for len(b.content) == 0 {
		if b.last {
			return errGivenUp // it was declared to be longer
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

// Close is called by the HTTP client, possibly early.
func (b *longBody) Close() error { return nil }

// stop stops further reads. It returns whether nothing was read, whether all was, and whether the
// handler gave up.
func (b *longBody) stop() (untouched, whole, gaveUp bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
	return !b.begun, b.whole, b.gaveUp
}
