package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"reversehttp/server/claim"
	"reversehttp/server/wire"
)

// Server serves requests that entries carry to this node, the home of their claims. Its members are
// set before its first use and do not change.
type Server struct {
	// Handler serves the requests. It gets what it would get from net/http.
	Handler http.Handler
	// Keeps reports whether this node is the home of the claim of a label. A request for another
	// claim is refused, so that its entry looks again.
	Keeps func(label string) bool
	// Took takes the claim of a label that another node, the home of the claim, offers. Nil means that
	// this node takes none.
	Took func(ctx context.Context, from, label string) error
	// Node and Run name this node and its process.
	Node, Run string
	// Speaks are the versions of the frames that this node speaks. Zero means [Spoken].
	Speaks Versions
	// Base is the context from which those of requests derive. Nil means [context.Background].
	Base context.Context
	// TLS is what the server speaks with entries. Nil means plain TCP.
	TLS *tls.Config
	// Log receives connections that failed, at level debug. Nil means that they are dropped.
	Log *slog.Logger

	mu     sync.Mutex // guards below
	conns  map[net.Conn]struct{}
	closed bool
	done   sync.WaitGroup
}

// helloTime bounds how long a peer may take to greet.
const helloTime = 3 * time.Second

// Serve accepts connections until the listener is closed, and returns its error.
func (s *Server) Serve(l net.Listener) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		if s.TLS != nil {
			c = tls.Server(c, s.TLS)
		}
		if !s.enter(c) {
			_ = c.Close()
			return net.ErrClosed
		}
		go func() {
			defer s.leave(c)
			if err := s.serve(c); !errors.Is(err, io.EOF) && s.Log != nil {
				s.Log.Debug("a connection of another node ended", "peer", c.RemoteAddr().String(), "error", err)
			}
		}()
	}
}

// enter counts a connection, and reports false once the server is closed.
func (s *Server) enter(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if s.conns == nil {
		s.conns = map[net.Conn]struct{}{}
	}
	s.conns[c] = struct{}{}
	s.done.Add(1)
	return true
}

func (s *Server) leave(c net.Conn) {
	_ = c.Close()
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.done.Done()
}

// Close ends all connections, and waits until their handlers have returned.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.done.Wait()
}

// serve serves the requests of one connection, one after another.
func (s *Server) serve(nc net.Conn) error {
	c := newConn(nc)
	from, err := c.greet(hello{Node: s.Node, Run: s.Run}, s.Speaks, false, helloTime)
	if err != nil {
		return err
	}
	for {
		k, n, err := c.next()
		if err != nil {
			return err
		}
		switch k {
		case kindPing:
			err = c.send(kindPong, nil, true)
		case kindParting: // of a request that is over
		case kindOffer:
			err = s.offered(c, from.Node, n)
		case kindRequest:
			head := new(requestHead)
			if err = c.readValue(n, head); err == nil {
				err = s.call(c, head)
			}
			_ = c.SetWriteDeadline(time.Time{})
		default:
			err = errOrder
		}
		if err != nil {
			return err
		}
	}
}

// offered answers the offer of a claim, whose label has n bytes.
func (s *Server) offered(c *conn, from string, n int) error {
	label := make([]byte, min(n, mostLabel))
	if _, err := io.ReadFull(c.in, label); err != nil || n > mostLabel {
		return errors.Join(errOrder, err)
	}
	err := errors.ErrUnsupported
	if s.Took != nil {
		err = s.Took(s.base(), from, string(label))
	}
	why := ""
	if err != nil {
		why = err.Error()
	}
	return c.send(kindTook, []byte(why[:min(len(why), mostRefusal)]), true)
}

// base returns the context of requests.
func (s *Server) base() context.Context {
	if s.Base == nil {
		return context.Background()
	}
	return s.Base
}

// errOrder is the error of a peer that sends a frame where it may not come.
var errOrder = errors.New("peer: a frame that is out of order")

// call serves one request.
func (s *Server) call(c *conn, head *requestHead) error {
	l := &Call{c: c, head: head, keeps: s.Keeps, origin: wire.NewCarried(head.Target)}
	if head.Before != nil {
		l.origin.Judged = head.Before.Judged
	}
	l.heard.L = &l.mu
	credit := window
	if head.Waits || head.Empty {
		credit = 0
	}
	l.in = newInflow(credit, func(n int) error {
		return c.send(kindWant, []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, true)
	})
	defer l.in.stop()
	if head.Empty {
		l.in.end(io.EOF)
	}
	if head.Label != "" && !s.Keeps(head.Label) {
		if err := c.send(kindMoved, nil, true); err != nil {
			return err
		}
		return l.read()
	}
	ctx, cancel := context.WithCancel(context.WithValue(s.base(), callKey{}, l))
	l.cancel = cancel
	r := l.request(ctx)
	served := make(chan error, 1)
	go func() { served <- l.serve(s.Handler, r) }()
	err := l.read()
	if err != nil {
		l.leave(false)
	}
	cancel()
	return errors.Join(err, <-served)
}

// Call is a request at its home. It implements [claim.Entry].
type Call struct {
	c      *conn
	head   *requestHead
	in     *inflow
	cancel context.CancelFunc
	keeps  func(label string) bool // see [Server.Keeps]
	origin *wire.Carried
	taken  taken

	mu       sync.Mutex // guards below, but for upgraded, and closing of that
	heard    sync.Cond  // something of the following has changed
	notes    int        // notes that were sent
	noted    int        // notes that the entry knows
	gone     bool       // the entry has left, or answers no note
	upgraded *upgraded  // nil unless the handler took the connection over; set by the handler
}

type callKey struct{}

// CallOf returns the call that carried a request, or nil if this node accepted it.
func CallOf(r *http.Request) *Call {
	l, _ := r.Context().Value(callKey{}).(*Call)
	return l
}

// Label returns the label of the claim that the request is for.
func (l *Call) Label() string { return l.head.Label }

// Before implements [claim.Entry].
func (l *Call) Before() *claim.Note { return l.head.Before }

// errUnnoted is the error of a note that the entry did not get.
var errUnnoted = errors.New("peer: the entry is not there to know of a delivery")

// noteTime is how long an entry may take to know of a note.
const noteTime = 2 * time.Second

// Note implements [claim.Entry]. The request is over if the entry does not learn what it waits for.
func (l *Call) Note(n claim.Note, wait bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone {
		return errUnnoted
	}
	if err := l.c.sendValue(kindNote, n, true); err != nil {
		return errUnnoted
	}
	l.notes++
	if !wait {
		return nil
	}
	late := time.AfterFunc(noteTime, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.gone = true
		l.heard.Broadcast()
	})
	defer late.Stop()
	for mine := l.notes; l.noted < mine; {
		if l.gone {
			_ = l.c.Close() // so that the entry does not take an answer either
			return errUnnoted
		}
		l.heard.Wait()
	}
	return nil
}

// Taken implements [claim.Entry].
func (l *Call) Taken(f func(bool)) { l.taken.await(f) }

// request returns the request as net/http gave it to the entry.
func (l *Call) request(ctx context.Context) *http.Request {
	h := l.head
	r := &http.Request{
		Method: h.Method, RequestURI: h.URI, Proto: h.Proto, ProtoMajor: h.Major, ProtoMinor: h.Minor,
		Host: h.Host, Header: h.Header, ContentLength: h.Length, TransferEncoding: h.Encoding, Close: h.Close, RemoteAddr: h.Remote,
		URL: h.url(), Body: http.NoBody,
	}
	if r.Header == nil {
		r.Header = http.Header{}
	}
	if !h.Empty {
		r.Body = l.in
		r.Trailer = http.Header{}
		for _, name := range h.Trailer {
			r.Trailer[name] = nil
		}
		l.in.trailer = r.Trailer
	}
	return r.WithContext(wire.Carry(ctx, l.origin))
}

// serve has the handler serve the request, and sends the end of the response.
func (l *Call) serve(h http.Handler, r *http.Request) (err error) {
	w := &response{c: l.c, call: l, header: http.Header{}, left: -1, silent: r.Method == http.MethodHead}
	defer func() {
		if v := recover(); v != nil { // the handler has logged what is not http.ErrAbortHandler
			_ = l.c.SetWriteDeadline(time.Now().Add(helloTime))
			_ = l.c.send(kindAborted, nil, true)
			err = http.ErrAbortHandler
		}
	}()
	h.ServeHTTP(w, r)
	if l.upgraded != nil { // its owner closes it
		<-l.upgraded.closed
	}
	return w.end()
}

// read reads what the entry sends of the request until nothing more of it comes.
func (l *Call) read() error {
	for {
		k, n, err := l.c.next()
		if err != nil {
			return err
		}
		switch k {
		case kindContent:
			if err := l.in.take(l.c.in, n); err != nil {
				return err
			}
		case kindEnd:
			var trailer http.Header
			if err := l.c.readValue(n, &trailer); err != nil {
				return err
			}
			l.in.whole(trailer)
		case kindBroken:
			l.in.end(errBroken)
		case kindNoted:
			l.mu.Lock()
			l.noted++
			l.heard.Broadcast()
			l.mu.Unlock()
		case kindLeft:
			closed, err := l.c.in.ReadByte()
			if n != 1 || err != nil {
				return errors.Join(errOrder, err)
			}
			l.leave(closed == 1)
		case kindParting:
			l.origin.Part()
		case kindTaken:
			l.taken.settle(true)
		case kindDone:
			l.taken.settle(true)
			return nil
		default:
			return errOrder
		}
	}
}

// hasLeft reports whether the sender of the request has left.
func (l *Call) hasLeft() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gone
}

// leave informs the handler that the sender of the request has left. closed says that they closed
// their connection.
func (l *Call) leave(closed bool) {
	if closed {
		l.origin.Leave()
	}
	l.mu.Lock()
	l.gone = true
	l.heard.Broadcast()
	l.mu.Unlock()
	l.in.end(errLeft) // after gone is set: a handler that takes the connection meanwhile looks at that
	l.taken.settle(false)
	if l.cancel != nil {
		l.cancel()
	}
}
