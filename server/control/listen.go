package control

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"reversehttp/schema/envelope"
	"reversehttp/server/budget"
	"reversehttp/server/claim"
	"reversehttp/server/field"
	"reversehttp/server/wire"
)

// buffers is a pool of buffers for what is written to streams and links.
var buffers = sync.Pool{New: func() any {
	b := make([]byte, 0, 16<<10)
	return &b
}}

// bufferMost is the largest buffer, in bytes, that is reused. Most inline content fits.
const bufferMost = 192 << 10

// release returns a buffer that grew to b to the pool.
func release(buffer *[]byte, b []byte) {
	if cap(b) <= bufferMost {
		*buffer = b
	}
	buffers.Put(buffer)
}

// stream answers with a stream.
func (p *Polls) stream(w http.ResponseWriter, r *http.Request, f envelope.Form) {
	s := SessionOf(r)
	wait, preferred := preferredWait(r, p.Registry.Options().Times.Stream)
	at := p.peerOf(r)
	flow := p.flow(f)
	flow.HungUp, flow.Parting = at.hungUp, wire.Parting(r)
	open, err := s.Open(lastEventID(r), wait, flow)
	if err != nil {
		p.refuse(w, err)
		return
	}
	p.serve(w, r, &stream{peer: at, polls: p, open: open, form: f, messages: p.Envelopes.Of(s), wait: wait, preferred: preferred})
}

// stream is a poll that does not end with a batch.
type stream struct {
	*peer
	polls     *Polls
	open      *claim.Waiting
	form      envelope.Form
	messages  Messages
	wait      time.Duration
	preferred bool // the program asked for that
	started   bool // its head was sent
	napper    claim.Napper
}

func (s *stream) nap(n claim.Napper) { s.napper = n }

func (s *stream) begun() bool { return s.started }

// serve streams messages as they come.
func (s *stream) serve(ctx context.Context, w http.ResponseWriter, hold *budget.Hold, until time.Time) (over bool) {
	s.at(ctx)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	over, err := s.open.Listen(ctx, until, s.napper, func(b *claim.Batch) {
		if err := s.give(w, hold, b); err != nil {
			s.untaken(err)
			cancel() // the program did not take all of it, and will say so by its cursor
		}
	})
	switch {
	case !over:
	case ctx.Err() != nil || errors.Is(err, context.Canceled):
		panic(http.ErrAbortHandler) // nobody is there to be answered
	default:
		wire.BoundWrite(w, 0) // the end may come long after the last message
	}
	return over
}

// give writes messages, or a heartbeat where b is nil.
func (s *stream) give(w http.ResponseWriter, hold *budget.Hold, b *claim.Batch) error {
	if !s.started {
		s.started = true
		h := w.Header()
		h.Set("Content-Type", s.form.Media())
		// A proxy that compresses or buffers would delay messages.
		h.Set("Cache-Control", "no-store, no-transform")
		h.Set("X-Accel-Buffering", "no")
		h[field.Incremental] = []string{"?1"}
		if s.preferred {
			applied(h, s.wait)
		}
	}
	room := buffers.Get().(*[]byte)
	out := (*room)[:0]
	defer func() { release(room, out) }()
	if b == nil {
		out = append(out, s.form.Heartbeat()...)
	} else {
		s.polls.Delivered(b)
		if n := sizeOf(b); n > cap(out) {
			out = make([]byte, 0, n)
		}
		for _, m := range b.Messages {
			out = s.messages.append(out, m, s.form)
		}
	}
	hold.Add(cap(out))
	defer hold.Shrink(cap(out))
	rc := http.NewResponseController(w)
	for piece := range slices.Chunk(out, streamedAtOnce) {
		// A session that does not stream is lost after the same time.
		_ = rc.SetWriteDeadline(time.Now().Add(min(wire.WriteTime(len(piece)), s.polls.Registry.Options().Times.Acknowledge)))
		if err := given(w, hold, piece); err != nil {
			return err
		}
	}
	return nil
}

// streamedAtOnce is how many bytes of a stream the program has to take within the time in which it
// has to acknowledge a message.
const streamedAtOnce = 256 << 10

// flow returns what a stream of a form carries.
func (p *Polls) flow(f envelope.Form) claim.Flow {
	if !f.Beside() {
		return claim.Flow{Stream: true}
	}
	return claim.Flow{Stream: true, Inline: p.FramedInlineBytes, Unacknowledged: max(leastFramed, 4*p.FramedInlineBytes)}
}

// leastFramed is the least bytes of content that may be unacknowledged on a stream in the framed
// form, however little comes inline.
const leastFramed = 4 << 20
