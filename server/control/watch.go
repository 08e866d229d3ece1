package control

import (
	"net/http"
	"strconv"
	"time"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
	"reversehttp/server/budget"
	"reversehttp/server/intake"
	"reversehttp/server/problem"
	"reversehttp/server/recording"
)

// stream answers GET {exchanges} with a stream of changes: first all recordings, or the changes
// since Last-Event-ID.
func (rs *Recordings) stream(w http.ResponseWriter, r *http.Request, form envelope.Form, f recording.Filter) {
	book := rs.bookOf(r)
	if book == nil {
		problem.New(schema.CodeNoExchange, "Nothing is recorded for this claim: claim it with \"inspect\":true.").Write(w, r)
		return
	}
	if !book.Enter() {
		problem.New(schema.CodeQuotaExceeded, "As many streams of recordings are open for this claim as may be: "+strconv.Itoa(recording.MostReaders)+".").Write(w, r)
		return
	}
	defer book.Leave()
	hold := intake.HoldOf(r)
	claimOf(r).Charge(hold)
	evictable(hold, w)
	if !hold.Grow(pollWeight) {
		crowded().Write(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", form.Media())
	h.Set("Cache-Control", "no-store, no-transform")
	h.Set("X-Accel-Buffering", "no")
	times := rs.Claims.Registry.Options().Times
	wait, preferred := preferredWait(r, times.Stream)
	if preferred {
		applied(h, wait)
	}
	after := ""
	if id := lastEventID(r); id != nil {
		after = *id
	}
	over := time.NewTimer(wait)
	defer over.Stop()
	heartbeat := time.NewTimer(times.Heartbeat)
	defer heartbeat.Stop()
	out := []byte(form.Heartbeat())
	for last := false; ; {
		c, news := book.Since(after, f)
		out, after = appendChanges(out, form, c, after), c.Change
		if len(out) > 0 {
			if !rs.write(w, hold, out) {
				return
			}
			out = nil
			heartbeat.Reset(times.Heartbeat)
		}
		if c.More {
			continue
		}
		if last || c.Closed {
			return
		}
		select {
		case <-news:
		case <-heartbeat.C:
			out = append(out[:0], form.Heartbeat()...)
			heartbeat.Reset(times.Heartbeat)
		case <-over.C: // with what changed at the same moment
			last = true
		case <-rs.Stops:
			last = true
		case <-r.Context().Done():
			return
		}
	}
}

// write writes to a stream, and reports whether its reader took it.
func (rs *Recordings) write(w http.ResponseWriter, hold *budget.Hold, out []byte) bool {
	hold.Add(len(out))
	defer hold.Shrink(len(out))
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(rs.Claims.Registry.Options().Times.Acknowledge))
	return given(w, hold, out) == nil
}

// appendChanges appends changes as events of a stream.
func appendChanges(out []byte, form envelope.Form, c recording.Changes, after string) []byte {
	for _, e := range eventsOf(c, after) {
		line := marshal(e)
		out = form.End(append(form.Begin(out, e.Change), line[:len(line)-1]...), nil)
	}
	return out
}

// eventsOf returns the changes since a change as messages. All but the last name the earlier change, so that
// a reader that leaves in between gets all of them again.
func eventsOf(c recording.Changes, after string) (events []schema.RecordedEvent) {
	if c.Cleared {
		events = append(events, schema.RecordedEvent{Type: schema.TypeRecordedEvent, Change: after, Cleared: true})
	}
	if c.Closed {
		return append(events, schema.RecordedEvent{Type: schema.TypeRecordedEvent, Change: after, Cleared: true, Last: true})
	}
	for i := range c.Recordings {
		events = append(events, schema.RecordedEvent{Type: schema.TypeRecordedEvent, Change: after, Exchange: &c.Recordings[i]})
	}
	if len(events) > 0 {
		events[len(events)-1].Change = c.Change
	}
	return events
}
