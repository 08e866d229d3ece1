package reversehttp

import (
	"net/http"
	"strconv"
	"time"

	"reversehttp/schema/envelope"
)

// A write to a connection that succeeded proves nothing. So a whole answer that went by a tunnel is kept, and posted if
// the tunnel breaks, until the gateway says that it has it.

const (
	// How long an answer is kept on a tunnel that lives: longer than it may be on its way.
	unsureFor = 2 * time.Minute
	// How many bytes of answers a tunnel keeps, and how many answers. The oldest go first.
	unsureBytes = 8 << 20
	unsureMost  = 8192
)

// whole is a whole answer, or, without a status, the reason to give an exchange up. It is posted in another form.
type whole struct {
	status   int
	header   http.Header
	content  []byte
	trailers http.Header
	reason   string
}

// failure is the answer in place of one that cannot be sent.
func failure() *whole {
	return &whole{
		status:  http.StatusInternalServerError,
		header:  http.Header{"Content-Type": {"text/plain; charset=utf-8"}, "X-Content-Type-Options": {"nosniff"}},
		content: []byte("Internal Server Error\n"),
	}
}

// measure states the length of the content, unless trailers follow it.
func (a *whole) measure() {
	if len(a.content) > 0 && len(a.trailers) == 0 {
		a.header["Content-Length"] = []string{strconv.Itoa(len(a.content))}
	}
}

// reply returns the answer as it is posted.
func (a *whole) reply() *reply {
	if a.status == 0 {
		return &reply{reason: a.reason}
	}
	return &reply{status: a.status, fields: fieldsOf(a.header), content: a.content, tail: envelope.Tail{Trailers: pairsOf(a.trailers)}}
}

// fieldsOf returns the fields of a header.
func fieldsOf(h http.Header) envelope.Pairs {
	fields := appendHeader(nil, h, func(string) bool { return false })
	for _, length := range h["Content-Length"] {
		fields = fields.Append("Content-Length", length)
	}
	return fields
}

// unsure are the answers that a tunnel sent last, oldest first. The zero value is ready.
type unsure struct {
	kept  []*keptAnswer // some are confirmed
	byID  map[string]*keptAnswer
	bytes int
	timer *time.Timer
}

type keptAnswer struct {
	x     *exchange // nil when the answer is confirmed
	at    time.Time
	bytes int
}

// keep keeps the answer of x. It reports false if the tunnel is over.
func (t *tunnel) keep(x *exchange, a *whole) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dead {
		return false
	}
	u := &t.unsure
	if u.byID == nil {
		u.byID = map[string]*keptAnswer{}
	}
	k := &keptAnswer{x: x, at: time.Now(), bytes: len(a.content)}
	u.kept, u.byID[x.id] = append(u.kept, k), k
	u.bytes += k.bytes
	for u.bytes > unsureBytes || len(u.byID) > unsureMost {
		t.drop(u.kept[0])
	}
	if u.timer == nil {
		u.timer = time.AfterFunc(unsureFor, t.expire)
	}
	return true
}

// drop keeps an answer no more. The caller holds t.mu.
func (t *tunnel) drop(k *keptAnswer) {
	u := &t.unsure
	if k.x != nil {
		delete(u.byID, k.x.id)
		u.bytes -= k.bytes
		t.session.exchanges.confirm(k.x)
		k.x = nil
	}
	for len(u.kept) > 0 && u.kept[0].x == nil {
		u.kept[0], u.kept = nil, u.kept[1:]
	}
}

// expire takes for received what was sent long ago.
func (t *tunnel) expire() {
	t.mu.Lock()
	defer t.mu.Unlock()
	u := &t.unsure
	for len(u.kept) > 0 && time.Since(u.kept[0].at) >= unsureFor {
		t.drop(u.kept[0])
	}
	if u.timer = nil; len(u.kept) > 0 && !t.dead {
		u.timer = time.AfterFunc(time.Until(u.kept[0].at.Add(unsureFor)), t.expire)
	}
}

// confirm notes that the gateway has some answers.
func (t *tunnel) confirm(ids []string) {
	if len(ids) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range ids {
		if k := t.unsure.byID[id]; k != nil {
			t.drop(k)
		}
	}
}

// resend posts what the gateway may not have.
func (t *tunnel) resend() {
	t.mu.Lock()
	u := &t.unsure
	if u.timer != nil {
		u.timer.Stop()
	}
	kept := u.kept
	u.kept, u.byID = nil, nil
	t.mu.Unlock()
	var left []*exchange
	for _, k := range kept {
		if k.x != nil && t.session.exchanges.resend(k.x) {
			left = append(left, k.x)
		}
	}
	t.session.poster.postAll(left)
}

// give sees the answer of x to the gateway: by the line that waits for it, or by a post.
func (p *poster) give(x *exchange) {
	a := x.whole
	if a != nil {
		a.measure()
	}
	if l := p.session.exchanges.open(x, sent); l != nil && l.tunnel.keep(x, a) {
		l.answer(a)
		return
	}
	p.session.exchanges.answering(x, nil)
	p.post(x)
}
