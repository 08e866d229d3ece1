package play

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/coder/websocket"

	"reversehttp/schema"
	"reversehttp/schema/vectors"
)

// link is a program's end of a link. It reads everything at once, as a program must.
type link struct {
	conn *websocket.Conn
	line *line
	read chan struct{} // closed once reading has ended

	mu sync.Mutex // guards the fields below
	// messages are those that no step has taken. results are separate, one by one.
	messages, results []json.RawMessage
	fault             error // why received data is not a message
	ended             bool
	code              websocket.StatusCode // with which it was closed; -1 if it was cut
	changed           chan struct{}        // closed, and made anew, whenever one of these changes
}

// line is a connection that can delay the data for the program.
type line struct {
	net.Conn
	mu      sync.Mutex
	arrives chan struct{} // closed while data is not delayed
}

func (c *line) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	arrives := c.arrives
	c.mu.Unlock()
	<-arrives
	return n, err
}

// hold delays all further data until let.
func (c *line) hold() {
	c.let()
	c.mu.Lock()
	c.arrives = make(chan struct{})
	c.mu.Unlock()
}

func (c *line) let() {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.arrives:
	default:
		close(c.arrives)
	}
}

// open opens a link. If the returned answer to the upgrade is not 101, there is no link.
func (s *Site) open(ctx context.Context, url string, fields http.Header) (*link, *Reply) {
	if !strings.HasPrefix(url, "ws://") && !strings.HasPrefix(url, "wss://") {
		return nil, &Reply{Err: fmt.Errorf("the URL of the link is %q, want one of ws or wss", url)}
	}
	held := &line{arrives: make(chan struct{})}
	close(held.arrives)
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: s.TLS,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := s.Dial(ctx, network, address)
			held.Conn = conn
			return held, err
		},
	}}
	conn, resp, err := websocket.Dial(ctx, url, &websocket.DialOptions{
		HTTPClient: client, HTTPHeader: fields, Subprotocols: []string{"reversehttp.1"},
	})
	if err != nil {
		if resp == nil || resp.StatusCode == http.StatusSwitchingProtocols {
			return nil, &Reply{Err: err}
		}
		return nil, newReply(resp, nil)
	}
	conn.SetReadLimit(-1)
	l := &link{conn: conn, line: held, read: make(chan struct{}), changed: make(chan struct{})}
	go l.run(ctx)
	return l, &Reply{Status: resp.StatusCode, Header: resp.Header}
}

// run reads until the link is closed.
func (l *link) run(ctx context.Context) {
	defer close(l.read)
	for first := true; ; first = false {
		kind, content, err := l.conn.Read(ctx)
		var messages []json.RawMessage
		var fault error
		if err == nil {
			messages, fault = vectors.Unlink(content, kind == websocket.MessageBinary)
		}
		if first && kind == websocket.MessageBinary {
			fault = errors.New("the first message is not text")
		}
		l.mu.Lock()
		for _, m := range messages {
			if vectors.TypeOf(m) != "results" {
				l.messages = append(l.messages, m)
				continue
			}
			results, wrong := vectors.ResultsOf(m)
			l.results = append(l.results, results...)
			fault = errors.Join(fault, wrong)
		}
		if fault != nil {
			l.fault = fault
		}
		l.ended, l.code = err != nil, websocket.CloseStatus(err)
		close(l.changed)
		l.changed = make(chan struct{})
		l.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// close cuts the link and waits until its goroutines have ended.
func (l *link) close() {
	l.line.let()
	_ = l.conn.CloseNow()
	<-l.read
}

// wait waits until so returns true, called with l.mu held, or the link is closed, or the context ends. It
// returns the last result of so.
func (l *link) wait(ctx context.Context, so func() bool) bool {
	for {
		l.mu.Lock()
		done, ended, changed := so(), l.ended, l.changed
		l.mu.Unlock()
		if done || ended {
			return done
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// message takes the next message, or the next ping. Pings before a message are skipped. It returns nil if the
// link closes or the context ends first.
func (l *link) message(ctx context.Context, ping bool) (message json.RawMessage) {
	l.wait(ctx, func() bool {
		for message == nil && len(l.messages) > 0 {
			if ping || vectors.TypeOf(l.messages[0]) != "ping" {
				message = l.messages[0]
			}
			l.messages = l.messages[1:]
		}
		return message != nil
	})
	return message
}

// result takes the next result for which fits returns true, or returns nil as message does.
func (l *link) result(ctx context.Context, fits func(json.RawMessage) bool) (result json.RawMessage) {
	l.wait(ctx, func() bool {
		i := slices.IndexFunc(l.results, fits)
		if i >= 0 {
			result = l.results[i]
			l.results = slices.Delete(l.results, i, i+1)
		}
		return i >= 0
	})
	return result
}

// left returns the messages and results that no step took, except pings, and the end of the link if it ended.
func (l *link) left() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var left []string
	for _, m := range slices.Concat(l.messages, l.results) {
		if vectors.TypeOf(m) != "ping" {
			left = append(left, string(m))
		}
	}
	if l.ended {
		left = append(left, "the end, "+l.code.String())
	}
	return left
}

// faults returns why received data is not a message, or nil.
func (l *link) faults() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fault
}

// end describes how the link ended, for a text about a missing message.
func (l *link) end() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		return "the link is open"
	}
	return "the link is closed with " + l.code.String()
}

// request takes the next message, which must be a request.
func (l *link) request(ctx context.Context) (r schema.Request, err error) {
	m := l.message(ctx, false)
	if m == nil {
		return r, fmt.Errorf("%s, and no request came", l.end())
	}
	if err := json.Unmarshal(m, &r); err != nil || r.Type != schema.TypeRequest {
		return r, fmt.Errorf("%s is not a request: %v", m, err)
	}
	return r, nil
}

// answer sends one message and returns its result.
func (l *link) answer(ctx context.Context, message json.RawMessage, framed bool) (r schema.Result, err error) {
	kind, content := websocket.MessageText, []byte(message)
	if framed {
		kind, content = websocket.MessageBinary, vectors.Frame(message)
	}
	if err := l.conn.Write(ctx, kind, content); err != nil {
		return r, err
	}
	got := l.result(ctx, func(json.RawMessage) bool { return true })
	if err := json.Unmarshal(got, &r); err != nil {
		return r, fmt.Errorf("%s, and %q is not a result: %w", l.end(), got, err)
	}
	return r, nil
}
