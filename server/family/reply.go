package family

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"reversehttp/schema"
	"reversehttp/server/claim"
	"reversehttp/server/door"
	"reversehttp/server/problem"
	"reversehttp/server/wire"
)

// reply answers POST {Request URL}: one response message, or one for each request of the pipeline
// that the URL returned, in order. A late or repeated reply is answered as one in time: programs
// know no other answer.
func (d *reverseHTTP) reply(w http.ResponseWriter, r *http.Request) {
	at, err := d.placeOf(r)
	if err != nil {
		door.Refuse(w, r, err)
		return
	}
	s := d.g.Registry.Session(reverseHTTPName, at.label, at.session)
	if s == nil {
		door.Refuse(w, r, claim.ErrNoExchange)
		return
	}
	right, p := d.g.Admission.Serves(d.g.Admission.From(r), s, at.token)
	if p == nil && !right {
		p = problem.New(schema.CodeTokenWrong, "")
	}
	if p != nil {
		door.Refuse(w, r, p)
		return
	}
	defer s.Work(r.Context())()
	in := newPosted(d, w, r)
	whole, err := d.replies(r, at, s, in)
	if err != nil {
		door.Refuse(w, r, err)
		return
	}
	wire.BoundWrite(w, 0) // a slow visitor may have delayed this
	if !whole {
		defer wire.Leaving(w, r)()
	}
	w.WriteHeader(http.StatusAccepted)
}

// replies answers exchanges with what was posted. It reports whether it read everything.
func (d *reverseHTTP) replies(r *http.Request, at place, s *claim.Session, p *posted) (whole bool, err error) {
	for nth := 0; ; nth++ {
		x, known, err := s.Given(at.cursor, nth)
		_, more, _ := s.Given(at.cursor, nth+1)
		switch {
		case err != nil || !known && nth == 0:
			return false, claim.ErrNoExchange
		case x == nil && !more:
			return false, nil // late, or repeated
		}
		if nth > 0 && p.ended() {
			return true, nil
		}
		fault := d.replyTo(r.Context(), s, x, p, !more)
		switch {
		case fault != nil:
			return false, problem.New(schema.CodeBadAnswer, "The content is not an HTTP response message: "+fault.Error()+".")
		case more:
			continue
		case x.Request().Method == http.MethodHead:
			return false, nil // some send content nevertheless
		case p.cut:
			return false, nil
		case !p.ended():
			return false, problem.New(schema.CodeBadAnswer, "More follows than there were requests to reply to.")
		}
		return true, nil
	}
}

// replyTo answers an exchange, or nobody if x is nil, with the next posted message. The visitor also gets an
// error for a fault.
func (d *reverseHTTP) replyTo(ctx context.Context, s *claim.Session, x *claim.Exchange, p *posted, last bool) (fault error) {
	method := ""
	if x != nil {
		method = x.Request().Method
		if last {
			defer p.watch(x)()
		}
	}
	resp, fault := p.response(method, func(interim *http.Response) {
		if x != nil {
			d.g.Inform(s, x, interim.StatusCode, map[string][]string(interim.Header))
		}
	})
	switch {
	case x == nil && fault != nil:
		return fault
	case x == nil:
		_, fault = io.Copy(io.Discard, resp.Body)
		return fault
	}
	if fault == nil {
		fault = p.hold(resp)
	}
	switch {
	case p.cut:
		return nil // nobody wants it any longer
	case p.broken:
		return fault // the program may send it again
	case fault != nil:
		_, _ = s.Delivery(x.ID()).Abort()
		return fault
	}
	if fault = d.g.Answer(ctx, s, x, resp); fault != nil {
		_, _ = s.Delivery(x.ID()).Abort() // unless that was done
	}
	if fault == nil && !p.cut {
		_, fault = io.Copy(io.Discard, resp.Body) // the exchange was answered or ended meanwhile
	}
	if p.cut {
		return nil
	}
	return fault
}

// shortReply is the most bytes of content that are read before a reply counts.
const shortReply = 32 << 10

// hold reads short content of a response, so that no exchange is answered with a response whose
// POST breaks off.
func (p *posted) hold(resp *http.Response) error {
	if resp.ContentLength <= 0 || resp.ContentLength > shortReply || resp.Body == http.NoBody {
		return nil
	}
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	resp.Body = io.NopCloser(bytes.NewReader(content))
	return nil
}

// posted reads response messages from the content of a POST.
type posted struct {
	*bufio.Reader
	d    *reverseHTTP
	body io.Reader
	rc   *http.ResponseController
	// size is the length of the whole content, or negative if unknown; taken is how much of it was
	// read.
	size, taken int64
	// head is how many more bytes of a head may be read; negative means no bound.
	head int
	// over is closed when nobody wants what is read. cut says that it was.
	over <-chan struct{}
	cut  bool
	// broken says that the POST itself broke off.
	broken bool
	// mu guards whole, which says that all was read.
	mu    sync.Mutex
	whole bool
}

func newPosted(d *reverseHTTP, w http.ResponseWriter, r *http.Request) *posted {
	p := &posted{d: d, body: r.Body, rc: http.NewResponseController(w), size: r.ContentLength, head: -1}
	p.Reader = bufio.NewReader(source{p})
	return p
}

// source is what posted reads from.
type source struct{ *posted }

var errLongHead = errors.New("its head is larger than this gateway accepts")

// Read reads while the program sends. As on the control API, the program may pause between two
// parts of an answer.
func (s source) Read(b []byte) (int, error) {
	p := s.posted
	if p.head == 0 {
		return 0, errLongHead
	}
	if p.head > 0 && len(b) > p.head {
		b = b[:p.head]
	}
	if p.whole {
		return 0, io.EOF
	}
	_ = p.rc.SetReadDeadline(time.Now().Add(p.d.g.Registry.Options().Times.Part + time.Second))
	select {
	case <-p.over:
		p.cut = true
		return 0, io.ErrUnexpectedEOF
	default:
	}
	n, err := p.body.Read(b)
	p.taken += int64(n)
	if p.head > 0 {
		p.head -= n
	}
	if err == io.EOF {
		// From here on net/http reads ahead on the connection.
		p.mu.Lock()
		p.whole = true
		_ = p.rc.SetReadDeadline(time.Time{})
		p.mu.Unlock()
	} else if err != nil {
		select {
		case <-p.over:
			p.cut = true
		default:
			p.broken = true
		}
	}
	return n, err
}

// watch ends the reading when the exchange ends, and returns a function that stops watching.
func (p *posted) watch(x *claim.Exchange) (end func()) {
	over, read := x.Over(), make(chan struct{})
	p.over = over
	var watcher sync.WaitGroup
	watcher.Go(func() {
		select {
		case <-over:
			p.mu.Lock()
			if !p.whole {
				_ = p.rc.SetReadDeadline(time.Unix(1, 0))
			}
			p.mu.Unlock()
		case <-read:
		}
	})
	return func() {
		p.over = nil
		close(read)
		watcher.Wait()
	}
}

// ended reports whether only line ends are left.
func (p *posted) ended() bool {
	for {
		b, err := p.ReadByte()
		if err != nil {
			return err == io.EOF
		}
		if b != '\r' && b != '\n' {
			_ = p.UnreadByte()
			return false
		}
	}
}

// mostInterims is the most interim responses before a final one.
const mostInterims = 32

// response reads the next response to a request with a method, calling inform with each interim
// response before it. If nothing states the length of its content, that is the rest of the POST.
func (p *posted) response(method string, inform func(*http.Response)) (*http.Response, error) {
	for range mostInterims {
		p.head = p.d.g.HeadBytes()
		if p.ended() {
			return nil, io.ErrUnexpectedEOF
		}
		resp, err := http.ReadResponse(p.Reader, &http.Request{Method: method})
		if p.head == 0 && err != nil {
			err = errLongHead
		}
		p.head = -1
		switch {
		case err != nil:
			return nil, err
		case resp.StatusCode == http.StatusSwitchingProtocols:
			return nil, errors.New("an upgrade cannot be carried")
		case resp.StatusCode < 200:
			inform(resp)
			continue
		case resp.ContentLength < 0 && len(resp.TransferEncoding) == 0 && p.size >= 0 && method != http.MethodHead:
			resp.ContentLength = p.size - p.taken + int64(p.Buffered())
			resp.Header.Set("Content-Length", strconv.FormatInt(resp.ContentLength, 10))
		}
		return resp, nil
	}
	return nil, errors.New("it has too many interim responses")
}
