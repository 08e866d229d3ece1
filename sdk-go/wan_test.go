package reversehttp_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	reversehttp "reversehttp/sdk-go"
	"reversehttp/server/family"
	"reversehttp/server/gateway"
)

// wan is a slow line between a program and its gateway, in fake time. All connections share it, piece by
// piece in turn. Like an operating system it buffers some of what is written to a connection, which is then
// in flight.
type wan struct {
	rate  int          // bytes a second, each way
	holds int          // bytes buffered for a connection, each way
	turns [2]chan bool // up and down
	up    atomic.Int64 // bytes that went up

	mu   sync.Mutex // guards ends
	ends []*wanEnd
}

// wanPiece is how many bytes a connection sends in its turn.
const wanPiece = 4 << 10

func newWan(rate, holds int) *wan {
	return &wan{rate: rate, holds: holds, turns: [2]chan bool{make(chan bool, 1), make(chan bool, 1)}}
}

// dial returns a connection to a listener.
func (l *wan) dial(ctx context.Context, to *pipes) (net.Conn, error) {
	near, far := net.Pipe()
	a, b := l.end(near, 0), l.end(far, 1)
	select {
	case to.conns <- b:
		return a, nil
	case <-to.closed:
	case <-ctx.Done():
	}
	a.Close()
	b.Close()
	return nil, net.ErrClosed
}

// kill makes every open connection silent, without ending it.
func (l *wan) kill() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.ends {
		e.dead.Store(true)
	}
}

// stall stops all data for a time.
func (l *wan) stall(d time.Duration) {
	for _, turn := range l.turns {
		turn <- true
	}
	time.Sleep(d)
	for _, turn := range l.turns {
		<-turn
	}
}

// wanEnd is one end of a connection.
type wanEnd struct {
	net.Conn
	wan  *wan
	way  int
	dead atomic.Bool
	more chan bool // something is buffered, or it is closed; one place
	room chan bool // something was sent, or a deadline was set; one place

	mu     sync.Mutex // guards the fields below
	held   []byte
	closed bool
	broken error
	until  time.Time
}

func (l *wan) end(c net.Conn, way int) *wanEnd {
	e := &wanEnd{Conn: c, wan: l, way: way, more: make(chan bool, 1), room: make(chan bool, 1)}
	l.mu.Lock()
	l.ends = append(l.ends, e)
	l.mu.Unlock()
	go e.send()
	return e
}

// tell wakes a waiter on a channel with one place.
func tell(c chan bool) {
	select {
	case c <- true:
	default:
	}
}

// take returns the next piece to send.
func (e *wanEnd) take() (piece []byte, over bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	piece = slices.Clone(e.held[:min(len(e.held), wanPiece)])
	e.held = e.held[len(piece):]
	return piece, e.closed && len(piece) == 0 || e.broken != nil
}

// send sends the buffered data, until the connection is closed.
func (e *wanEnd) send() {
	defer e.Conn.Close()
	for {
		piece, over := e.take()
		switch {
		case over:
			return
		case len(piece) == 0:
			<-e.more
			continue
		}
		tell(e.room)
		e.wan.turns[e.way] <- true
		time.Sleep(time.Duration(len(piece)) * time.Second / time.Duration(e.wan.rate))
		<-e.wan.turns[e.way]
		if e.dead.Load() {
			continue
		}
		if e.way == 0 {
			e.wan.up.Add(int64(len(piece)))
		}
		if _, err := e.Conn.Write(piece); err != nil {
			e.mu.Lock()
			e.broken = err
			e.mu.Unlock()
			tell(e.room)
		}
	}
}

func (e *wanEnd) Read(p []byte) (int, error) {
	n, err := e.Conn.Read(p)
	if e.dead.Load() && err == io.EOF { // an end does not arrive either
		err = os.ErrDeadlineExceeded
	}
	return n, err
}

func (e *wanEnd) Write(p []byte) (n int, err error) {
	for {
		e.mu.Lock()
		some := p[:min(len(p), e.wan.holds-len(e.held))]
		until := e.until
		switch {
		case e.closed:
			err = net.ErrClosed
		case e.broken != nil:
			err = e.broken
		case !until.IsZero() && !time.Now().Before(until):
			err = os.ErrDeadlineExceeded
		default:
			e.held = append(e.held, some...)
			n, p = n+len(some), p[len(some):]
		}
		e.mu.Unlock()
		tell(e.more)
		if err != nil || len(p) == 0 {
			return n, err
		}
		wait := time.Hour
		if !until.IsZero() {
			wait = time.Until(until)
		}
		timer := time.NewTimer(wait)
		select {
		case <-e.room:
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (e *wanEnd) SetDeadline(at time.Time) error {
	_ = e.SetWriteDeadline(at)
	return e.SetReadDeadline(at)
}

func (e *wanEnd) SetWriteDeadline(at time.Time) error {
	e.mu.Lock()
	e.until = at
	e.mu.Unlock()
	tell(e.room)
	return nil
}

// Close lets buffered data go out, and accepts no more.
func (e *wanEnd) Close() error {
	e.mu.Lock()
	closed := e.closed
	e.closed = true
	if e.dead.Load() {
		e.held = nil
	}
	e.mu.Unlock()
	if !closed {
		tell(e.more)
		tell(e.room)
		go io.Copy(io.Discard, e.Conn)
	}
	return nil
}

// overWan runs a test with a program behind a slow line, by each of the transports. Visitors have a fast
// line.
func overWan(t *testing.T, rate, holds int, run func(t *testing.T, l *wan, program, visitors *http.Client)) {
	overEach(t, func(t *testing.T) { inWan(t, rate, holds, run) })
}

// overWanByHTTP2 is overWan for transports that HTTP/2 can carry. A connection accepts everything that is
// written: net/http waits with a mutex, during which fake time stands still.
func overWanByHTTP2(t *testing.T, rate int, run func(t *testing.T, l *wan, program, visitors *http.Client)) {
	overEach(t, func(t *testing.T) {
		if transportOf(t) != "link" {
			t.Run("h2", func(t *testing.T) { inWan(t, rate, 1<<30, run) })
		}
	})
}

func inWan(t *testing.T, rate, holds int, run func(t *testing.T, l *wan, program, visitors *http.Client)) {
	synctest.Test(t, func(t *testing.T) {
		g, err := gateway.New(gateway.Options{PublicURL: "http://{label}.gateway.test/", Doors: family.Doors(family.Options{})})
		if err != nil {
			t.Fatal(err)
		}
		p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		server := g.Server()
		served := make(chan struct{})
		go func() {
			defer close(served)
			server.Serve(gateway.Listen(p))
		}()
		l := newWan(rate, holds)
		slow := reversehttp.NewTransport()
		slow.Protocols = new(http.Protocols)
		slow.Protocols.SetHTTP1(!strings.HasSuffix(t.Name(), "/h2"))
		slow.Protocols.SetUnencryptedHTTP2(!slow.Protocols.HTTP1())
		slow.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return l.dial(ctx, p) }
		fast := &http.Transport{DialContext: p.dial}
		run(t, l, &http.Client{Transport: slow}, &http.Client{Transport: fast})
		slow.CloseIdleConnections()
		fast.CloseIdleConnections()
		server.Close()
		g.Close()
		<-served
		for _, e := range l.ends {
			e.Close()
			e.Conn.Close()
		}
		time.Sleep(time.Hour)
	})
}
