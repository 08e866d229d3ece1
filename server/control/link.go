package control

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"github.com/go-chi/chi/v5"
	"golang.org/x/net/http/httpguts"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
	"reversehttp/server/admission"
	"reversehttp/server/answer"
	"reversehttp/server/budget"
	"reversehttp/server/claim"
	"reversehttp/server/intake"
	"reversehttp/server/problem"
	"reversehttp/server/recording"
	"reversehttp/server/trust"
	"reversehttp/server/wire"
)

// Links serves GET {link}. Its exported members are set before its first use and do not change.
type Links struct {
	Claims    *Claims
	Envelopes Envelopes
	Answers   *Answers
	// Polls says how much content comes inline, and counts deliveries to a session.
	Polls *Polls
	// Window is the most unconfirmed content of a link in bytes; 0 means as much as memory allows.
	Window int
	Trust  trust.Peers
	// Recorder has the recordings that programs watch.
	Recorder *recording.Recorder

	mu      sync.Mutex // guards what follows
	open    map[*link]struct{}
	drains  bool // links are being notified that the gateway stops
	closed  bool
	running sync.WaitGroup
}

const (
	// subprotocol is the WebSocket subprotocol of a link.
	subprotocol = "reversehttp.1"
	// mostMessage is the longest message that a program may send on the WebSocket, in bytes, and
	// mostHello the longest first one.
	mostMessage, mostHello = 256 << 10, 4 << 10
	// helloTime is how long a program has to show its token.
	helloTime = 10 * time.Second
)

// link is one connection of a program.
type link struct {
	links   *Links
	label   string
	id      string // of the session
	from    netip.Addr
	conn    *websocket.Conn
	raw     *heard // below it
	hold    *budget.Hold
	session *claim.Session
	feed    *claim.Link
	form    Messages
	windows claim.Windows
	window  int // of all exchanges
	epoch   time.Time
	// incoming is the current message in the framed form.
	incoming answer.Message
	heard    atomic.Int64 // when the program was last heard, since epoch
	pinged   atomic.Int64 // when the last ping was sent, since epoch
	sent     atomic.Int64 // when something was last sent to it, since epoch
	trip     atomic.Int64 // the last round trip
	coming   atomic.Int64 // when the current message of the WebSocket began, since epoch; 0 for none
	came     atomic.Int64 // bytes of it that came
	cutting  sync.Mutex   // held while a message ends, and while reading it is cut off
	direct   bool         // the other end of the connection is the program itself
	left     bool         // the program closed it without a word
	moved    bool         // its claim had moved when the program showed its token
	watching watching
	shows    func() // to be called once the program has shown its token; nil if it did so in the upgrade
	sender
}

// Link answers GET {link}.
func (ls *Links) Link(w http.ResponseWriter, r *http.Request) {
	l := &link{links: ls, label: chi.URLParam(r, "label"), id: chi.URLParam(r, "session"), epoch: time.Now()}
	l.sender.link = l
	l.direct = ls.Trust.Direct(r) && r.ProtoMajor == 1
	l.hold = ls.Answers.Registry.Options().Budget.Open(ls.Trust.Address(r))
	l.from = ls.Claims.Admission.From(r)
	if p := l.prepare(r); p != nil {
		l.drop()
		p.Write(w, r)
		return
	}
	if err := l.accept(w, r); err != nil {
		l.drop()
		panic(http.ErrAbortHandler)
	}
	if l.feed == nil {
		l.shows = wire.Idles(r)
	}
	ended := ls.add(l, wire.Parting(r))
	if ended == nil {
		_ = l.conn.CloseNow()
		l.drop()
	} else if r.ProtoMajor == 2 { // the stream ends with the handler
		<-ended
	}
}

// prepare checks a request for a link, and opens the link if the request shows the token.
func (l *link) prepare(r *http.Request) *problem.Problem {
	if !asksForLink(r) {
		return problem.New(schema.CodeUpgradeNeeded, "A link is a WebSocket (RFC 6455) with Sec-WebSocket-Protocol: "+subprotocol+".")
	}
	if !l.hold.Grow(pollWeight) {
		return intake.Crowded()
	}
	token, shown := admission.Bearer(r)
	if !shown {
		return nil
	}
	return l.enter(token, lastEventID(r))
}

// asksForLink reports whether r asks for a WebSocket with the subprotocol of links.
func asksForLink(r *http.Request) bool {
	if r.ProtoMajor == 1 && (r.ProtoMinor == 0 || !wire.ValidKey(r.Header["Sec-Websocket-Key"])) {
		return false
	}
	if !httpguts.HeaderValuesContainsToken(r.Header["Sec-Websocket-Protocol"], subprotocol) || r.Header.Get("Sec-Websocket-Version") != "13" {
		return false
	}
	return wire.Extended(r, "websocket") != "" || r.Method == http.MethodGet && httpguts.HeaderValuesContainsToken(r.Header["Connection"], "upgrade") &&
		httpguts.HeaderValuesContainsToken(r.Header["Upgrade"], "websocket")
}

// enter opens the link for a token. The cursor acknowledges as in a poll.
func (l *link) enter(token string, cursor *string) *problem.Problem {
	ls := l.links
	s, p := ls.Claims.sessionFor(l.from, l.label, l.id, token)
	if p != nil {
		return p
	}
	l.session, l.form = s, ls.Envelopes.Of(s)
	s.Claim().Charge(l.hold)
	l.window = ls.window()
	l.windows = claim.Windows{First: min(firstWindow, l.window/4), Most: l.window / 2}
	l.heard.Store(int64(time.Since(l.epoch)))
	feed, err := s.Link(cursor, ls.Polls.flow(envelope.Framed), l)
	if err != nil {
		l.moved = errors.Is(err, claim.ErrMoved)
		return problem.Of(err)
	}
	l.feed = feed
	return nil
}

// firstWindow is the most unconfirmed content of an exchange at first, in bytes, if memory allows.
const firstWindow = 256 << 10

// window returns the most unconfirmed content of a link in bytes.
func (ls *Links) window() int {
	if ls.Window > 0 {
		return ls.Window
	}
	memory := ls.Answers.Registry.Options().Limits.Memory
	if memory <= 0 {
		return mostWindow
	}
	return int(min(max(memory/memoryShare, leastWindow), mostWindow))
}

// The most unconfirmed content of a link: a share of memory, and bounds in bytes.
const (
	memoryShare = 64
	leastWindow = 1 << 20
	mostWindow  = 16 << 20
)

// accept upgrades the connection of r to a WebSocket whose reads show that the program lives.
func (l *link) accept(w http.ResponseWriter, r *http.Request) (err error) {
	var h http.ResponseWriter = &hijacker{w, l}
	if r.ProtoMajor == 2 {
		h, r = &extended{hijacker{w, l}, r, http.Header{}}, asHTTP1(r)
	}
	// The origin was checked as for the rest of the control API, and a browser adds no token on its
	// own.
	l.conn, err = websocket.Accept(h, r, &websocket.AcceptOptions{Subprotocols: []string{subprotocol}, InsecureSkipVerify: true})
	return err
}

// hijacker returns a connection that notes when something arrives.
type hijacker struct {
	http.ResponseWriter
	link *link
}

// Hijack implements [http.Hijacker].
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.link.raw = &heard{Conn: conn, link: h.link}
	in := rw.Reader
	if in.Buffered() == 0 {
		in = bufio.NewReaderSize(h.link.raw, readRoom) // net/http's is twice as large
	}
	return courteous{h.link.raw}, bufio.NewReadWriter(in, bufio.NewWriterSize(h.link.raw, headRoom)), nil
}

// headRoom is the size in bytes of the buffer that package websocket writes to before the
// connection gathers a message: a frame's head fits.
const headRoom = 64

// readRoom is how many bytes are read at once at the beginning of a message. A parked link keeps
// that much.
const readRoom = 512

// extended is a hijacker of an HTTP/2 stream (RFC 8441), whose response has other fields than in
// HTTP/1.1.
type extended struct {
	hijacker
	request *http.Request
	fields  http.Header // of HTTP/1.1
}

func (e *extended) Header() http.Header { return e.fields }
func (e *extended) WriteHeader(int)     {}

// Hijack implements [http.Hijacker].
func (e *extended) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	e.ResponseWriter.Header().Set("Sec-Websocket-Protocol", subprotocol)
	conn, err := wire.Accept(e.ResponseWriter, e.request)
	if err != nil {
		return nil, nil, err
	}
	e.link.raw = &heard{Conn: conn, link: e.link}
	return courteous{e.link.raw}, bufio.NewReadWriter(bufio.NewReader(e.link.raw), bufio.NewWriterSize(e.link.raw, headRoom)), nil
}

// asHTTP1 returns a request for a WebSocket by extended CONNECT as one of HTTP/1.1.
func asHTTP1(r *http.Request) *http.Request {
	h := r.Header.Clone()
	h["Connection"], h["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
	h["Sec-Websocket-Key"] = []string{base64.StdEncoding.EncodeToString(make([]byte, 16))} // HTTP/2 has none, and nobody sees the value that answers it
	return &http.Request{Method: http.MethodGet, URL: r.URL, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: h, Host: r.Host, RemoteAddr: r.RemoteAddr}
}

// add counts a link to be served, unless links were closed, and returns a channel that is closed at
// its end. The link ends once parting is closed; nil means never.
func (ls *Links) add(l *link, parting <-chan struct{}) (ended <-chan struct{}) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.closed {
		return nil
	}
	if ls.open == nil {
		ls.open = map[*link]struct{}{}
	}
	ls.open[l] = struct{}{}
	if ls.drains { // it came while the others were notified
		l.leave(claim.ErrDraining)
	}
	over := make(chan struct{})
	ls.running.Go(func() {
		defer close(over)
		l.serve()
	})
	if parting != nil {
		ls.running.Go(func() {
			select {
			case <-parting:
				l.leave(claim.ErrMoved)
			case <-over:
			}
		})
	}
	return over
}

func (ls *Links) remove(l *link) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	delete(ls.open, l)
}

// tellEach is the time between telling two links that the gateway stops, so that few programs come
// back at once; tellMost bounds the whole time.
const (
	tellEach = time.Millisecond
	tellMost = 2 * time.Second
)

// Drain notifies all links that the gateway stops, one after the other, within two seconds. It does not wait.
func (ls *Links) Drain() {
	ls.mu.Lock()
	ls.drains = true
	all := make([]*link, 0, len(ls.open))
	for l := range ls.open {
		all = append(all, l)
	}
	ls.mu.Unlock()
	for i, l := range all {
		time.AfterFunc(min(time.Duration(i)*tellEach, time.Duration(i)*tellMost/time.Duration(len(all))), func() { l.leave(claim.ErrDraining) })
	}
}

// Close closes all links and later ones, and waits until they have ended.
func (ls *Links) Close() {
	ls.mu.Lock()
	ls.closed = true
	for l := range ls.open {
		_ = l.raw.Close()
	}
	ls.mu.Unlock()
	ls.running.Wait()
}

// serve serves the link to its end.
func (l *link) serve() {
	defer l.links.remove(l)
	defer l.drop()
	if l.feed == nil {
		if p := l.hello(); p != nil {
			if p.Code != "" {
				why := error(p)
				if l.moved {
					why = claim.ErrMoved
				}
				l.raw.sayClose(l.closing(why))
				_ = l.raw.SetReadDeadline(time.Now().Add(lastWrite))
				_, _ = io.CopyN(io.Discard, l.raw, mostHello)
			}
			_ = l.conn.CloseNow()
			return
		}
		l.hold.Serve()
		l.shows()
		_ = l.raw.SetReadDeadline(time.Time{})
	}
	evictable(l.hold, deadlined{l.raw})
	l.conn.SetReadLimit(mostMessage)
	l.begin()
	err := l.read()
	l.stop(err)
	l.left = l.direct && l.hungUp(err)
}

// drop releases what the link holds.
func (l *link) drop() {
	l.watching.stop()
	if l.feed != nil {
		l.feed.Close(l.left)
	}
	l.hold.Close()
}

// hello reads the first message, which shows the token. Until then the connection holds nothing
// that others need. A problem without a code means that the client is gone.
func (l *link) hello() *problem.Problem {
	l.conn.SetReadLimit(mostHello)
	_ = l.raw.SetReadDeadline(time.Now().Add(helloTime))
	l.hold.Evictable(func(error) { _ = l.raw.Close() })
	l.hold.Wait()
	_, content, err := l.conn.Read(context.Background())
	switch {
	case isTimeout(err):
		return problem.New(schema.CodeTokenNeeded, "The first message, which shows the token, came too late.")
	case err != nil:
		return &problem.Problem{}
	}
	hello, err := envelope.DecodeSaid(content)
	if err != nil {
		return problem.BadJSON(err)
	}
	if hello.Type != schema.TypeHello || hello.Token == "" {
		return problem.New(schema.CodeTokenNeeded, `The first message is {"type":"hello","token":"…"} where the upgrade shows no token.`)
	}
	return l.enter(hello.Token, hello.Cursor)
}

// isTimeout reports whether err means that a deadline passed.
func isTimeout(err error) bool {
	t, ok := errors.AsType[net.Error](err)
	return ok && t.Timeout()
}

// Heard implements [claim.LinkDoor].
func (l *link) Heard() time.Time { return l.epoch.Add(time.Duration(l.heard.Load())) }

// RoundTrip implements [claim.LinkDoor].
func (l *link) RoundTrip() time.Duration { return time.Duration(l.trip.Load()) }

// ask sends a ping if nothing came from the program for a while, or nothing was sent to it:
// programs want a sign of life too.
func (l *link) ask() {
	now, every := time.Since(l.epoch), l.links.pingEvery()
	if since := l.coming.Load(); since > 0 && now-time.Duration(since) > l.links.Answers.Pace.Time(int(l.came.Load())) {
		l.cutRead(since)
	}
	quiet := now - time.Duration(min(l.heard.Load(), l.sent.Load()))
	asks := quiet >= every
	if asks {
		l.pinged.Store(int64(now))
		quiet = 0
	}
	l.again(asks, every-quiet)
}

// cutRead cuts off the reading of the message that began at a time, unless it has ended.
func (l *link) cutRead(since int64) {
	l.cutting.Lock()
	defer l.cutting.Unlock()
	if l.coming.Load() == since {
		_ = l.raw.SetReadDeadline(intake.Past)
	}
}

// pingEvery returns how long nothing may come from a program, or be sent to it, before it gets a
// ping.
func (ls *Links) pingEvery() time.Duration {
	return min(pingMost, ls.Answers.Registry.Options().Times.Acknowledge*2/5)
}

// pingMost is the longest silence of a live gateway towards programs.
const pingMost = 4 * time.Second

// answered notes that the program answered a ping.
func (l *link) answered() {
	if trip := int64(time.Since(l.epoch)) - l.pinged.Load(); l.trip.Load() == 0 || trip < l.trip.Load() {
		l.trip.Store(trip)
	}
}
