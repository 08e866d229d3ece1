package reversehttp

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
)

// A tunnel is a connection of this program on which the gateway makes HTTP/2 requests, one for each delivery of an
// exchange. It stands in for a poll, and carries answers too:
//
//	whole answers   are kept after they were sent, until the gateway says that it has them (sent.go)
//	streams         are written to the line, whose flow control is the back-pressure
//	what is not on the tunnel, for it broke, or the request came by a poll, is posted
//
// When the connection is lost, handlers go on. What they had not begun comes again, to another tunnel or a poll.
// A tunnel that the gateway ends, or that the session leaves, begins nothing more, and lasts until its lines have ended.

const (
	messageField = "Reversehttp-Message"
	// What a connection may be silent before it is asked for a sign of life. The wire judges whether that comes.
	tunnelPing = 5 * time.Second
	// How much content of one request is taken in that nobody reads. All that a connection takes is a little less than
	// 4 MiB, the most of net/http.
	lineWindow   = 64 << 10
	tunnelWindow = 4<<20 - 1
	// Streams beyond those that have a handler: upgraded connections, and requests that wait.
	linesMore = 250
	// How long the end of an answer may take from the HTTP/2 server to the network.
	flushMost = 50 * time.Millisecond
)

var errTunnelBroke = errors.New("reversehttp: the tunnel broke")

type tunnel struct {
	session *Session
	at      *claimed
	wire    *wire
	server  *http.Server
	closed  chan struct{} // closed when the server is done with the connection
	// accepted says that the server has it.
	accepted atomic.Bool

	mu      sync.Mutex // guards what follows
	idle    sync.Cond  // no line is open
	lines   int
	stopped bool // nothing more is begun
	dead    bool // no more lines
	useful  bool // something was begun
	unsure  unsure
	repeats int // bytes of answers that have not ended
}

// tunnel opens a tunnel, whose first byte may take so long, and begins what comes, until the gateway or the session begins
// nothing more on it. It reports useful if something came or the tunnel lasted: another may be opened at once.
func (s *Session) tunnel(at *claimed, most time.Duration) (useful bool, err error) {
	ctx, cancel := context.WithCancelCause(at.ctx)
	defer cancel(nil)
	first := newPatience(most, func() { cancel(errWithheld) })
	defer first.stop()
	since := time.Now()
	conn, err := s.gateway.dial(ctx, at)
	if err != nil && ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	if err != nil {
		return false, err
	}
	opened := make(chan struct{})
	t := s.serveTunnel(at, newWire(conn, func() {
		if first.stop() {
			s.online() // before its handlers begin
			s.poller.comes(at, TransportPTTH)
			close(opened)
		}
	}))
	select {
	case <-t.wire.leaving:
	case <-t.wire.lost:
	case <-ctx.Done():
	}
	wasOpen := false
	select {
	case <-opened:
		wasOpen = true
	default:
	}
	useful = wasOpen && (t.brought() || time.Since(since) >= soon)
	switch {
	case s.polls.Err() != nil:
		t.stop()
		return useful, ErrClosed
	case ctx.Err() != nil:
		t.wire.Close()
		return useful, context.Cause(ctx)
	case !wasOpen:
		return false, errWithheld
	case t.left():
		t.stop()
		return useful, nil
	}
	return useful, errTunnelBroke
}

// serveTunnel serves what the gateway asks for on a connection. The goroutine is the session's.
func (s *Session) serveTunnel(at *claimed, w *wire) *tunnel {
	t := &tunnel{session: s, at: at, wire: w, closed: make(chan struct{})}
	t.idle.L = &t.mu
	most := s.opts.Concurrency + linesMore
	if s.opts.Concurrency < 0 {
		most = 1 << 20
	}
	t.server = &http.Server{
		Handler: t,
		// It would answer OPTIONS * itself.
		DisableGeneralOptionsHandler: true,
		Protocols:                    new(http.Protocols),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          most,
			MaxReceiveBufferPerStream:     lineWindow,
			MaxReceiveBufferPerConnection: tunnelWindow,
			SendPingTimeout:               tunnelPing,
			PingTimeout:                   24 * time.Hour,
		},
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				t.accepted.Store(true)
			case http.StateClosed:
				close(t.closed)
			}
		},
	}
	t.server.Protocols.SetUnencryptedHTTP2(true)
	s.mu.Lock()
	s.open[t] = true
	s.mu.Unlock()
	s.tunnels.Go(t.run)
	return t
}

// run serves until the connection has ended, and sees to what was on it.
func (t *tunnel) run() {
	s := t.session
	l := listenOnce(t.wire)
	var accepting sync.WaitGroup
	accepting.Go(func() {
		_ = t.server.Serve(l)
		if !t.accepted.Load() { // it was shut down first
			close(t.closed)
		}
	})
	detach := context.AfterFunc(s.life, func() { t.wire.Close() })
	<-t.closed
	detach()
	t.wire.Close()
	_ = t.server.Close()
	accepting.Wait()
	t.mu.Lock()
	t.stopped, t.dead = true, true
	for t.lines > 0 {
		t.idle.Wait()
	}
	t.mu.Unlock()
	t.resend()
	s.mu.Lock()
	delete(s.open, t)
	s.mu.Unlock()
}

// stop has the tunnel begin nothing more, and tells the gateway so.
func (t *tunnel) stop() {
	t.mu.Lock()
	stopped := t.stopped
	t.stopped = true
	t.mu.Unlock()
	if stopped {
		return
	}
	now, cancel := context.WithCancel(context.Background())
	cancel()
	_ = t.server.Shutdown(now) // sends GOAWAY, and does not wait
}

// close closes a tunnel that stopped, and whose answers were all written.
func (t *tunnel) close() {
	timer := time.NewTimer(flushMost)
	defer timer.Stop()
	select {
	case <-t.closed:
	case <-timer.C:
	}
	t.wire.Close()
}

// brought reports whether something was begun.
func (t *tunnel) brought() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.useful
}

// left reports whether the gateway has ended the tunnel, as opposed to lost it.
func (t *tunnel) left() bool {
	select {
	case <-t.wire.leaving:
		return true
	default:
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lines == 0 && t.wire.clean()
}

// ServeHTTP takes a request of the gateway.
func (t *tunnel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !t.enter() {
		return
	}
	defer t.leave()
	m := newMessage(r)
	if m == nil {
		panic(http.ErrAbortHandler)
	}
	t.confirm(m.Answered)
	switch m.Type {
	case schema.TypeCancel:
		t.session.exchanges.cancel(m.ID, m.Reason)
		fallthrough
	default:
		t.at.cursor.began(m.Cursor)
		w.WriteHeader(http.StatusNoContent)
		return
	case schema.TypeRequest:
	}
	if !m.take(r, t.at.Limits.InlineBytes) {
		panic(http.ErrAbortHandler)
	}
	l := newLine(t, w, r)
	l.upgraded, l.streams = m.Upgrade != "", m.streams
	if t.begin(m, l) {
		l.await()
	} else {
		<-r.Context().Done() // the session moves on without it, or ends
	}
}

// enter counts a line in. It reports false if the connection has ended.
func (t *tunnel) enter() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dead {
		return false
	}
	t.lines++
	return true
}

func (t *tunnel) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lines--; t.lines == 0 {
		t.idle.Broadcast()
	}
}

// begin begins what a line brings. It reports false if the session begins nothing more.
func (t *tunnel) begin(m *message, l *line) bool {
	s := t.session
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped || t.at.ctx.Err() != nil {
		return false
	}
	t.useful = true
	fresh, known := s.exchanges.begin(s.life, t.at, &m.Request, l)
	if fresh != nil {
		s.running.Go(func() {
			l.begins()
			s.runner.run(fresh, m)
		})
	}
	if known != nil {
		s.running.Go(func() { s.poster.post(known) })
	}
	t.at.cursor.began(m.Cursor)
	return true
}

// newMessage reads the message of a request; nil if there is none.
func newMessage(r *http.Request) *message {
	said := r.Header[messageField]
	if len(said) != 1 {
		return nil
	}
	read, err := envelope.DecodeMessage([]byte(said[0]))
	if err != nil {
		return nil
	}
	m := &message{Message: read}
	delete(r.Header, messageField)
	if m.Fields == nil {
		m.header = r.Header
		if r.Host != "" {
			m.header["Host"] = []string{r.Host}
		}
	}
	return m
}

// take takes the content in where a poll would bring it: a handler has that also when the tunnel breaks. It reports false
// if that is not whole.
func (m *message) take(r *http.Request, inline int) bool {
	// RFC 10036: what comes bit by bit is handed on so.
	bits := strings.HasPrefix(strings.TrimSpace(r.Header.Get("Incremental")), "?1")
	if n := r.ContentLength; m.Upgrade != "" || n < 0 || n > int64(inline) || bits && n > 0 {
		m.streams = m.Upgrade == ""
		if m.header != nil {
			for name := range r.Trailer { // where net/http has moved them
				m.header["Trailer"] = append(m.header["Trailer"], name)
			}
		}
		return true
	} else if n == 0 {
		return true
	}
	content := make([]byte, r.ContentLength)
	if _, err := io.ReadFull(r.Body, content); err != nil {
		return false
	}
	m.Content = content
	return true
}
