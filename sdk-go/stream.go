package reversehttp

import (
	"context"
	"errors"
	"slices"
	"time"

	"reversehttp/schema/envelope"
)

// A stream on a link sends its parts without waiting for each result, as many as the windows allow. They are kept until they have
// their results, in case the link ends.

// passage is the way of a stream by links.
type passage struct {
	of       *parts
	given    *link         // has the beginning; may be nil
	headed   bool          // the beginning was taken, and the pump knows
	via      *link         // has what was sent last; may be nil
	credit   chan struct{} // a result came from it; one place
	unposted []*piece      // what it did not confirm, once it has ended
}

// errNoRoom says that a part finds no room on a link and has none that would make some: it is to be posted.
var errNoRoom = errors.New("reversehttp: no room on the link")

// open waits until the beginning was taken, unless parts may follow it at once: on the link that has it.
func (g *passage) open() error {
	t, l := g.of, g.given
	if l == nil || t.upgraded || t.session.exchanges.claimed(t.x) != l.at {
		return g.awaitHead()
	}
	return g.attend(l)
}

// awaitHead waits until the beginning was taken.
func (g *passage) awaitHead() error {
	t := g.of
	if g.headed {
		return nil
	}
	select {
	case head := <-t.head:
		if head.err != nil {
			return head.err
		}
		t.at, g.headed = head.at, true
	case <-t.ctx.Done():
		return context.Cause(t.ctx)
	}
	return nil
}

// way returns the link for the next part, or nil if it is posted.
func (n *numberer) way() *link {
	t := n.of
	if via := t.passage.via; via != nil {
		return via
	}
	if l := t.session.link.Load(); l != nil && l.at == t.at {
		return l
	}
	return nil
}

// send sends content as the next part, as soon as there is room for it on the link. The error is errLinkBroke where that is over,
// and errNoRoom.
func (n *numberer) send(l *link, content []byte, last bool) error {
	t := n.of
	end := envelope.Tail{More: !last}
	if last {
		end.Trailers = pairsOf(t.trailers)
	}
	most := lineOverhead + len(t.x.id) + len(end.Trailers) + len(content)
	if most > linkMessage {
		return errNoRoom
	}
	if err := t.passage.awaitRoom(l, len(content)); err != nil { // the part would be there twice meanwhile
		return err
	}
	p := freePieces.Get().(*piece)
	p.message = envelope.AppendPart(slices.Grow(p.message[:0], most), t.x.id, n.next, content, end)
	p.seq, p.size, p.last = n.next, len(content), last
	if len(content) > 0 {
		from := len(p.message) - 1 - len(content)
		p.content = p.message[from : len(p.message)-1]
	}
	if !t.passage.push(l, p) {
		return errLinkBroke
	}
	n.next++
	return nil
}

// awaitRoom waits until the link has room for a part with so many bytes, and takes that.
func (g *passage) awaitRoom(l *link, size int) error {
	t := g.of
	for {
		l.mu.Lock()
		if l.dead {
			l.mu.Unlock()
			return errLinkBroke
		}
		u := l.unconfirmed(t.x)
		room, none := l.windows.room(u, size), u.none()
		if room {
			l.windows.take(u, size)
		} else if !none {
			u.stream = g
		}
		l.mu.Unlock()
		switch {
		case room:
			return nil
		case none:
			return errNoRoom
		}
		select {
		case <-g.credit:
		case <-l.ended:
		case <-t.ctx.Done():
			return context.Cause(t.ctx)
		}
	}
}

// ready reports whether a part with so many bytes need not wait for room on the link that has those before it.
func (g *passage) ready(size int) bool {
	l := g.via
	if l == nil {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		return true
	}
	u := l.unconfirmed(g.of.x)
	if l.windows.room(u, size) || u.none() {
		return true
	}
	u.stream = g
	return false
}

// push brings a piece to the link, which has room for it. It reports false if the link is over.
func (g *passage) push(l *link, p *piece) bool {
	x := g.of.x
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		p.free()
		return false
	}
	l.open[x.id] = x
	p.since = time.Now()
	u := l.unconfirmed(x)
	u.stream, u.parts = g, append(u.parts, p)
	l.outgoing.bulk = append(l.outgoing.bulk, p)
	g.via = l
	l.wake()
	return true
}

// confirmed waits until all that is on the link has its result. It may end before.
func (g *passage) confirmed(ctx context.Context) error {
	l := g.via
	if l == nil {
		return nil
	}
	for {
		l.mu.Lock()
		dead := l.dead
		none := !dead && l.unconfirmed(g.of.x).none()
		l.mu.Unlock()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case dead:
			return errLinkBroke
		case none:
			return nil
		}
		select {
		case <-g.credit:
		case <-l.ended:
		case <-ctx.Done():
		}
	}
}

// attend subscribes the stream to its results before any part is sent. It returns why that is useless, or
// nil.
func (g *passage) attend(l *link) error {
	t := g.of
	t.at, g.via = l.at, l
	l.mu.Lock()
	if !l.dead {
		l.unconfirmed(t.x).stream = g
	}
	l.mu.Unlock()
	select {
	case head := <-t.head:
		g.headed = true
		return head.err
	default:
		return nil
	}
}

// finish waits for the results of all parts, and posts what has none when the link ends.
func (n *numberer) finish() error {
	err := n.of.passage.confirmed(n.of.ctx)
	if err == errLinkBroke {
		return n.repost()
	}
	return err
}

// lost returns a channel that is closed when the link with parts of the stream ends, or nil if no
// link has any.
func (g *passage) lost() <-chan struct{} {
	if g.via == nil {
		return nil
	}
	return g.via.ended
}

// repost posts what the link had not confirmed when it ended.
func (n *numberer) repost() error {
	t, g := n.of, &n.of.passage
	g.via = nil
	if err := g.awaitHead(); err != nil { // it is posted before
		return err
	}
	left := g.unposted
	g.unposted = nil
	for _, p := range left {
		if err := t.post(t.ctx, 1, func(form envelope.Answers) pieces { return p.pieces(form, t) }); err != nil {
			return err
		}
		p.free()
	}
	return nil
}

// pieces is the content of a post of p.
func (p *piece) pieces(form envelope.Answers, t *parts) pieces {
	if form == envelope.FramedAnswers {
		return pieces{p.message}
	}
	end := envelope.Tail{More: !p.last}
	if p.last {
		end.Trailers = pairsOf(t.trailers)
	}
	return pieces{form.Part(t.x.id, p.seq, p.content, end)}
}

// abort has the link tell that the answer ends without a clean end. It reports false if that is to be posted.
func (g *passage) abort(ctx context.Context, reason error) bool {
	l := g.via
	if l == nil {
		return false
	}
	p := freePieces.Get().(*piece)
	p.message = append(p.message[:0], envelope.FramedAnswers.Abort(g.of.x.id, reason.Error())...)
	return g.push(l, p) && g.confirmed(ctx) != errLinkBroke
}
