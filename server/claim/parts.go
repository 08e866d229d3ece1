package claim

import (
	"context"
	"io"
	"sync"
	"time"
)

// parts are the content of a streamed answer on its way from a session to the
// visitor. A part is taken at once, and its sender then waits while the visitor
// has yet to take more than window: that is the back-pressure. claim.mu guards
// it, but for the channel came.
type parts struct {
	x      *Exchange
	head   uint64   // hash of the beginning, whose content the visitor's door lets go
	seq    int      // of the last part taken
	chunks [][]byte // not given to the visitor yet
	size   int      // of chunks
	taking int      // bytes that the visitor's door has and writes
	rooms  [][]byte // those that are among chunks, which come from [Stream.Room]
	lent   [][]byte // those that the visitor's door has
	total  int      // bytes of the beginning and of all parts
	last   bool     // no part comes any more
	raw    bool     // a [Stream] has begun
	// relayed says that the stream has the content of one message. While that is the response seq is -1.
	relayed bool
	lasts   bool          // and there is no time between its parts
	moved   time.Time     // when a part came last, or the visitor had taken all
	came    chan struct{} // something came for the visitor; one place
	room    chan struct{} // closed when the visitor took something; nil while nobody waits
	// confirms are the messages of a link whose content the visitor has not taken; nil where none came on one.
	confirms *confirmations
}

// window is how much content of a streamed answer waits for its visitor before
// its sender does, in bytes, while there is room for it.
const window = 64 << 10

// window returns how much content waits for the visitor before its sender does, in bytes:
// nothing where the claim, or the visitor's address, has little room left, which is for small
// answers then.
func (p *parts) window() int {
	if p.x.hold.Short() {
		return 0
	}
	return window
}

func (p *parts) come() { poke(p.came) }

// awaitRoom gives what makeRoom closes next.
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

// begin gives the visitor the beginning of a streamed answer. The caller holds
// claim.mu.
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

// Next gives the visitor the content that comes next of an answer with More; at
// the end it gives [io.EOF], and a [*Failure] where the answer is cut short. The
// end of ctx means that the visitor left.
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

// time is how long the next part may take. The caller holds claim.mu.
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

// Part sends a part of an answer on, and waits while the visitor is slow, or
// until ctx ends, which takes nothing back that was taken. Where the visitor
// leaves meanwhile it gives [Late]. It fails with [ErrNotAnswering] and [ErrGap],
// where the session may not answer with why, and with the error of ctx where that
// ends before there is room for the part.
func (d Delivery) Part(ctx context.Context, part Part) (Result, error) {
	for {
		result, full, err := d.part(ctx, part)
		if full == nil {
			return result, err
		}
		// Somebody did not wait for the answer to the part before.
		done := d.session.Work(ctx)
		full.parts.waitForRoom(ctx)
		done()
		if ctx.Err() != nil {
			return Unknown, ctx.Err()
		}
	}
}

// part is Part, but for an exchange that has no room for another part it takes
// nothing and gives that.
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

// push gives the visitor a part. The caller holds claim.mu, and says that it came once it
// does not.
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

// waitForRoom waits while the visitor has too much to take, or until the
// exchange or ctx ends. It tells whether the visitor left, or time ran out, before
// all was taken.
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

// unheard reports whether x ended so that no answer could reach anybody. The caller holds claim.mu.
func (x *Exchange) unheard() bool {
	return x.outcome == TimedOut || x.outcome == Abandoned || x.rejected
}

// Stream begins to relay content as it comes: that of a message, or what continues an answer with More and ends it. Then it fails
// with [ErrNotAnswering] where none began or parts came already, and with [ErrNoExchange], where the result says what a further answer
// would be. For a message it fails as [Delivery.Answer] and [Delivery.Part] do, and without an error there is no stream where the
// result is not [Accepted]: the same message again is a [Duplicate] where all of its content came, and a [Conflict] otherwise.
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
	x.parts.come() // who waits has another time to do so
	return &Stream{Exchange: x, Upgraded: x.answer.upgraded(), session: s, behind: of.Behind}, Accepted, nil
}

// Stream continues an answer, until its end or [Delivery.Abort]. It is not used by several
// goroutines at a time.
type Stream struct {
	// Exchange is the one that is answered.
	Exchange *Exchange
	// Upgraded reports whether the answer upgraded the visitor's connection.
	Upgraded bool
	session  *Session
	behind   int
	relayed  bool // it has the content of one message: the response, or the part seq
	seq      int
	room     []byte // the last that Room returned
}

// RoomBytes is how much content fits into a room of [Stream.Room], in bytes.
const RoomBytes = 128 << 10

// freeRooms are rooms whose content has been written.
var freeRooms = sync.Pool{New: func() any { return new([RoomBytes]byte) }}

// Room returns a room for content, for the next call of [Stream.Write]: one whose content visitors have taken is used again.
func (w *Stream) Room() []byte {
	w.room = freeRooms.Get().(*[RoomBytes]byte)[:]
	return w.room
}

// Write sends content on, which the caller does not use afterwards, and
// waits while the visitor is slow, or until ctx ends. It tells whether anybody
// wants more.
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

// fallBehind holds n bytes more, where the visitor has too much to take and its owners may hold
// them, and reports whether it does.
func (p *parts) fallBehind(n int) bool {
	x := p.x
	x.claim.mu.Lock()
	defer x.claim.mu.Unlock()
	if n == 0 || x.state == ended || p.size <= p.window() {
		return false
	}
	return x.hold.TryGrow(n) // beyond their share it would be the others' that counts
}

// Close ends the answer, unless more follows the message that was relayed, and waits until the visitor has all of it, or with more
// nearly all.
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
