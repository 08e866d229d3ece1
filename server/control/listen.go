package control

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"reversehttp/schema/envelope"
	"reversehttp/server/claim"
	"reversehttp/server/field"
	"reversehttp/server/intake"
	"reversehttp/server/problem"
	"reversehttp/server/wire"
)

// buffers are for what is written to streams; more than fits one has an allocation of its own.
var buffers = sync.Pool{New: func() any {
	b := make([]byte, 0, 16<<10)
	return &b
}}

// stream answers with a stream.
func (p *Polls) stream(w http.ResponseWriter, r *http.Request, f envelope.Form) {
	s := SessionOf(r)
	wait, preferred := preferredWait(r, p.Registry.Options().Times.Stream)
	rc := http.NewResponseController(w)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	begun, messages := false, p.Envelopes.Of(s)
	err := s.Listen(ctx, lastEventID(r), wait, p.flow(f), func(b *claim.Batch) {
		if !begun {
			begun = true
			h := w.Header()
			h.Set("Content-Type", f.Media())
			// A proxy that compresses or buffers would keep messages back.
			h.Set("Cache-Control", "no-store, no-transform")
			h.Set("X-Accel-Buffering", "no")
			h[field.Incremental] = []string{"?1"}
			if preferred {
				applied(h, wait)
			}
		}
		room := buffers.Get().(*[]byte)
		defer buffers.Put(room)
		out := (*room)[:0]
		if b == nil {
			out = append(out, f.Heartbeat()...)
		} else {
			p.Delivered(b)
			if n := sizeOf(b); n > cap(out) {
				out = make([]byte, 0, n)
			}
			for _, m := range b.Messages {
				out = messages.append(out, m, f)
			}
		}
		// After so long the session counts as lost where it does not stream, too.
		_ = rc.SetWriteDeadline(time.Now().Add(min(wire.WriteTime(len(out)), p.Registry.Options().Times.Acknowledge)))
		hold := intake.HoldOf(r)
		hold.Add(cap(out))
		defer hold.Shrink(cap(out))
		if given(w, hold, out) != nil {
			cancel() // it took nothing of this, or not all: it will say so
		}
	})
	switch {
	case ctx.Err() != nil || errors.Is(err, context.Canceled):
		panic(http.ErrAbortHandler) // nobody is there to be answered
	case err != nil && !begun:
		problem.Of(err).Write(w, r)
	default:
		wire.BoundWrite(w, 0) // the end may come long after the last message
	}
}

// flow returns how much content a stream of a form carries.
func (p *Polls) flow(f envelope.Form) claim.Flow {
	if !f.Beside() {
		return claim.Flow{}
	}
	return claim.Flow{Inline: p.FramedInlineBytes, Unacknowledged: max(leastFramed, 4*p.FramedInlineBytes)}
}

// leastFramed is how much content may be unacknowledged on a stream in the framed form, in bytes, however little comes inline.
const leastFramed = 4 << 20
