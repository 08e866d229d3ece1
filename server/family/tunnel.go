package family

import (
	"context"
	"net/http"
	"net/url"
	"sync"
	"time"

	"reversehttp/schema"
	"reversehttp/server/claim"
	"reversehttp/server/door"
	"reversehttp/server/problem"
)

// tunnel answers GET {tunnel}: the connection becomes the poll of a session of the
// control API. What it gave and was not answered stays with the session when it ends.
func (d *ietf) tunnel(w http.ResponseWriter, r *http.Request, s *claim.Session) {
	h, err := read(r)
	if err == nil && (h.inner != http2Name || h.extended) {
		err = problem.New(schema.CodeBadRequest, "A tunnel is HTTP/2: send ALPN: h2.")
	}
	if err != nil {
		d.refuse(w, r, err)
		return
	}
	var cursor *string
	if shown := r.Header["Last-Event-Id"]; len(shown) > 0 {
		cursor = &shown[0]
	}
	f, err := s.Feed(cursor)
	if err != nil {
		door.Refuse(w, r, err)
		return
	}
	conn, err := h.accept(w, r)
	if err != nil {
		f.Close()
		return
	}
	t, err := turn(d.g, conn, h.inner, d.seen)
	if err != nil {
		f.Close()
		return
	}
	told := &told{g: d.g, client: t.client}
	t.ask, t.cancel = told.ask, told.cancel
	t.answered = func(id string) { told.add(id) }
	t.serve(&feed{Feed: f, session: s})
}

// told sends requests with the field that tells what HTTP/2 cannot, and keeps the ids
// whose answers the gateway has whole until the next request tells them.
type told struct {
	g      *door.Host
	client *http.ClientConn
	mu     sync.Mutex // guards whole
	whole  []string
}

// add notes that the gateway has the answers to exchanges whole.
func (t *told) add(ids ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.whole = append(t.whole, ids...)
	t.whole = t.whole[max(0, len(t.whole)-mostWhole):]
}

// tell takes ids to tell.
func (t *told) tell() (ids []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := min(len(t.whole), mostTold)
	ids, t.whole = t.whole[:n:n], t.whole[n:]
	return ids
}

const (
	// messageField is the message that a poll would give, as JSON.
	messageField = "Reversehttp-Message"
	// statusField says that a response of 200 stands for 101, which HTTP/2 does not have.
	statusField = "Reversehttp-Status"
	// moreField says that a response goes on while its handler runs.
	moreField = "Reversehttp-More"
	// mostTold is how many ids one request tells at most.
	mostTold = 64
	// mostWhole is how many ids are kept until they are told. A program that is not told
	// of its answer posts it when the tunnel ends, which is no fault.
	mostWhole = 4_096
)

// ask sends a request for an exchange.
func (t *told) ask(s *claim.Session, m *claim.Message, req *http.Request) (*http.Response, error) {
	x := m.Exchange
	if _, err := url.ParseRequestURI(req.URL.RequestURI()); err != nil {
		// Servers of HTTP/2 refuse a path that is none, such as /%zz; the message has the target.
		req.URL = &url.URL{Scheme: "http", Host: req.Host, Path: "/"}
	}
	ids := t.tell()
	req.Header[messageField] = []string{t.g.MessageHead(s, m, ids)}
	upgrade := x.Request().Upgrade != ""
	if upgrade {
		req.Body, req.ContentLength = t.g.Upgraded(s, x), -1
	}
	if x.Request().Content.Streams() && !upgrade {
		// The visitor is asked for it, and waits no more for a refusal, when the handler reads.
		req.Header["Expect"] = []string{"100-continue"}
	}
	resp, err := t.client.RoundTrip(req)
	if err != nil {
		t.add(ids...) // it may not know them
		return nil, err
	}
	if resp.Header.Get(moreField) != "" {
		delete(resp.Header, moreField)
		resp.ContentLength = -1 // is relayed as it comes, however short
	}
	if status := resp.Header.Get(statusField); status != "" {
		delete(resp.Header, statusField)
		if upgrade && status == "101" && resp.StatusCode == http.StatusOK {
			resp.StatusCode = http.StatusSwitchingProtocols
			delete(resp.Header, "Content-Length")
		}
	}
	return resp, nil
}

// cancelTime is how long a program may take to answer a message that cancels.
const cancelTime = 10 * time.Second

// cancel tells of an exchange that needs no answer any more. The program may have it
// from before this tunnel. Any response says that the program knows.
func (t *told) cancel(s *claim.Session, m *claim.Message) {
	ctx, cancel := context.WithTimeout(context.Background(), cancelTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.g.Public.Base(s.Claim().Label()), nil)
	if err != nil {
		return
	}
	ids := t.tell()
	req.Header[messageField] = []string{t.g.MessageHead(s, m, ids)}
	resp, err := t.client.RoundTrip(req)
	if err != nil {
		t.add(ids...)
		return
	}
	_ = resp.Body.Close()
	s.SeenCancel(m.Cursor)
}
