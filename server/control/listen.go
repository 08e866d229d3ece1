package control

import (
	"context"
	"errors"
	"net/http"
	"time"

	"reversehttp/server/claim"
	"reversehttp/server/field"
	"reversehttp/server/intake"
	"reversehttp/server/problem"
	"reversehttp/server/wire"
)

// form is a form of stream that a poll can ask for.
type form interface {
	media() string
	heartbeat() string
	// append appends a message with its cursor.
	append(b []byte, m claim.Message) []byte
}

// ndjson is one message a line.
type ndjson struct {
	e Envelopes
	s *claim.Session
}

func (ndjson) media() string     { return "application/x-ndjson" }
func (ndjson) heartbeat() string { return "\n" }

func (f ndjson) append(b []byte, m claim.Message) []byte {
	return append(f.e.appendMessage(b, f.s, m), '\n')
}

// events are server-sent events (HTML, 9.2).
type events struct {
	e Envelopes
	s *claim.Session
}

func (events) media() string     { return "text/event-stream" }
func (events) heartbeat() string { return ":\n\n" }

func (f events) append(b []byte, m claim.Message) []byte {
	b = append(b, "id: "...)
	b = append(b, m.Cursor...)
	b = append(b, "\ndata: "...)
	return append(ndjson(f).append(b, m), '\n')
}

// stream answers with a stream.
func (p *Polls) stream(w http.ResponseWriter, r *http.Request, f form) {
	wait, preferred := preferredWait(r, p.Registry.Options().Times.Stream)
	rc := http.NewResponseController(w)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	begun := false
	err := SessionOf(r).Listen(ctx, lastEventID(r), wait, func(b *claim.Batch) {
		if !begun {
			begun = true
			h := w.Header()
			h.Set("Content-Type", f.media())
			// A proxy that compresses or buffers would keep messages back.
			h.Set("Cache-Control", "no-store, no-transform")
			h.Set("X-Accel-Buffering", "no")
			h[field.Incremental] = []string{"?1"}
			if preferred {
				applied(h, wait)
			}
		}
		out := []byte(f.heartbeat())
		if b != nil {
			p.Delivered(b)
			out = make([]byte, 0, sizeOf(b))
			for _, m := range b.Messages {
				out = f.append(out, m)
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
