package family

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/coder/websocket"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
	"reversehttp/schema/vectors"
)

// byLink makes a program serve by a link.
func byLink(w *town, h http.Handler) {
	p := &polled{w: w, h: h, accept: envelope.MediaFramed, client: w.client(), claim: w.claimed(), open: map[string]context.CancelFunc{}}
	w.runs(func(ctx context.Context, running *sync.WaitGroup) {
		if err := p.serveLink(ctx, running); err != nil && ctx.Err() == nil {
			w.t.Errorf("link: %v", err)
		}
	})
	waitFor(w.t, func() bool { return w.Registry().Stats().Polls == 1 })
}

// linkEnd is a program's end of a link.
type linkEnd struct {
	conn *websocket.Conn

	mu      sync.Mutex // guards waiting, and the order of messages
	waiting map[string][]chan schema.Result
	over    chan struct{} // closed with the link
}

// serveLink serves by a link until ctx ends.
func (p *polled) serveLink(ctx context.Context, running *sync.WaitGroup) error {
	conn, _, err := websocket.Dial(ctx, strings.Replace(p.claim.Link, "ws", "http", 1), &websocket.DialOptions{
		HTTPClient: p.client, Subprotocols: []string{"reversehttp.1"},
		HTTPHeader: http.Header{"Authorization": {"Bearer t0"}, "Last-Event-Id": {p.claim.Cursor}},
	})
	if err != nil {
		return err
	}
	conn.SetReadLimit(-1)
	l := &linkEnd{conn: conn, waiting: map[string][]chan schema.Result{}, over: make(chan struct{})}
	p.mu.Lock()
	p.link = l
	p.mu.Unlock()
	defer func() {
		_ = conn.CloseNow()
		close(l.over)
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, cancel := range p.open {
			cancel()
		}
	}()
	for {
		kind, content, err := conn.Read(ctx)
		if err != nil {
			return err
		}
		messages, err := vectors.Unlink(content, kind == websocket.MessageBinary)
		if err != nil {
			return err
		}
		for _, m := range messages {
			if err := p.hear(ctx, running, l, m); err != nil {
				return err
			}
		}
	}
}

// hear handles a message from a link, and acknowledges it.
func (p *polled) hear(ctx context.Context, running *sync.WaitGroup, l *linkEnd, m json.RawMessage) error {
	switch vectors.TypeOf(m) {
	case schema.TypeRequest, schema.TypeCancel:
		return l.say(ctx, fields{"type": schema.TypeAck, "cursor": p.take(ctx, running, m)})
	case "ping":
		return l.say(ctx, fields{"type": schema.TypePong})
	case schema.TypeLinkResults:
		var list schema.LinkResults
		if err := json.Unmarshal(m, &list); err != nil {
			return err
		}
		for _, r := range list.Results {
			l.judge(r)
		}
	case schema.TypeLinkError:
		return fmt.Errorf("%s", m)
	}
	return nil
}

// judge passes a result to the sender of the message.
func (l *linkEnd) judge(r schema.Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if waiting := l.waiting[r.ID]; len(waiting) > 0 {
		waiting[0] <- r
		l.waiting[r.ID] = waiting[1:]
	}
}

func (l *linkEnd) say(ctx context.Context, m fields) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return l.conn.Write(ctx, websocket.MessageText, text)
}

// most is the largest message on a link, in bytes.
const most = 256 << 10

// answer sends a message and waits for its result. If the link ends before that arrives, the message must be
// posted.
func (l *linkEnd) answer(id string, framed []byte) (schema.Result, error) {
	result := make(chan schema.Result, 1)
	l.mu.Lock()
	l.waiting[id] = append(l.waiting[id], result)
	err := l.conn.Write(context.Background(), websocket.MessageBinary, framed)
	l.mu.Unlock()
	if err != nil {
		return schema.Result{}, err
	}
	select {
	case r := <-result:
		return r, nil
	case <-l.over:
		return schema.Result{}, context.Canceled
	}
}
