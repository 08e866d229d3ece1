package reversehttp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/coder/websocket"

	"reversehttp/schema"
)

// A link is a WebSocket that carries the messages of a session both ways. It replaces polls, and POSTs of
// answers.
//
//	receive.go      messages of the gateway: begins requests like those of a poll, answers pings, acknowledges messages
//	outgoing.go     messages that wait to be sent. A goroutine that adds one and finds no writer becomes the writer
//	unconfirmed.go  messages without a result. They are posted unchanged when the link ends; accepted ones are duplicates
//	stream.go       answers in parts: as many parts are in flight as the windows allow
//	socket.go       writes each message at once; vigil.go decides when silence counts as death
//
// The reading goroutine never writes, so that neither side can wait for the other. The end of a link does not
// affect handlers: their answers are posted, and requests not begun are delivered again. While the session
// drains the link lasts, for results; when the gateway then sends a request, the program leaves the link, so
// that other sessions of the claim get the following ones.

// linkMessage is the most that one message of a program may have, in bytes.
const linkMessage = 256 << 10

var (
	errLinkBroke  = errors.New("reversehttp: the link broke")
	errLinkLeft   = errors.New("reversehttp: the link was left")
	errLinkSilent = errors.New("reversehttp: the link is silent")
)

// link is one connection. Its goroutine is the session's.
type link struct {
	session *Session
	at      *claimed
	conn    *websocket.Conn
	socket  *socket // below it
	vigil   vigil
	since   time.Time
	ended   chan struct{} // closed when nothing more comes, and all below is settled

	beginning []byte // what followed the welcome in its message

	incomer incomer

	mu       sync.Mutex // guards what follows
	useful   bool       // something was begun
	silent   bool       // the vigil is over
	err      error      // why it ended; nil if the gateway should be polled again
	dead     bool       // takes nothing more
	outgoing outgoing
	windows  windows
	open     map[string]*exchange // those with something unconfirmed
}

// link opens a link, whose first message may take so long, and begins what comes, until it ends or the session leaves. It reports
// useful if something was begun, or the link lasted and did not end in silence: another may be opened at once.
func (p *poller) link(at *claimed, most time.Duration) (useful bool, err error) {
	s := p.session
	ctx, cancel := context.WithCancelCause(at.ctx)
	defer cancel(nil)
	first := newPatience(most, func() { cancel(errWithheld) })
	defer first.stop()
	l := &link{session: s, at: at, ended: make(chan struct{}), open: map[string]*exchange{}, since: time.Now()}
	l.incomer.link = l
	if err := l.connect(ctx); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return false, err
	}
	if !first.stop() {
		l.conn.CloseNow()
		return false, errWithheld
	}
	s.online() // before its handlers begin
	p.comes(at, TransportLink)
	s.links.Go(l.run)
	select {
	case <-l.ended:
	case <-at.ctx.Done():
		if s.polls.Err() != nil {
			return true, ErrClosed // it lasts while the session drains
		}
		l.close()
		<-l.ended
		return l.brought(), context.Cause(at.ctx)
	}
	return l.brought() || time.Since(l.since) >= soon && l.err != errLinkSilent, l.err
}

// connect makes the connection, and reads what the gateway says first.
func (l *link) connect(ctx context.Context) (err error) {
	if l.conn, l.socket, err = l.session.gateway.connect(ctx, l.at, &l.vigil); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			l.conn.CloseNow()
		}
	}()
	_, r, err := l.conn.Reader(ctx)
	if err != nil {
		return err
	}
	message, err := readMessage(make([]byte, 0, welcomeRoom), r)
	if err != nil {
		return err
	}
	first, rest, _ := bytes.Cut(message, lf)
	l.beginning = rest
	var welcome schema.Welcome
	if err := json.Unmarshal(first, &welcome); err != nil {
		return &Error{Code: codeUnexpected, Detail: "a link begins with " + fmt.Sprintf("%.40q", first)}
	}
	switch welcome.Type {
	case schema.TypeWelcome:
		l.windows = windows{exchange: welcome.ExchangeWindow, link: welcome.LinkWindow}
		return nil
	case schema.TypeLinkError:
		return problemOf(first)
	}
	return &Error{Code: codeUnexpected, Detail: "a link begins with " + welcome.Type}
}

// welcomeRoom is how much room there is for the message with the welcome before it grows, in bytes.
const welcomeRoom = 1 << 10

// problemOf returns the error in a message.
func problemOf(message []byte) error {
	var e schema.LinkError
	if err := json.Unmarshal(message, &e); err != nil || e.Code == "" {
		return &Error{Code: codeUnexpected, Detail: "an error of a link that has no code"}
	}
	asked := time.Duration(min(e.RetryAfterMs, int(askedMost/time.Millisecond))) * time.Millisecond
	return &Error{Status: e.Status, Code: schema.Code(e.Code), Detail: e.Detail, RetryAfter: max(0, asked)}
}

// run receives until the link ends, and sees to what was on it.
func (l *link) run() {
	s := l.session
	in := &l.incomer
	in.acked, in.shown = l.since, l.at.cursor.get()
	l.vigil.begin(func() {
		l.mu.Lock()
		l.silent = true
		l.mu.Unlock()
		l.close()
	})
	detach := context.AfterFunc(s.life, l.close)
	s.link.Store(l)
	err := in.take(l.beginning, true)
	if err == nil {
		err = in.receive()
	}
	s.link.CompareAndSwap(l, nil)
	detach()
	l.vigil.end()
	l.mu.Lock()
	l.err = l.reason(err)
	l.mu.Unlock()
	l.conn.CloseNow()
	l.settle()
	close(l.ended)
}

// close ends the link at once. It may be called while others read and write, and again.
func (l *link) close() {
	l.socket.Close() // ends a leaving, too
	l.conn.CloseNow()
}

// reason returns what the end of a link means to the poller. The caller holds l.mu.
func (l *link) reason(err error) error {
	var refused *Error
	switch {
	case l.silent:
		return errLinkSilent
	case l.incomer.refused != nil:
		return l.incomer.refused
	case errors.As(err, &refused), err == errLinkLeft:
		return err
	}
	switch websocket.CloseStatus(err) {
	case websocket.StatusNormalClosure, websocket.StatusGoingAway:
		return nil
	case -1:
		if errors.Is(err, io.EOF) {
			return errLinkBroke
		}
		return fmt.Errorf("%w: %w", errLinkBroke, err)
	}
	return fmt.Errorf("%w: %w", errLinkBroke, err)
}

// brought reports whether something was begun.
func (l *link) brought() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.useful
}
