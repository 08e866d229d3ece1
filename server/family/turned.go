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

// turned is a connection on which the gateway is the client of HTTP and the program the
// server. Its protocol is HTTP/1.1, or HTTP/2 with prior knowledge.
//
// It has a feed for each session that the program serves on it, and a goroutine for each
// request. The sessions end with it; what the program had then moves on, where the claim's
// rule allows it, as from any session that is lost. Nobody need tell the program what is
// cancelled: the request of an exchange ends with it.
type turned struct {
	g      *door.Host
	conn   net.Conn
	client *http.ClientConn
	quiet  *modest // conn, where it is HTTP/1.1; nil otherwise

	broken context.Context // ends when the connection takes no more requests
	stop   context.CancelFunc
	mu     sync.Mutex    // guards below
	room   chan struct{} // closed, and made anew, when the connection may have room for a request
	open   int           // exchanges that are handed over
	most   int           // of them
	alone  bool          // they are one after the other, as in HTTP/1.1

	// seen has the habit of the program, which is set before anything is handed over.
	seen  *habits
	habit *habit
	// What follows is of a connection of HTTP/1.1, and guarded by mu.
	last    time.Time // when it answered last; the zero time means never
	resting bool      // nothing was handed over since
	parting bool      // the last response, or the gateway, ends it
}

// connWindow is the window of a connection of HTTP/2, in bytes. It takes what all its streams may have on
// their way, so that a visitor who does not read holds up no other. What a stream has in
// its window and is not read counts to that of the connection, which has 2 GiB at most;
// net/http gives every stream the same.
const connWindow = 1 << 30

// mostOpen is how many exchanges a connection of HTTP/2 has at a time: with more of them,
// which the 16 claims that it may serve could have open, those that stand still could take
// all of its window, and no other would move. Tests change it.
var mostOpen = 4096

// What a peer of HTTP/2 may be silent before it is asked for a sign of life, and how long
// it may be silent at all.
const (
	askAfter   = 15 * time.Second
	silentMost = 25 * time.Second
)

// keepAlive finds in half a minute that a peer which is silent is gone.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}

// turn makes conn, whose peer was told that it turns, a connection to the program's
// server. It owns conn from then on. What seen has of the program is heeded, and added to.
func turn(g *door.Host, conn net.Conn, protocol string, seen *habits) (*turned, error) {
	wire.KeepAlive(conn, keepAlive)
	speaks := new(http.Protocols)
	speaks.SetHTTP1(protocol == http1)
	speaks.SetUnencryptedHTTP2(protocol == http2Name)
	transport := &http.Transport{
		DialContext:            func(context.Context, string, string) (net.Conn, error) { return conn, nil },
		Protocols:              speaks,
		DisableCompression:     true, // what the program sends is the visitor's
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

// serve hands what the sessions are given over, until the connection ends, or nothing
// more is to come on it. Then it closes the connection.
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

// feed is a session that a program serves on a connection, and that ends with it.
type feed struct {
	*claim.Feed
	session *claim.Session
	// first is a message that it gave already. Nil means none.
	first *claim.Message
}

// newFeed opens the feed of a session that is the connection's. Where it fails the session
// has ended.
func newFeed(s *claim.Session) (*feed, error) {
	f, err := s.Feed()
	if err != nil {
		_ = s.End(nil)
		return nil, err
	}
	return &feed{Feed: f, session: s}, nil
}

// leave ends the feed, and its session, of a connection that was not turned.
func (f *feed) leave() {
	f.Close()
	if f.first != nil {
		f.session.Delivery(f.first.Exchange.ID()).GiveBack(true)
	}
	_ = f.session.End(nil)
}

// next gives the next message.
func (f *feed) next(ctx context.Context) (m *claim.Message, err error) {
	if m, f.first = f.first, nil; m != nil {
		return m, nil
	}
	return f.Next(ctx, nil)
}

// take hands over what comes for a session, and waits for all answers.
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
		// There may be no room: another session was quicker, or the program drains.
		if !t.begin() {
			f.session.Delivery(m.Exchange.ID()).GiveBack(false)
			continue
		}
		exchanges.Go(func() {
			defer t.count(-1)
			t.hand(f, m)
		})
	}
	f.Close() // what is given back from now on goes to others
	exchanges.Wait()
	_ = f.session.End(nil)
}

// hasRoom waits until the connection takes a request more, and tells whether it does.
// It does not when the feed ends meanwhile.
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

// count counts exchanges that begin to be handed over, or have been. There may be room
// then: net/http tells of that only where it was seen to have none.
func (t *turned) count(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open += n
	close(t.room)
	t.room = make(chan struct{})
}

// hand hands an exchange over. Where there is no response the fault is that of the
// exchange alone, or of the connection: then what ends its session sees to it.
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
	case errors.Is(err, door.ErrUnsent) && t.client.Err() == nil, // this program takes no such request, but others
		errors.As(err, &reset) && reset.Code == http2.ErrCodeRefusedStream:
		if !f.session.Delivery(id).GiveBack(true) {
			_, _ = f.session.Delivery(id).Abort() // nobody else has it in hand
		}
	case errors.Is(err, door.ErrUnsent), unprocessed(err):
		t.stop() // it takes nothing more
		if !f.session.Delivery(id).GiveBack(true) && m.Exchange.Request().Content.Streams() {
			_, _ = f.session.Delivery(id).Abort() // its content is gone
		}
	case errors.As(err, &reset):
		_, _ = f.session.Delivery(id).Abort()
	default: // the connection is lost, or holds nobody knows what
		t.lostAgain(err)
		t.stop()
		if errors.Is(err, door.ErrGarbled) {
			_, _ = f.session.Delivery(id).Abort()
		}
	}
}

// unprocessed tells of an error that the peer was not to process the request any more,
// by GOAWAY (RFC 9113, 6.8). net/http does not export it.
func unprocessed(err error) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		if err.Error() == "http2: Transport received Server's graceful shutdown GOAWAY" {
			return true
		}
	}
	return false
}

// modest is a connection whose peer may say nothing before it is asked the first time.
// net/http hangs up on one that does later, too, but logs what it says.
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

// attended is a connection whose peer lives while it says anything, and which is closed
// when that is over. net/http would want the answer to its question in a time, whatever
// lies before that on its way and whatever else comes.
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

// Close may be called again.
func (c *attended) Close() error {
	c.silence.Stop()
	return c.Conn.Close()
}

// buffered is a connection whose first bytes were read already.
type buffered struct {
	net.Conn
	from io.Reader
}

// NetConn gives the connection below.
func (c *buffered) NetConn() net.Conn { return c.Conn }

func (c *buffered) Read(p []byte) (int, error) { return c.from.Read(p) }

func (c *modest) CloseWrite() error   { return closeWrite(c.Conn) }
func (c *buffered) CloseWrite() error { return closeWrite(c.Conn) }

// closeWrite ends what goes to a peer, and leaves what comes from it.
func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
