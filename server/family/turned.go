package family

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"

	"reversehttp/server/claim"
	"reversehttp/server/door"
	"reversehttp/server/wire"
)

// turned is a connection on which the gateway is the HTTP client and the program the server, by
// HTTP/1.1 or by HTTP/2 with prior knowledge.
//
// It has a feed for each session that the program serves on it, and a goroutine for each request.
// The sessions end with it; as with any lost session, what the program had moves on if the claim's
// rule allows it. Cancellations need no message: the request of an exchange ends with the exchange.
type turned struct {
	g      *door.Host
	conn   net.Conn
	client *http.ClientConn
	quiet  *modest // conn, for HTTP/1.1; nil otherwise

	broken context.Context // ends when the connection takes no more requests
	stop   context.CancelFunc
	mu     sync.Mutex    // guards below
	room   chan struct{} // closed and replaced when the connection may have room for a request
	open   int           // exchanges handed over
	most   int           // the most exchanges at a time
	alone  bool          // one exchange after the other, as in HTTP/1.1

	// seen has the habit of the program. It is set before anything is handed over.
	seen  *habits
	habit *habit
	// What follows is for HTTP/1.1 only, and guarded by mu.
	last    time.Time // when it last answered; zero means never
	resting bool      // nothing has been handed over since
	parting bool      // the last response or the gateway announced its end
}

// connWindow is the window of an HTTP/2 connection in bytes. It has room for the windows of all
// streams, so that a visitor who does not read delays no other: unread content of a stream counts
// in the connection's window too, which is 2 GiB at most. net/http gives every stream the same
// window.
const connWindow = 1 << 30

// mostOpen is how many exchanges a connection of HTTP/2 has at a time: with more the most exchanges
// at a time, which the 16 claims that it may serve could have open, those that stand still could
// take all of its window, and no other would move. Tests change it.
var mostOpen = 4096

// How long an HTTP/2 peer may be silent before it gets a ping, and in all.
const (
	askAfter   = 15 * time.Second
	silentMost = 25 * time.Second
)

// keepAlive detects within half a minute that a silent peer is gone.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}

// turn makes conn, whose peer knows that it turns, a connection to the program's server, and owns it from
// then on. It uses and updates the program's habit in seen.
func turn(g *door.Host, conn net.Conn, protocol string, seen *habits) (*turned, error) {
	wire.KeepAlive(conn, keepAlive)
	speaks := new(http.Protocols)
	speaks.SetHTTP1(protocol == http1)
	speaks.SetUnencryptedHTTP2(protocol == http2Name)
	transport := &http.Transport{
		DialContext:            func(context.Context, string, string) (net.Conn, error) { return conn, nil },
		Protocols:              speaks,
		DisableCompression:     true, // content is the visitor's, as it is
		MaxResponseHeaderBytes: 256 << 10,
		HTTP2: &http.HTTP2Config{
			MaxReceiveBufferPerStream: g.HandedWindow(), MaxReceiveBufferPerConnection: connWindow,
			SendPingTimeout: askAfter, PingTimeout: 24 * time.Hour, WriteByteTimeout: 30 * time.Second,
		},
	}
	var quiet *modest
	if protocol == http1 {
		quiet = &modest{Conn: conn}
		conn = quiet
	} else {
		conn = attend(conn)
	}
	client, err := transport.NewClientConn(context.Background(), "http", "program:80")
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	t := &turned{g: g, conn: conn, client: client, quiet: quiet, seen: seen, room: make(chan struct{}), most: mostOpen, alone: protocol == http1}
	t.broken, t.stop = context.WithCancel(context.Background())
	client.SetStateHook(func(c *http.ClientConn) {
		if c.Err() != nil {
			t.lost()
			t.stop()
		}
		t.count(0)
	})
	return t, nil
}

// send sends a request.
func (t *turned) send(req *http.Request) (*http.Response, error) {
	if t.quiet != nil {
		t.quiet.asked.Store(true)
	}
	resp, err := t.client.RoundTrip(req)
	if err == nil && (resp.Close || resp.StatusCode == http.StatusSwitchingProtocols) {
		t.part()
	}
	return resp, err
}

// serve hands over what the sessions are given, until the connection ends or nothing more will come
// on it. Then it closes the connection.
func (t *turned) serve(feeds ...*feed) {
	if len(feeds) > 0 {
		t.habit = t.seen.of(feeds[0].session.Claim().Label(), t.conn.RemoteAddr())
	}
	var takers sync.WaitGroup
	for _, f := range feeds {
		takers.Go(func() { t.take(f) })
	}
	takers.Wait()
	t.part()
	_ = t.client.Close()
	_ = t.conn.Close()
	t.stop()
}

// feed is a session that a program serves on a connection, and which ends with it.
type feed struct {
	*claim.Feed
	session *claim.Session
	// first is a message that was already taken from it. Nil means none.
	first *claim.Message
}

// newFeed opens the feed of a session that belongs to the connection. If it fails, the session has
// ended.
func newFeed(s *claim.Session) (*feed, error) {
	f, err := s.Feed()
	if err != nil {
		_ = s.End(nil, false)
		return nil, err
	}
	return &feed{Feed: f, session: s}, nil
}

// leave ends the feed and its session if the connection was not turned.
func (f *feed) leave() {
	f.Close()
	if f.first != nil {
		f.session.Delivery(f.first.Exchange.ID()).GiveBack(true)
	}
	_ = f.session.End(nil, false)
}

// next returns the next message.
func (f *feed) next(ctx context.Context) (m *claim.Message, err error) {
	if m, f.first = f.first, nil; m != nil {
		return m, nil
	}
	return f.Next(ctx, nil)
}

// take hands over the messages of a session and waits for all answers.
func (t *turned) take(f *feed) {
	var exchanges sync.WaitGroup
	for t.hasRoom(f) {
		if t.habit.closesAtOnce() && !t.settles(f) {
			break
		}
		m, err := f.next(t.broken)
		if err != nil {
			break
		}
		if trusted := t.trusts(m); trusted != use {
			f.session.Delivery(m.Exchange.ID()).GiveBack(false)
			if trusted == giveUp || !t.settles(f) {
				break
			}
			continue
		}
		// There may be no room left: another session was quicker, or the program drains.
		if !t.begin() {
			f.session.Delivery(m.Exchange.ID()).GiveBack(false)
			continue
		}
		exchanges.Go(func() {
			defer t.count(-1)
			t.hand(f, m)
		})
	}
	f.Close() // what is given back from now on goes to other sessions
	exchanges.Wait()
	_ = f.session.End(nil, false)
}

// hasRoom waits until the connection takes another request, and reports whether it does. It reports
// false if the feed ends meanwhile.
func (t *turned) hasRoom(f *feed) bool {
	for {
		t.mu.Lock()
		room, busy := t.room, t.alone && t.open > 0 || t.open >= t.most
		t.mu.Unlock()
		switch {
		case t.broken.Err() != nil:
			return false
		case !busy && t.client.Available() > 0:
			return true
		}
		if _, err := f.Next(t.broken, room); err != nil {
			return false
		}
	}
}

// count adds n, which may be negative, to the exchanges handed over, and signals that there may be
// room: net/http signals it only after it was seen to have none.
func (t *turned) count(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open += n
	close(t.room)
	t.room = make(chan struct{})
}

// hand hands over an exchange. If there is no response, the fault is either the exchange's alone,
// or the connection's, whose end also ends the session.
func (t *turned) hand(f *feed, m *claim.Message) {
	id := m.Exchange.ID()
	err := t.g.Hand(f.session, m, func(req *http.Request) (*http.Response, error) {
		if upgrade := m.Exchange.Request().Upgrade; t.alone && upgrade != "" {
			req.Header["Connection"], req.Header["Upgrade"] = []string{"Upgrade"}, []string{upgrade}
		}
		return t.send(req)
	})
	if err == nil {
		t.rested()
		return
	}
	reset := http2.StreamError{}
	switch {
	case errors.Is(err, door.ErrUnsent) && t.client.Err() == nil, // this program refuses this request, but not others
		errors.As(err, &reset) && reset.Code == http2.ErrCodeRefusedStream:
		if !f.session.Delivery(id).GiveBack(true) {
			_, _ = f.session.Delivery(id).Abort() // no other goroutine deals with it
		}
	case errors.Is(err, door.ErrUnsent), unprocessed(err):
		t.stop() // the connection takes nothing more
		if !f.session.Delivery(id).GiveBack(true) && m.Exchange.Request().Content.Streams() {
			_, _ = f.session.Delivery(id).Abort() // its content has been consumed
		}
	case errors.As(err, &reset):
		_, _ = f.session.Delivery(id).Abort()
	default: // the connection is lost or in an unknown state
		t.lostAgain(err)
		t.stop()
		if errors.Is(err, door.ErrGarbled) {
			_, _ = f.session.Delivery(id).Abort()
		}
	}
}

// unprocessed reports whether an error means that the peer did not process the request because of
// GOAWAY (RFC 9113, 6.8). net/http does not export that error.
func unprocessed(err error) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		if err.Error() == "http2: Transport received Server's graceful shutdown GOAWAY" {
			return true
		}
	}
	return false
}

// modest is a connection whose peer must not send anything before the first request. net/http also
// hangs up on a peer that does so later, but logs what it sent.
type modest struct {
	net.Conn
	asked atomic.Bool
}

var errSpokeFirst = errors.New("family: the program spoke before it was asked")

func (c *modest) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && !c.asked.Load() {
		return 0, errSpokeFirst
	}
	return n, err
}

// attended is a connection whose peer counts as alive while it sends anything, and which is closed
// otherwise. net/http would expect the answer to its ping in time, whatever is queued before it and
// whatever else arrives.
type attended struct {
	net.Conn
	silence *time.Timer
}

func attend(c net.Conn) *attended {
	return &attended{c, time.AfterFunc(silentMost, func() { _ = c.Close() })}
}

func (c *attended) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.silence.Reset(silentMost)
	}
	return n, err
}

// Close may be called more than once.
func (c *attended) Close() error {
	c.silence.Stop()
	return c.Conn.Close()
}

// buffered is a connection whose first bytes have already been read.
type buffered struct {
	net.Conn
	from io.Reader
}

// NetConn returns the underlying connection.
func (c *buffered) NetConn() net.Conn { return c.Conn }

func (c *buffered) Read(p []byte) (int, error) { return c.from.Read(p) }

func (c *modest) CloseWrite() error   { return closeWrite(c.Conn) }
func (c *buffered) CloseWrite() error { return closeWrite(c.Conn) }

// closeWrite closes the sending side of a connection.
func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
