package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/coder/websocket"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
	"reversehttp/server/answer"
	"reversehttp/server/claim"
	"reversehttp/server/problem"
)

// sender sends what waits for the program of a link, on a goroutine that starts when there is
// something and ends when nothing waits: an idle link has none.
type sender struct {
	link *link
	lost *answer.Fault // the cookie of the message that is being judged that was dropped; of the reader

	mu          sync.Mutex // guards what follows; while it is held no claim may be locked
	welcomes    bool       // the welcome has to be sent
	pings       bool       // a ping has to be sent
	results     []schema.Result
	order       inOrder // pending results of exchanges whose visitors have not taken everything
	unconfirmed int     // bytes of content whose result was not sent
	why         error   // why the link has to end; nil if it does not
	begun       bool    // the connection is accepted
	due         bool    // there may be something
	sending     bool    // the goroutine runs
	over        bool    // sending has ended
	unread      bool    // reading has ended: the write in progress keeps its deadline
	told        bool    // the program knows that the link ends
	untaken     error   // the first error of a write; nil if there was none
	beat        *time.Timer
	later       *time.Timer // sends results that could not go along with something else; nil until the first ones
	waits       bool        // it runs
	running     sync.WaitGroup
}

// mostResults bounds the results that wait for a program that does not read them.
const mostResults = 16_384

// Ready implements [claim.LinkDoor].
func (s *sender) Ready() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.start()
}

// start starts the goroutine that sends what waits. The caller holds s.mu.
func (s *sender) start() {
	s.due = true
	if s.begun && !s.sending && !s.over {
		s.sending = true
		s.running.Go(s.run)
	}
}

// Confirmed implements [claim.LinkDoor].
func (s *sender) Confirmed(c claim.Confirmation) {
	s.link.links.Answers.Judged(schema.ResultStatus(c.Result))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unconfirmed -= c.Size
	s.results = s.order.confirmed(s.results, schema.Result{ID: c.ID, Status: schema.ResultStatus(c.Result), Seq: c.Seq, ExchangeWindow: c.Window})
	if c.Whole {
		flush(s)
	} else {
		s.start()
	}
}

// Expected implements [claim.LinkDoor]: the result of the message that is being judged may be confirmed
// later.
func (s *sender) Expected(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.order.expect(id, s.lost)
}

// tell queues a result, to be sent when send is called at the latest. expected says that Expected was
// called for it. It fails if too many results wait.
func (s *sender) tell(r schema.Result, expected bool) error {
	s.link.links.Answers.Judged(r.Status)
	s.mu.Lock()
	defer s.mu.Unlock()
	if expected {
		s.results = s.order.instead(s.results, r)
	} else {
		s.results = s.order.told(s.results, r)
	}
	if len(s.results)+s.order.held > mostResults {
		return problem.New(schema.CodeTooSlow, "More messages came than results were taken.")
	}
	return nil
}

// resultsWait is how long results wait to be sent with other messages: the result of a whole answer is not
// urgent.
const resultsWait = 5 * time.Millisecond

// send sends the waiting results: at once if one is not what its program expects.
func (s *sender) send() {
	s.mu.Lock()
	defer s.mu.Unlock()
	flush(s)
}

// flush is send for callers that hold s.mu.
func flush(s *sender) {
	switch {
	case len(s.results) == 0, s.over:
	case slices.ContainsFunc(s.results, func(r schema.Result) bool { return r.Status != schema.ResultAccepted || r.Seq > 0 || r.Detail != "" }):
		s.start()
	case s.waits:
	case s.later == nil:
		s.waits = true
		s.later = time.AfterFunc(resultsWait, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.waits = false; len(s.results) > 0 {
				s.start()
			}
		})
	default:
		s.waits = true
		s.later.Reset(resultsWait)
	}
}

// count adds n, which may be negative, to the unconfirmed bytes. It reports false and adds nothing
// if the window has no room.
func (s *sender) count(n int) (room bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n > 0 && s.unconfirmed+n > s.link.window {
		return false
	}
	s.unconfirmed += n
	return true
}

// begin sends the welcome, and a ping that measures the round trip.
func (s *sender) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.link.pinged.Store(int64(time.Since(s.link.epoch)))
	s.begun, s.welcomes, s.pings = true, true, true
	s.beat = time.AfterFunc(s.link.links.pingEvery(), s.link.ask)
	s.start()
}

// again schedules the next ping after a time, and sends one now if now is true.
func (s *sender) again(now bool, after time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	if s.beat.Reset(after); now {
		s.pings = true
		s.start()
	}
}

// fail ends the link because of why.
func (s *sender) fail(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why == nil {
		s.why = why
	}
	s.start()
}

// leave ends the link because of why, but still takes answers. It does not wait, so a program that does not
// read does not learn why.
func (s *sender) leave(why error) {
	s.fail(why)
	s.mu.Lock()
	begun := s.begun
	s.mu.Unlock()
	if begun {
		s.link.feed.Close(false)
	}
}

// stop ends the sending after reading ended with err. If err is a problem, it is sent to the program.
func (s *sender) stop(err error) {
	if p, ok := errors.AsType[*problem.Problem](err); ok {
		s.mu.Lock()
		s.unread = true
		s.mu.Unlock()
		s.fail(p)
		_ = s.link.raw.SetWriteDeadline(time.Now().Add(s.link.links.Answers.Registry.Options().Times.Acknowledge))
	} else {
		s.end()
		_ = s.link.raw.SetWriteDeadline(time.Now().Add(lastWrite)) // for the write in progress, and for why the connection ends
	}
	s.running.Wait()
	_ = s.link.raw.Close()
}

// hungUp reports whether the peer closed the connection without a word, judged by the error with
// which reading ended. Sending has ended before.
func (s *sender) hungUp(err error) bool {
	return err != nil && !s.told && (closedByPeer(err) || closedByPeer(s.untaken))
}

// closedByPeer reports whether an error of a connection says that the peer closed it, or sent a Close frame.
func closedByPeer(err error) bool {
	for _, closed := range []error{io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, closed) {
			return true
		}
	}
	return websocket.CloseStatus(err) != -1
}

// lastWrite is how long a write in progress may take once reading has ended.
const lastWrite = time.Second

// end ends the sending.
func (s *sender) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	for _, t := range []*time.Timer{s.beat, s.later} {
		if t != nil {
			t.Stop()
		}
	}
}

// ended reports whether nothing but the write in progress, and why the link ends, will be sent.
func (s *sender) ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over || s.unread
}

// waiting is what a program is sent together.
type waiting struct {
	welcome, ping bool
	results       []schema.Result
	why           error
}

// take takes what waits, except messages of the session. It reports false if nothing does; then the
// goroutine ends.
func (s *sender) take() (w waiting, goesOn bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.due || s.over {
		s.sending = false
		return w, false
	}
	w = waiting{s.welcomes, s.pings, s.results, s.why}
	s.due, s.welcomes, s.pings, s.results = false, false, false, nil
	return w, true
}

// run sends until nothing waits.
func (s *sender) run() {
	runtime.Gosched() // so that what others have ready goes along
	for {
		w, goesOn := s.take()
		if !goesOn {
			return
		}
		if err := s.write(w); err != nil {
			s.mu.Lock()
			s.untaken = err
			s.mu.Unlock()
			s.end()
			_ = s.link.raw.Close() // the reader ends the link
			return
		}
		if w.why != nil {
			s.mu.Lock()
			s.told = true
			s.mu.Unlock()
			s.refuse(w.why)
			s.end()
			return
		}
	}
}

// write writes what waits and the messages of the session.
func (s *sender) write(w waiting) error {
	l := s.link
	room := buffers.Get().(*[]byte)
	out := (*room)[:0]
	defer func() { release(room, out) }()
	if w.welcome {
		line, err := json.Marshal(schema.Welcome{Type: schema.TypeWelcome, Limits: l.links.Claims.limits(), ExchangeWindow: l.windows.First, LinkWindow: l.window})
		if err == nil {
			err = s.put(websocket.MessageText, line)
		}
		if err != nil {
			return err
		}
	}
	if w.ping {
		out = append(out, `{"type":"ping"}`+"\n"...)
	}
	for results := range slices.Chunk(w.results, resultsAtOnce) {
		if out = append(envelope.AppendResults(out, results), '\n'); len(out) >= writtenAtOnce {
			if err := s.put(websocket.MessageBinary, out); err != nil {
				return err
			}
			out = out[:0]
		}
	}
	for w.why == nil && !s.ended() {
		b, err := l.feed.Take()
		if err != nil {
			s.fail(err)
			break
		}
		if b == nil {
			break
		}
		l.links.Polls.Delivered(b)
		for _, m := range b.Messages {
			out = l.form.append(out, m, envelope.Framed)
			if len(out) >= writtenAtOnce {
				if err := s.put(websocket.MessageBinary, out); err != nil {
					return err
				}
				out = out[:0]
			}
		}
		if err := s.put(websocket.MessageBinary, out); err != nil {
			return err
		}
		out = out[:0]
	}
	if w.why == nil {
		var more bool
		if out, more = l.watching.append(out); more {
			defer l.Ready()
		}
	}
	if len(out) > 0 {
		return s.put(websocket.MessageBinary, out)
	}
	return nil
}

// resultsAtOnce is the most results in one message.
const resultsAtOnce = 512

// writtenAtOnce is the most bytes in one message of the WebSocket, unless a single message of the
// session is longer.
const writtenAtOnce = 64 << 10

// put writes a message of the WebSocket. The program has as much time to take it as for a piece of
// a stream.
func (s *sender) put(kind websocket.MessageType, out []byte) error {
	if len(out) == 0 {
		return nil
	}
	l := s.link
	l.hold.Add(len(out))
	defer l.hold.Shrink(len(out))
	l.hold.Relieve()
	if why := l.hold.Evicted(); why != nil {
		return why
	}
	if !s.ended() { // otherwise the rest has its own deadline
		pieces := time.Duration(1 + len(out)/streamedAtOnce)
		_ = l.raw.SetWriteDeadline(time.Now().Add(pieces * l.links.Answers.Registry.Options().Times.Acknowledge))
	}
	l.hold.Wait()
	room := buffers.Get().(*[]byte)
	sent, err := l.raw.send(*room, func() error { return l.conn.Write(context.Background(), kind, out) })
	l.hold.Move(len(out))
	l.sent.Store(int64(time.Since(l.epoch)))
	release(room, sent)
	return err
}

// refuse tells the program why the link ends and closes it.
func (s *sender) refuse(why error) {
	l := s.link
	if errors.Is(why, claim.ErrReplaced) || errors.Is(why, claim.ErrDraining) || errors.Is(why, claim.ErrMoved) {
		l.feed.Close(false) // it no longer counts as a poll, however long it lasts
		l.raw.sayClose(l.closing(why))
		_ = l.raw.SetReadDeadline(time.Now().Add(l.links.Answers.Registry.Options().Times.Acknowledge)) // answers on the way count
		return
	}
	code, reason := l.closing(why)
	_ = l.raw.SetWriteDeadline(time.Now().Add(l.links.Answers.Registry.Options().Times.Acknowledge))
	l.raw.sayClose(code, reason)
	_ = l.raw.SetReadDeadline(time.Now().Add(lastWrite))
	if s.ended() { // a connection with unread bytes would be reset, perhaps before the program has the Close frame
		_, _ = io.Copy(io.Discard, l.raw)
	}
}

// closing tells the program of the error that ends its link, if it is a problem, and returns the
// status code and reason of the Close frame.
func (l *link) closing(why error) (code websocket.StatusCode, reason string) {
	switch {
	case errors.Is(why, claim.ErrReplaced):
		return websocket.StatusGoingAway, "replaced"
	case errors.Is(why, claim.ErrMoved):
		return websocket.StatusServiceRestart, "moved"
	case errors.Is(why, claim.ErrNoSession):
		return websocket.StatusNormalClosure, "the session ended"
	}
	p := problem.Of(why)
	body := p.Body(nil) // the type of a message is another one
	line, err := json.Marshal(schema.LinkError{
		Type: schema.TypeLinkError, Code: string(body.Code), Status: body.Status, Title: body.Title, Detail: body.Detail,
		RetryAfterMs: int(p.RetryAfter().Milliseconds()),
	})
	if err == nil {
		_ = l.raw.SetWriteDeadline(time.Now().Add(l.links.Answers.Registry.Options().Times.Acknowledge))
		_ = l.conn.Write(context.Background(), websocket.MessageText, line)
	}
	switch body.Code {
	case schema.CodeDraining:
		code = websocket.StatusServiceRestart
	case schema.CodeQueueFull, schema.CodeUnavailable:
		code = websocket.StatusTryAgainLater
	default:
		code = websocket.StatusPolicyViolation
	}
	return code, string(body.Code)
}

// deadlined adapts a connection to the writer that [evictable] takes.
type deadlined struct{ net.Conn }

func (d deadlined) Header() http.Header { return nil }
func (d deadlined) WriteHeader(int)     {}
