package claim

import (
	"context"
	"io"
	"sync"
	"time"
)

// parts is the content of a streamed answer on its way from a session to the visitor. A part is
// accepted at once, and its sender then waits while the visitor has more than window left to take:
// that is the back-pressure. claim.mu guards all but the channel came.
type parts struct {
	x      *Exchange
	head   uint64   // hash of the beginning, whose content the visitor's door releases
	seq    int      // of the last part taken
	chunks [][]byte // not given to the visitor yet
	size   int      // of chunks
	taking int      // bytes that the visitor's door is writing
	rooms  [][]byte // chunks that came from [Stream.Room]
	lent   [][]byte // rooms that the visitor's door is writing
	total  int      // bytes of the beginning and of all parts
	last   bool     // the last part has come
	raw    bool     // a [Stream] has begun
	// relayed says that a stream carries the content of one message. If that is the response, seq
	// is -1.
	relayed bool
	lasts   bool          // its parts have no deadline
	moved   time.Time     // when the last part came, or the visitor had taken all
	came    chan struct{} // something came for the visitor; one place
	room    chan struct{} // closed when the visitor reads something; nil while nobody waits
	// confirms are the unconfirmed messages of a link; nil if none came on one.
	confirms *confirmations
	awaited  bool // see await; of the visitor's goroutine
}

// window is how many bytes of a streamed answer may wait for the visitor before the sender has to
// wait, while there is room for them.
const window = 64 << 10

// window returns how many bytes may wait for the visitor before the sender has to wait: none if the
// claim or the visitor's address has little room left, which is kept for small answers.
func (p *parts) window() int {
	if p.x.hold.Short() {
		return 0
	}
	return window
}

func (p *parts) come() { poke(p.came) }

// awaitRoom returns the channel that makeRoom closes next.
func (p *parts) awaitRoom() <-chan struct{} {
	if p.room == nil {
		p.room = make(chan struct{})
	}
	return p.room
}

func (p *parts) makeRoom() {
	if p.room != nil {
		close(p.room)
		p.room = nil
	}
}

// begin passes the beginning of a streamed answer to the visitor. The caller holds claim.mu.
func (x *Exchange) begin(a *Answer) {
	x.state, x.seen, x.answer = answering, true, a
	x.watch.answered(a)
	if a.upgraded() {
		x.claim.exchanges.upgraded++
	}
	x.parts = &parts{x: x, taking: len(a.Content), head: a.hash, total: len(a.Content), came: make(chan struct{}, 1), moved: time.Now(), confirms: a.confirms}
	if x.claim.registry.drain.parts.Load() {
		x.part()
	}
	if a.relayed {
		x.parts.raw, x.parts.relayed, x.parts.seq = true, true, -1
	}
	poke(x.news)
}

// ages is longer than anything lasts.
const ages = 100 * 365 * 24 * time.Hour

// Next returns the next content of an answer with More. It fails with [io.EOF] at the end, and with
// a [*Failure] if the answer is cut short. The end of ctx means that the visitor left.
func (x *Exchange) Next(ctx context.Context) ([][]byte, error) {
	c, p := x.claim, x.parts
	by := c.registry.waiters.get()
	defer c.registry.waiters.put(by)
	c.mu.Lock()
	p.moved = time.Now() // the visitor's own slowness is over
	x.hold.Shrink(p.taking)
	p.taking = 0
	lent := p.lent
	p.lent = nil
	c.mu.Unlock()
	for _, room := range lent {
		freeRooms.Put((*[RoomBytes]byte)(room[:RoomBytes]))
	}
	p.await()
	for {
		c.mu.Lock()
		p.confirm()
		switch {
		case len(p.chunks) > 0:
			chunks := p.chunks
			p.taking = p.size
			p.chunks, p.size = nil, 0
			p.rooms, p.lent = nil, p.rooms
			p.makeRoom()
			c.mu.Unlock()
			return chunks, nil
		case p.last && x.state == answering:
			x.finish(Done, nil, nil)
		}
		over := x.state == ended
		left := time.Until(p.moved.Add(p.time()))
		c.mu.Unlock()
		if over {
			if err := x.end(); err != nil {
				return nil, err
			}
			return nil, io.EOF
		}
		by.timer.Reset(left)
		select {
		case <-p.came:
		case <-ctx.Done():
			c.mu.Lock()
			x.abandon()
			c.mu.Unlock()
		case <-by.timer.C:
			c.mu.Lock()
			if x.state == answering && time.Since(p.moved) >= p.time() {
				s := x.session
				x.finish(TimedOut, nil, &Failure{Err: ErrHandlerTimeout, Handed: HandedYes})
				s.out.cancel(x, CancelTimedOut)
			}
			c.mu.Unlock()
		}
	}
}

// time returns how long the next part may take. The caller holds claim.mu.
func (p *parts) time() time.Duration {
	if p.x.answer.upgraded() || p.lasts {
		return ages
	}
	return p.x.claim.registry.times.Part
}

// Part is one part of an answer with More.
type Part struct {
	// Seq counts the parts from 1.
	Seq      int
	Content  []byte
	More     bool
	Trailers []Field
	room     bool // the content is in one of [Stream.Room]
}

// Part passes on a part of an answer and waits while the visitor is slow, or until ctx ends; a part
// that was accepted stays accepted. If the visitor leaves meanwhile the result is [Late]. It fails
// with [ErrNotAnswering] or [ErrGap], as [Session.Answerable] does, or with the error of ctx if
// that ends before there is room for the part.
func (d Delivery) Part(ctx context.Context, part Part) (Result, error) {
	for {
		result, full, err := d.part(ctx, part)
		if full == nil {
			return result, err
		}
		// The program did not wait for the result of the previous part.
		done := d.session.Work(ctx)
		full.parts.waitForRoom(ctx)
		done()
		if ctx.Err() != nil {
			return Unknown, ctx.Err()
		}
	}
}

// part is Part, but if the exchange has no room it accepts nothing and returns the exchange.
func (d Delivery) part(ctx context.Context, part Part) (result Result, full *Exchange, err error) {
	var x *Exchange
	var fault error
	same := func(t tombstone) bool { return part.Seq <= t.parts }
	result, err = d.settle(same, func(open *Exchange) Result {
		p := open.parts
		var result Result
		result, fault = p.judge(part.Seq)
		switch {
		case fault != nil || result == Conflict:
			return result
		case result == Duplicate:
			x = open // a retry is held back too
			return Duplicate
		case p.size > p.window():
			full = open
			return Unknown
		}
		p.seq = part.Seq
		p.push(part)
		x = open
		return Accepted
	})
	if x != nil {
		x.parts.come()
		x.hold.Relieve()
	}
	if fault != nil {
		return Unknown, nil, fault
	}
	if x != nil {
		defer d.session.Work(ctx)()
		if x.parts.waitForRoom(ctx) {
			result = Late
		}
	}
	return result, full, err
}

// push passes a part to the visitor. The caller holds claim.mu, and calls come after unlocking it.
func (p *parts) push(part Part) {
	x := p.x
	x.watch.received(part.Content)
	if len(part.Content) > 0 {
		p.chunks = append(p.chunks, part.Content)
		if part.room && x.watch == nil { // a tap may see it later
			p.rooms = append(p.rooms, part.Content)
		}
		p.size += len(part.Content)
		p.total += len(part.Content)
		x.hold.Add(len(part.Content))
	}
	p.moved = time.Now()
	if !part.More {
		p.last, x.answer.Trailers = true, part.Trailers
	}
}

// waitForRoom waits while the visitor has too much left to take, or until the exchange or ctx ends.
// It reports whether the visitor left, or time ran out, before everything was taken.
func (p *parts) waitForRoom(ctx context.Context) (late bool) {
	x, c := p.x, p.x.claim
	for {
		c.mu.Lock()
		if p.size <= p.window() || x.state == ended {
			late = p.size > 0 && x.state == ended && x.unheard()
			c.mu.Unlock()
			return late
		}
		room := p.awaitRoom()
		c.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return false
		}
	}
}

// unheard reports whether x ended in a way that no answer could reach anybody. The caller holds
// claim.mu.
func (x *Exchange) unheard() bool {
	return x.outcome == TimedOut || x.outcome == Abandoned || x.rejected
}

// Stream begins to relay content as it comes: the content of a message, or the rest of an answer
// with More. In the second case it fails with [ErrNotAnswering] if no answer has begun or parts
// have come, and with [ErrNoExchange], when the result says what another answer would be. For a
// message it fails as [Delivery.Answer] and [Delivery.Part] do; without an error, the stream is nil
// unless the result is [Accepted]. The same message again is a [Duplicate] if all of its content
// came, and a [Conflict] otherwise.
func (d Delivery) Stream(of Coming) (*Stream, Result, error) {
	if of.Answer != nil || of.Seq > 0 {
		return d.relay(of)
	}
	s, c := d.session, d.session.claim
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := s.answerable(); err != nil {
		return nil, Unknown, err
	}
	x := s.held[d.id]
	switch {
	case x == nil:
		return nil, s.tombs.judge(d.id, func(tombstone) bool { return false }), ErrNoExchange
	case x.parts == nil || x.parts.raw || x.parts.seq > 0:
		return nil, Unknown, ErrNotAnswering
	}
	s.life.touch()
	x.parts.raw, x.parts.lasts = true, of.Lasts
	x.parts.come() // the visitor now waits for a different time
	return &Stream{Exchange: x, Upgraded: x.answer.upgraded(), session: s, behind: of.Behind}, Accepted, nil
}

// Stream continues an answer until its end or [Delivery.Abort]. It must not be used by several
// goroutines at once.
type Stream struct {
	// Exchange is the exchange that is answered.
	Exchange *Exchange
	// Upgraded reports whether the answer upgraded the visitor's connection.
	Upgraded bool
	session  *Session
	behind   int
	relayed  bool // it carries the content of one message: the response, or the part seq
	seq      int
	room     []byte // the last room that Room returned
}

// RoomBytes is the size in bytes of a room of [Stream.Room].
const RoomBytes = 128 << 10

// freeRooms is a pool of rooms whose content has been written.
var freeRooms = sync.Pool{New: func() any { return new([RoomBytes]byte) }}

// Room returns a buffer for the next call of [Stream.Write]. Buffers whose content visitors have
// taken are reused.
func (w *Stream) Room() []byte {
	w.room = freeRooms.Get().(*[RoomBytes]byte)[:]
	return w.room
}

// Write passes on content, which the caller must not use afterwards, and waits while the visitor is
// slow, or until ctx ends. It reports whether more content is wanted.
func (w *Stream) Write(ctx context.Context, content []byte) bool {
	roomy := len(content) > 0 && len(w.room) > 0 && &content[0] == &w.room[0]
	if !w.push(Part{Content: content, More: true, room: roomy}) {
		return false
	}
	x := w.Exchange
	if x.parts.fallBehind(w.behind) {
		defer x.hold.Shrink(w.behind)
	}
	x.hold.Relieve()
	return !x.parts.waitForRoom(ctx)
}

// fallBehind holds n more bytes if the visitor has too much left to take and the owners may hold
// that many. It reports whether it holds them.
func (p *parts) fallBehind(n int) bool {
	x := p.x
	x.claim.mu.Lock()
	defer x.claim.mu.Unlock()
	if n == 0 || x.state == ended || p.size <= p.window() {
		return false
	}
	return x.hold.TryGrow(n) // beyond their share it would take from others
}

// Close ends the answer, unless more follows the relayed message, and waits until the visitor has
// taken all of it; with more, nearly all.
func (w *Stream) Close(ctx context.Context, more bool, trailers []Field) Result {
	if more {
		return w.pause(ctx)
	}
	x := w.Exchange
	w.push(Part{Trailers: trailers})
	c := x.claim
	for {
		c.mu.Lock()
		if x.state == ended {
			defer c.mu.Unlock()
			if x.outcome == Done {
				return Accepted
			}
			return Late
		}
		room := x.parts.awaitRoom()
		c.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return Accepted
		}
	}
}

func (w *Stream) push(part Part) bool {
	c := w.Exchange.claim
	c.mu.Lock()
	if w.Exchange.state != answering {
		c.mu.Unlock()
		return false
	}
	w.session.life.touch()
	if w.relayed && !part.More {
		w.Exchange.parts.seq = w.seq
	}
	w.Exchange.parts.push(part)
	c.mu.Unlock()
	w.Exchange.parts.come()
	return true
}
