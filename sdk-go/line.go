package reversehttp

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"sync"
	"time"
)

// A line is one request of a tunnel, which the gateway made for one delivery of an exchange. The answer may go there, and
// then it belongs to whoever took it (exchanges.open). The goroutine of the HTTP/2 server only waits.
//
//	done      the answer is on its way to its end; or it was given up, which resets the stream
//	released  the answer goes another way: the gateway is expected to end the line
//	ended     the gateway reset the stream, for the visitor left; or the tunnel was lost; or the answer has ended

const (
	// How long a handler may take until the gateway is told that the program has the request.
	workingAfter = time.Second
	// How long the gateway may take to end a line that is of no use any more.
	releasedMost = 10 * time.Second
	// What may lie between the end of a line and the news that this is the end of its tunnel.
	lostSlack = 20 * time.Millisecond
)

var (
	errTunnelLost = errors.New("reversehttp: the tunnel that had the request is lost")
	errAnswered   = errors.New("reversehttp: the request is answered")
)

type line struct {
	tunnel   *tunnel
	request  *http.Request
	upgraded bool      // the request asks for that
	streams  bool      // there is content that a handler asks for
	x        *exchange // guarded by exchanges.mu
	taken    bool      // by who answers; guarded by exchanges.mu

	released chan struct{}
	release  sync.Once
	done     chan struct{}
	finish   sync.Once
	ended    chan struct{} // closed when cause is set
	cause    error

	mu      sync.Mutex // guards what follows, and is held while Write waits
	w       http.ResponseWriter
	invited bool // 100 (Continue) was sent
	headed  bool
	over    bool // w is of no use any more
	aborted bool // set before done is closed
	working *time.Timer

	cutting sync.Mutex // guards what follows, and is never held for long
	left    bool       // as over
}

func newLine(t *tunnel, w http.ResponseWriter, r *http.Request) *line {
	return &line{
		tunnel: t, request: r, w: w,
		released: make(chan struct{}), done: make(chan struct{}), ended: make(chan struct{}),
	}
}

// live reports whether the answer can go there. The header of one that is not may still be in use by the server.
func (l *line) live() bool {
	select {
	case <-l.tunnel.wire.lost:
		return false
	default:
		return l.request.Context().Err() == nil
	}
}

// let says that the answer goes another way.
func (l *line) let() { l.release.Do(func() { close(l.released) }) }

// await waits until nothing is written to the line any more. The goroutine of the HTTP/2 server is in it.
func (l *line) await() {
	ctx := l.request.Context()
	detach := context.AfterFunc(ctx, l.end)
	select {
	case <-l.done:
	case <-l.ended:
	case <-l.released:
		late := time.AfterFunc(releasedMost, func() { l.close(true) })
		select {
		case <-l.done:
		case <-l.ended:
		}
		late.Stop()
	}
	if detach() {
		l.cause = errAnswered
		close(l.ended)
	}
	<-l.ended
	l.mu.Lock()
	l.over = true
	l.stopWorking()
	l.mu.Unlock()
	l.cutting.Lock()
	l.left = true
	l.cutting.Unlock()
	select {
	case <-l.done:
		if l.aborted {
			panic(http.ErrAbortHandler) // resets the stream
		}
	default:
	}
}

// end notes why the stream ended.
func (l *line) end() {
	l.cause = errVisitorGone
	timer := time.NewTimer(lostSlack)
	defer timer.Stop()
	select {
	case <-l.tunnel.wire.lost:
		l.cause = errTunnelLost
	case <-timer.C:
	}
	if l.cause == errVisitorGone {
		l.tunnel.session.exchanges.left(l)
	}
	close(l.ended)
}

// close ends the answer, or gives it up.
func (l *line) close(aborted bool) {
	l.finish.Do(func() {
		l.aborted = aborted
		close(l.done)
	})
}

// begins has the gateway told, after a while, that the program has the request.
func (l *line) begins() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.headed && !l.over {
		l.working = time.AfterFunc(workingAfter, func() { l.inform(http.StatusProcessing, nil) })
	}
}

// stopWorking is for a caller that holds l.mu.
func (l *line) stopWorking() {
	if l.working != nil {
		l.working.Stop()
	}
}

// inform sends an informational response.
func (l *line) inform(status int, fields http.Header) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.headed || l.over || !l.live() {
		return
	}
	if len(fields) == 0 {
		l.w.WriteHeader(status)
		return
	}
	h := l.w.Header()
	maps.Copy(h, fields)
	l.w.WriteHeader(status)
	if l.live() {
		clear(h)
	}
}

// invite asks for the content. The server does so itself at the first Read, but not when another interim response went
// before, or the head; and the gateway waits for it. The caller holds l.mu.
func (l *line) invite() {
	if l.streams && !l.invited && !l.headed && !l.over {
		l.invited = true
		l.w.WriteHeader(http.StatusContinue)
	}
}

// head sends status and fields.
func (l *line) head(status int, fields http.Header) {
	l.headed = true
	l.stopWorking()
	h := l.w.Header()
	maps.Copy(h, fields)
	for _, name := range []string{"Content-Type", "Date"} {
		if _, there := h[name]; !there {
			h[name] = nil // the server would add one
		}
	}
	l.w.WriteHeader(status)
}

// answer sends a whole answer, or gives the exchange up.
func (l *line) answer(a *whole) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.over || !l.live():
		l.close(false)
		return
	case a.status == 0:
		l.close(true)
		return
	}
	l.head(a.status, a.header)
	_, _ = l.w.Write(a.content)
	l.trail(a.trailers)
	l.close(false)
}

// begin sends the head of an answer that goes on.
func (l *line) begin(status int, fields http.Header) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over || !l.live() {
		return http.ErrHandlerTimeout
	}
	l.invite() // what follows may be an answer to it
	l.head(status, fields)
	return http.NewResponseController(l.w).Flush()
}

// write sends content at once. It waits while the visitor is slow.
func (l *line) write(content []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return http.ErrHandlerTimeout
	}
	if _, err := l.w.Write(content); err != nil {
		return err
	}
	return http.NewResponseController(l.w).Flush()
}

// trail sets the trailers. The caller holds l.mu.
func (l *line) trail(trailers http.Header) {
	trailers = maps.Clone(trailers)
	// The server would send none of them, and no end.
	maps.DeleteFunc(trailers, func(_ string, values []string) bool { return len(values) == 0 })
	if len(trailers) == 0 {
		return
	}
	_ = http.NewResponseController(l.w).Flush() // or the server would tell a length
	for name, values := range trailers {
		l.w.Header()[http.TrailerPrefix+name] = values
	}
}

// last ends an answer that began.
func (l *line) last(trailers http.Header) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.over {
		l.trail(trailers)
	}
	l.close(false)
}

// cut frees a write that waits: the stream is reset.
func (l *line) cut() {
	l.cutting.Lock()
	defer l.cutting.Unlock()
	if !l.left {
		_ = http.NewResponseController(l.w).SetWriteDeadline(time.Unix(1, 0))
	}
}

// open opens the content of the request for c.
func (l *line) open(c *remote) (io.ReadCloser, error) {
	l.mu.Lock()
	l.invite()
	l.mu.Unlock()
	body := l.request.Body
	detach := context.AfterFunc(c.ctx, func() { body.Close() })
	atEnd := func() {
		detach()
		maps.Copy(c.trailer, l.request.Trailer)
	}
	return &withTrailer{lineBody{body, l, c.ctx}, atEnd}, nil
}

// lineBody is the content of a request of a tunnel.
type lineBody struct {
	io.ReadCloser
	line *line
	ctx  context.Context // of who reads
}

func (b lineBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil || err == io.EOF {
		return n, err
	}
	select { // or a handler would read on before it learns that the visitor left
	case <-b.line.ended:
	case <-b.ctx.Done():
		return n, err
	}
	if b.line.upgraded && b.line.cause == errVisitorGone {
		return n, io.EOF
	}
	return n, io.ErrUnexpectedEOF
}
