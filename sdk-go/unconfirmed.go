package reversehttp

import (
	"slices"
	"time"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
)

// A message that was sent on a link is unconfirmed until its result arrives. The messages of an exchange get
// their results in order: informational responses, a whole answer or the beginning of one, parts, an abort.
//
// Unconfirmed content counts against two windows, and that of a stream also against its pace, since on a slow
// line everything waits for the content in flight. A stream uses no more of the link's window than it leaves
// free, and nothing of the share for whole answers, whose results come at once: so slow visitors delay nobody
// else. Messages that find no room are posted.

// unconfirmedMost is how many messages of one exchange may be unconfirmed, of those that are the beginning of an answer or parts.
const unconfirmedMost = 4096

// windows are how much content may be unconfirmed on a link.
type windows struct {
	exchange int // of one exchange, to begin with
	link     int // in all
	used     int
}

// wholeShare is the part of the window of a link that streams leave to whole answers.
const wholeShare = 4

// free returns how much more content streams may send.
func (w *windows) free() int { return w.link - w.link/wholeShare - w.used }

// unconfirmed are the messages of an exchange on a link that have no result. link.mu guards it.
type unconfirmed struct {
	on       *link // the link that the fields below are about
	interims int
	answer   bool // whole, or the beginning of one
	begun    int  // bytes of content in that
	parts    []*piece
	bytes    int      // of content
	pace     int      // how many of a stream may be on their way, beyond paceFirst
	quick    int      // how many were taken quickly since that changed
	window   int      // for them; 0 stands for that of the link
	stream   *passage // receives results; nil if nobody waits for them
}

// unconfirmed returns what x has on l, which begins anew on each link. The caller holds l.mu, and l takes messages still.
func (l *link) unconfirmed(x *exchange) *unconfirmed {
	if x.unconfirmed.on != l {
		x.unconfirmed = unconfirmed{on: l}
	}
	return &x.unconfirmed
}

// none reports whether there are none.
func (u *unconfirmed) none() bool { return u.interims == 0 && !u.answer && len(u.parts) == 0 }

// give sends the answer of x, or the beginning of one. It reports false if that has to be posted. Who goes
// on does not wait for the writing.
func (l *link) give(x *exchange, goesOn bool) bool {
	r := x.answer
	size := lineOverhead + len(x.id) + len(r.fields) + len(r.tail.Trailers) + len(r.reason) + len(r.content)
	if size > linkMessage || len(r.content) > l.at.Limits.PartBytes {
		return false
	}
	var large *piece
	if size > largeMessage {
		large = freePieces.Get().(*piece)
		large.once, large.message = true, r.appendTo(slices.Grow(large.message[:0], size), x.id)
	}
	l.mu.Lock()
	if l.dead {
		l.mu.Unlock()
		return false
	}
	u := l.unconfirmed(x)
	if u.answer || len(r.content) > l.windows.link-l.windows.used || r.tail.More && !l.windows.allow(u, len(r.content)) {
		l.mu.Unlock()
		return false
	}
	l.open[x.id] = x
	u.answer, u.begun = true, len(r.content)
	l.windows.take(u, u.begun)
	l.session.running.Add(1) // until it has its result
	if large != nil {
		l.outgoing.bulk = append(l.outgoing.bulk, large)
	} else {
		l.outgoing.small = r.appendTo(l.outgoing.room(size), x.id)
	}
	if goesOn {
		l.wake()
		l.mu.Unlock()
	} else {
		l.flush()
	}
	return true
}

// appendTo appends the reply to b, framed.
func (r *reply) appendTo(b []byte, id string) []byte {
	if r.status == 0 {
		return append(b, r.message(id, envelope.FramedAnswers)...)
	}
	return envelope.AppendResponse(b, id, r.status, r.fields, r.content, r.tail)
}

// inform sends an informational response. It reports false if that has to be posted.
func (l *link) inform(x *exchange, r *reply) bool {
	message := envelope.FramedAnswers.Interim(x.id, r.status, r.fields)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead || len(message) > linkMessage {
		return false
	}
	l.open[x.id] = x
	l.unconfirmed(x).interims++
	l.outgoing.small = append(l.outgoing.room(len(message)), message...)
	l.wake()
	return true
}

// confirm takes note of a result.
func (l *link) confirm(r *schema.Result) {
	l.mu.Lock()
	x := l.open[r.ID]
	if x == nil {
		l.mu.Unlock()
		return
	}
	u := &x.unconfirmed
	if r.ExchangeWindow > 0 {
		u.window = r.ExchangeWindow
	}
	var of func(*link, *exchange, *schema.Result, *passage)
	switch {
	case u.interims > 0 && r.Seq == 0:
		u.interims--
		of = (*link).informed
	case u.answer && r.Seq == 0:
		u.answer = false
		l.windows.giveBack(u, u.begun)
		of = (*link).answered
	case len(u.parts) > 0 && u.parts[0].sent && u.parts[0].seq == r.Seq:
		l.windows.giveBack(u, u.parts[0].size)
		u.keepPace(u.parts[0])
		u.parts[0].kept = u.parts[0] == l.outgoing.current
		u.parts[0].free()
		u.parts[0], u.parts = nil, u.parts[1:]
		of = (*link).taken
	}
	stream := u.stream
	if u.none() {
		delete(l.open, r.ID)
	}
	l.mu.Unlock()
	if of != nil {
		of(l, x, r, stream)
	}
}

// paceFirst is how much content of a stream may be on its way, in bytes, before it is known how quickly that is taken.
const paceFirst = 256 << 10

// keepPace has twice as much of a stream on its way where all of that was quickly taken, and half as much where some was not.
func (u *unconfirmed) keepPace(p *piece) {
	pace := paceFirst + u.pace
	switch u.quick += p.size; {
	case time.Since(p.since) >= quickly:
		u.pace, u.quick = max(0, pace/2-paceFirst), 0
	case u.quick >= pace:
		u.pace, u.quick = 2*pace-paceFirst, 0
	}
}

// allow reports whether the window of an exchange has room for so many bytes more.
func (w *windows) allow(u *unconfirmed, more int) bool {
	window := u.window
	if window == 0 {
		window = w.exchange
	}
	return u.bytes+more <= window
}

// room reports whether a stream may send a part with so many bytes.
func (w *windows) room(u *unconfirmed, more int) bool {
	count := len(u.parts)
	if u.answer {
		count++
	}
	return count < unconfirmedMost && (more == 0 || w.allow(u, more) && u.bytes+more <= min(paceFirst+u.pace, w.free()))
}

// take counts bytes that are about to be sent.
func (w *windows) take(u *unconfirmed, bytes int) {
	u.bytes += bytes
	w.used += bytes
}

// giveBack uncounts confirmed bytes.
func (w *windows) giveBack(u *unconfirmed, bytes int) {
	u.bytes -= bytes
	w.used -= bytes
}

func (l *link) informed(x *exchange, r *schema.Result, _ *passage) {
	l.session.poster.informed(x, *r)
}

// answered takes note of the result of a whole answer, or of the beginning of one, whose parts may be on their way.
func (l *link) answered(x *exchange, r *schema.Result, stream *passage) {
	s := l.session
	again := s.poster.judge(l.at, x, *r)
	if stream != nil {
		if r.Status != schema.ResultAccepted && r.Status != schema.ResultDuplicate {
			stream.of.cancelC(errNotTaken)
		}
		poke(stream.credit)
	}
	if again {
		s.running.Go(func() { s.poster.post(x) })
	}
	s.running.Done()
}

// taken takes note of the result of a part.
func (l *link) taken(x *exchange, r *schema.Result, stream *passage) {
	if stream == nil {
		return
	}
	if err := stream.of.judge(*r); err != nil {
		stream.of.cancelC(err)
	}
	poke(stream.credit)
}

// settle takes note that the link is over: answers without a result are posted. Parts are left to their
// streams.
func (l *link) settle() {
	s := l.session
	var left []*exchange
	l.mu.Lock()
	l.dead = true
	for _, x := range l.open {
		u := &x.unconfirmed
		if u.answer {
			left = append(left, x)
		}
		if u.stream != nil {
			u.stream.unposted = u.parts
		}
		*u = unconfirmed{}
	}
	clear(l.open)
	if p := l.outgoing.current; p != nil {
		p.kept = true
	}
	l.outgoing = outgoing{writing: true}
	l.mu.Unlock()
	if len(left) > 0 {
		s.running.Go(func() { s.poster.postAll(left) })
		s.running.Add(-len(left))
	}
}
