package control

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
	"reversehttp/server/budget"
	"reversehttp/server/claim"
	"reversehttp/server/intake"
	"reversehttp/server/problem"
	"reversehttp/server/trust"
	"reversehttp/server/wire"
)

// Polls serves GET {requests}. Its members are set before its first use and do not change.
type Polls struct {
	Registry  *claim.Registry
	Envelopes Envelopes
	// FramedInlineBytes is the most content of a request on a stream in the framed form, in bytes.
	FramedInlineBytes int
	// Delivered is called with what a session is given.
	Delivered func(*claim.Batch)
	// Trust finds the address for which a poll counts.
	Trust trust.Peers
	// Guide is what problems of polls link to.
	Guide *problem.Guide
}

// Poll answers GET {requests}.
func (p *Polls) Poll(w http.ResponseWriter, r *http.Request) {
	hold := intake.HoldOf(r)
	SessionOf(r).Claim().Charge(hold)
	evictable(hold, w)
	if !hold.Grow(pollWeight) {
		crowded().Write(w, r)
		return
	}
	switch formOf(r) {
	case "json":
		p.batch(w, r)
	case "ndjson":
		p.stream(w, r, envelope.NDJSON)
	case "sse":
		p.stream(w, r, envelope.Events)
	case "framed":
		p.stream(w, r, envelope.Framed)
	default:
		(&problem.Problem{Code: schema.CodeNotAcceptable}).Write(w, r)
	}
}

// pollWeight is the memory, in bytes, that a poll takes beside its request.
const pollWeight = 8 << 10

// crowded returns the problem of a poll for which there is no room.
func crowded() *problem.Problem {
	return &problem.Problem{Code: schema.CodeQueueFull, Detail: "Too much is held for this label, or in all. Poll again soon."}
}

// refuse answers a poll with the problem for err, or with 204 if its claim has moved. No problem of a
// poll depends on its request, which may be gone.
func (p *Polls) refuse(w http.ResponseWriter, err error) {
	if errors.Is(err, claim.ErrMoved) && !wire.Moves(w) { // the next poll reaches the session where it is
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	problem.Of(err).Write(w, p.Guide.Unknown())
}

// evictable lets the hold be taken back while a write to w waits.
func evictable(hold *budget.Hold, w http.ResponseWriter) {
	rc := http.NewResponseController(w)
	hold.Evictable(func(error) { _ = rc.SetWriteDeadline(intake.Past) })
}

// given writes to a poll what its session was given. It counts in hold and may be taken back until
// the program has taken it: the next poll brings it again.
func given(w http.ResponseWriter, hold *budget.Hold, content []byte) error {
	hold.Relieve()
	if why := hold.Evicted(); why != nil {
		return why
	}
	hold.Wait()
	_, err := w.Write(content)
	if err == nil {
		err = http.NewResponseController(w).Flush()
	}
	hold.Move(len(content))
	return err
}

// batch answers with one batch.
func (p *Polls) batch(w http.ResponseWriter, r *http.Request) {
	s, cursor := SessionOf(r), lastEventID(r)
	wait, preferred := preferredWait(r, p.Registry.Options().Times.Wait)
	at := p.peerOf(r)
	open, err := s.Open(cursor, wait, claim.Flow{HungUp: at.hungUp, Parting: wire.Parting(r)})
	if err != nil {
		p.refuse(w, err)
		return
	}
	p.serve(w, r, &batch{peer: at, polls: p, session: s, open: open, wait: wait, preferred: preferred, repeats: cursor != nil})
}

// batch is a poll that waits for one batch.
type batch struct {
	*peer
	polls     *Polls
	session   *claim.Session
	open      *claim.Waiting
	wait      time.Duration
	preferred bool // the program asked for that
	repeats   bool // what is not taken is delivered again
	napper    claim.Napper
}

func (b *batch) nap(n claim.Napper) { b.napper = n }

func (b *batch) begun() bool { return false }

// serve answers with the batch.
func (b *batch) serve(ctx context.Context, w http.ResponseWriter, hold *budget.Hold, until time.Time) (over bool) {
	b.at(ctx)
	messages, over, err := b.open.Next(ctx, until, b.napper)
	if !over {
		return false
	}
	switch {
	case errors.Is(err, context.Canceled):
		panic(http.ErrAbortHandler) // nobody is there to be answered
	case err != nil:
		b.polls.refuse(w, err)
	default:
		b.answer(ctx, w, hold, messages)
	}
	return true
}

// answer answers with a batch, or with 204 if it is nil.
func (b *batch) answer(ctx context.Context, w http.ResponseWriter, hold *budget.Hold, messages *claim.Batch) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	if b.preferred {
		applied(h, b.wait)
	}
	if messages == nil {
		wire.BoundWrite(w, 0)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	size := sizeOf(messages)
	if !b.repeats {
		hold.Add(size) // it counts as received: it goes out now or never
	} else if !hold.Grow(size) {
		b.polls.refuse(w, crowded()) // the batch comes again
		return
	}
	b.polls.Delivered(messages)
	body := b.polls.Envelopes.Of(b.session).appendBatch(make([]byte, 0, size), messages)
	h["Content-Type"] = []string{"application/json"}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	// A program that takes it slowly is alive. One that takes nothing is lost when the write fails.
	defer b.session.Work(ctx)()
	rc := http.NewResponseController(w)
	for piece := range slices.Chunk(body, takenAtOnce) {
		_ = rc.SetWriteDeadline(time.Now().Add(b.polls.Registry.Options().Times.Acknowledge))
		if given(w, hold, piece) != nil {
			panic(http.ErrAbortHandler) // no clean end
		}
	}
}

// takenAtOnce is how many bytes of a batch a program has to take within the time in which it has to
// acknowledge a message of a stream.
const takenAtOnce = 4 << 10

// formOf returns the form of poll that Accept asks for, see [preferredForm].
func formOf(r *http.Request) string { return preferredForm(r, formOfMedia) }

// preferredForm returns the form that Accept asks for (RFC 9110, 12.5.1): the one with the highest
// quality, the first of equals, or "" if there is none. of names the form of a media range, or
// returns "".
func preferredForm(r *http.Request, of func(media string) string) (form string) {
	accept := r.Header["Accept"]
	if len(accept) == 0 {
		return "json"
	}
	best := 0.0
	for _, v := range accept {
		for one := range strings.SplitSeq(v, ",") {
			media, parameters, _ := strings.Cut(one, ";")
			named := of(strings.ToLower(strings.TrimSpace(media)))
			if q := quality(parameters); named != "" && q > best {
				form, best = named, q
			}
		}
	}
	return form
}

// formOfMedia returns the form of polls that a media range names, or "".
func formOfMedia(media string) string {
	switch media {
	case "*/*", "application/*", "application/json", "":
		return "json"
	case "application/x-ndjson":
		return "ndjson"
	case "text/event-stream", "text/*":
		return "sse"
	case envelope.MediaFramed:
		return "framed"
	}
	return ""
}

// quality returns the parameter q; 1 if there is no valid one.
func quality(parameters string) float64 {
	for p := range strings.SplitSeq(parameters, ";") {
		if value, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(p)), "q="); ok {
			if q, err := strconv.ParseFloat(value, 64); err == nil && q >= 0 && q <= 1 {
				return q
			}
		}
	}
	return 1
}

// applied states the wait that was applied (RFC 7240, 3).
func applied(h http.Header, wait time.Duration) {
	h.Set("Preference-Applied", "wait="+strconv.Itoa(int(wait/time.Second)))
}

// preferredWait returns the wait of Prefer: wait=N (RFC 7240, 4.3), in whole seconds. It ignores
// what it cannot parse, as the RFC requires.
func preferredWait(r *http.Request, longest time.Duration) (wait time.Duration, preferred bool) {
	for _, v := range r.Header["Prefer"] {
		for one := range strings.FieldsFuncSeq(v, func(c rune) bool { return c == ',' || c == ';' }) {
			name, value, _ := strings.Cut(strings.TrimSpace(one), "=")
			if !strings.EqualFold(strings.TrimSpace(name), "wait") {
				continue
			}
			if n, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 31); err == nil {
				return min(time.Duration(n)*time.Second, longest), true
			}
		}
	}
	return longest, false
}

// lastEventID returns the cursor of a request, or nil.
func lastEventID(r *http.Request) *string {
	if v := r.Header["Last-Event-Id"]; len(v) > 0 {
		return &v[0]
	}
	return nil
}

// sizeOf estimates the length of a batch as JSON, so that its buffer seldom has to grow.
func sizeOf(b *claim.Batch) int {
	n := 64
	for _, m := range b.Messages {
		n += 512
		if m.Cancel == "" {
			req := m.Exchange.Request()
			n += len(req.Content.Bytes())*9/8 + 2*len(req.Target)
			for _, f := range req.Fields {
				n += len(f.Name) + len(f.Value) + 8
			}
		}
	}
	return n
}
