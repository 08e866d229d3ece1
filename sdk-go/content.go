package reversehttp

import (
	"context"
	"io"
	"maps"
	"math"
	"net/http"
	"net/http/httptrace"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// remote is the content of a request that the visitor is still sending to the gateway. The first
// Read fetches it, because the visitor may be waiting for a refusal or for 100 (Continue). It can
// be fetched only once.
type remote struct {
	open    func(*remote) (io.ReadCloser, error)
	ctx     context.Context
	cancelC context.CancelCauseFunc // its cause is the error of Read
	trailer http.Header             // filled at the end

	reading sync.Mutex // guards what follows, and is held while Read waits
	body    io.ReadCloser
	err     error // of the last Read

	mu       sync.Mutex // guards what follows
	deadline time.Time
	timer    *time.Timer // ends a Read at the deadline; nil before the first
	waiting  bool        // a Read waits
}

// newRemote returns the content of x.
func newRemote(ctx context.Context, s *Session, x *exchange) *remote {
	c := &remote{trailer: http.Header{}}
	c.ctx, c.cancelC = context.WithCancelCause(ctx)
	c.open = func(c *remote) (io.ReadCloser, error) { return c.fetch(s, x) }
	return c
}

func (c *remote) Read(p []byte) (n int, err error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	closed := c.ctx.Err() != nil && context.Cause(c.ctx) == http.ErrBodyReadAfterClose
	if c.ctx.Err() != nil && c.err == nil || closed {
		return 0, context.Cause(c.ctx)
	}
	if c.err != nil || len(p) == 0 {
		return 0, c.err
	}
	c.bound()
	defer c.unbound()
	if c.body == nil {
		c.body, c.err = c.open(c)
	}
	if c.err == nil {
		n, c.err = c.body.Read(p)
	}
	if c.err != nil && c.err != io.EOF && c.ctx.Err() != nil {
		c.err = context.Cause(c.ctx)
	}
	return n, c.err
}

// fetch requests the content of x.
func (c *remote) fetch(s *Session, x *exchange) (io.ReadCloser, error) {
	url, token := s.exchanges.content(x)
	if _, err := s.gateway.origins.Resolve("bodyUrl", url); err != nil {
		return nil, &Error{Code: codeUnexpected, Detail: err.Error()}
	}
	// A transport resends a GET if its connection died, but the first one may have taken the
	// content. It calls GetBody before, which forbids that.
	var sent atomic.Bool
	trace := &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(c.ctx, trace), http.MethodGet, url, emptyBody{})
	if err != nil {
		return nil, err
	}
	req.GetBody = func() (io.ReadCloser, error) {
		if sent.Load() {
			return nil, io.ErrUnexpectedEOF
		}
		return emptyBody{}, nil
	}
	req.Header["Authorization"] = []string{"Bearer " + token}
	req.Header["Accept-Encoding"] = []string{"identity"} // the content is exact
	resp, err := s.gateway.client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		problem, err := readAll(resp)
		if err != nil {
			return nil, err
		}
		return nil, refusal(resp.StatusCode, resp.Header, problem)
	}
	return &withTrailer{resp.Body, func() { maps.Copy(c.trailer, resp.Trailer) }}, nil
}

// emptyBody is an empty body that http.NewRequest does not recognise as empty.
type emptyBody struct{}

func (emptyBody) Read([]byte) (int, error) { return 0, io.EOF }
func (emptyBody) Close() error             { return nil }

// withTrailer calls atEnd before it reports the end of the content.
type withTrailer struct {
	io.ReadCloser
	atEnd func()
}

func (b *withTrailer) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.atEnd()
	}
	return n, err
}

// Close stops a waiting Read, and the visitor.
func (c *remote) Close() error {
	c.cancelC(http.ErrBodyReadAfterClose)
	return nil
}

// setDeadline bounds Reads. As with a connection, nothing can be read after one that took too long.
func (c *remote) setDeadline(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.deadline = at; c.waiting {
		c.timer.Reset(left(at))
	}
}

// bound makes the deadline end a Read that begins, until unbound is called.
func (c *remote) bound() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = true
	if c.timer == nil {
		c.timer = time.AfterFunc(left(c.deadline), func() { c.cancelC(os.ErrDeadlineExceeded) })
	} else {
		c.timer.Reset(left(c.deadline))
	}
}

func (c *remote) unbound() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = false
	c.timer.Stop()
}

// left returns the time until a deadline; a zero deadline means none.
func left(deadline time.Time) time.Duration {
	if deadline.IsZero() {
		return math.MaxInt64
	}
	return time.Until(deadline)
}
