package recording

import (
	"bytes"
	"slices"
	"time"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
	"reversehttp/server/claim"
	"reversehttp/server/problem"
)

// recording is one recorded exchange. Its book's mutex guards it.
type recording struct {
	id      string
	changed uint64 // the last change
	counted int    // bytes that the book counts
	request claim.Request
	begun   time.Time
	queued  time.Time

	complete       bool // all of the request's content came
	sent, received content
	response       *claim.Answer // without its content; nil until it begins
	delivered      time.Time     // first; zero until it is
	answered, over time.Time     // zero until it is
	session        string        // the last
	attempt        int
	deliveries     []schema.RecordedDelivery
	interims       []schema.RecordedInterim
	timeline       timeline
	told           struct { // last
		at    time.Time
		parts int // how many there were
	}
	outcome         claim.Outcome
	failure         *claim.Failure
	fields, interim int // bytes of fields
}

// content is recorded content.
type content struct {
	kept []byte
	size int // all of it, in bytes
}

// add appends b, which it does not keep.
func (c *content) add(b []byte) {
	c.size += len(b)
	if room := contentBytes - len(c.kept); room > 0 {
		c.kept = append(c.kept, b[:min(len(b), room)]...)
	}
}

func (c *content) cut() bool { return c.size > len(c.kept) }

// newRecording begins the recording of an exchange, with its EventAsked.
func newRecording(e claim.Event) *recording {
	r := e.Exchange.Request()
	x := recordingOf(e.Exchange.ID(), r, e.Begun)
	x.complete, x.queued = !r.Content.Streams(), e.At
	return x
}

// recordingOf returns a recording of a request, without its content.
func recordingOf(id string, of *claim.Request, begun time.Time) *recording {
	r := *of
	r.Content, r.Interims, r.Entry = nil, nil, nil // which are over with the exchange
	r.Fields = slices.Clone(r.Fields)              // the visitor's door has them in a larger place
	return &recording{id: id, request: r, begun: begun, queued: begun, fields: claim.WeightOf(r.Fields) + len(r.Target) + len(r.URL) + len(r.Tracestate)}
}

// newRefused returns the recording of a request that was refused with a code before it became an exchange,
// with its received content.
func newRefused(id string, r *claim.Request, content []byte, code schema.Code) *recording {
	x := recordingOf(id, r, time.Now())
	x.sent.add(content)
	x.complete, x.over, x.outcome = true, x.begun, claim.Failed
	x.failure = &claim.Failure{Err: &problem.Problem{Code: code}, Handed: claim.HandedNo}
	return x
}

// The memory, in bytes, of a recording, a part and a delivery without their content.
const (
	recordingWeight = 2 << 10
	smallWeight     = 128
)

// weight returns the memory of the recording in bytes.
func (x *recording) weight() int {
	return recordingWeight + x.fields + x.interim + cap(x.sent.kept) + cap(x.received.kept) + x.timeline.weight() +
		smallWeight*(len(x.deliveries)+len(x.interims))
}

// ended reports whether the exchange has ended.
func (x *recording) ended() bool { return !x.over.IsZero() }

// see records an event.
func (x *recording) see(e claim.Event) {
	at := x.since(e.At)
	switch e.Kind {
	case claim.EventSent:
		x.sent.add(e.Content)
		x.timeline.add(at, visitor, e.Content, x.upgraded())
	case claim.EventDelivered:
		if x.delivered.IsZero() {
			x.delivered = e.At
		}
		x.session, x.attempt = e.Session, e.Attempt
		if len(x.deliveries) < mostDeliveries {
			x.deliveries = append(x.deliveries, schema.RecordedDelivery{AtMs: at, Session: e.Session, Attempt: e.Attempt})
		}
	case claim.EventInformed:
		if len(x.interims) < mostInterims {
			x.interims = append(x.interims, schema.RecordedInterim{AtMs: at, Status: e.Status, Headers: headers(e.Fields)})
			x.interim += claim.WeightOf(e.Fields)
		}
	case claim.EventAnswered:
		x.answered = e.At
		x.response = &claim.Answer{Status: e.Status, Fields: e.Fields}
		x.fields += claim.WeightOf(e.Fields)
	case claim.EventReceived:
		x.received.add(e.Content)
		x.timeline.add(at, handler, e.Content, x.upgraded())
	case claim.EventEnded:
		x.complete = e.Complete
		x.over, x.outcome, x.failure = e.At, e.Outcome, e.Failure
		if x.response != nil && len(e.Fields) > 0 {
			x.response.Trailers = e.Fields
			x.fields += claim.WeightOf(e.Fields)
		}
		x.sent.kept, x.received.kept = bytes.Clone(x.sent.kept), bytes.Clone(x.received.kept) // without room for more
		x.timeline.end()
	}
}

// sizesEvery is how often readers get changes of content alone.
const sizesEvery = time.Second

// tells reports whether readers get an event. They get changes of unrecorded content only now and then.
func (x *recording) tells(e claim.Event) bool {
	content := e.Kind == claim.EventSent || e.Kind == claim.EventReceived
	if content && len(x.timeline.parts) == x.told.parts && e.At.Sub(x.told.at) < sizesEvery {
		return false
	}
	x.told.parts, x.told.at = len(x.timeline.parts), e.At
	return true
}

// upgraded reports whether content belongs to a WebSocket.
func (x *recording) upgraded() bool { return x.response != nil && x.response.Status == 101 }

// since returns a time as milliseconds since the request came.
func (x *recording) since(t time.Time) int { return int(t.Sub(x.begun) / time.Millisecond) }

// recorded returns the recording as a list shows it.
func (x *recording) recorded() schema.Recorded {
	r := &x.request
	out := schema.Recorded{
		ID: x.id, URL: envelope.Characters(r.URL), Method: r.Method, Target: envelope.Characters(r.Target), HTTPVersion: r.HTTPVersion,
		RemoteAddr: r.RemoteAddr, Upgrade: r.Upgrade, ReplayOf: r.ReplayOf, ReceivedAt: x.begun.UTC().Format("2006-01-02T15:04:05.000Z07:00"),
		State: schema.RecordedQueued, QueuedMs: new(x.since(x.queued)), Session: x.session, Attempt: x.attempt,
		RequestBytes: x.sent.size, ResponseBytes: x.received.size, RequestCut: x.sent.cut() || x.ended() && !x.complete && r.Upgrade == "", ResponseCut: x.received.cut(),
	}
	if r.Traceparent != "" {
		out.Trace = &schema.Trace{Traceparent: r.Traceparent, Tracestate: r.Tracestate}
	}
	if !x.delivered.IsZero() {
		out.State, out.DeliveredMs = schema.RecordedDelivered, new(x.since(x.delivered))
	}
	if x.response != nil {
		out.State, out.FirstByteMs = schema.RecordedAnswering, new(x.since(x.answered))
		out.Handed = new(true)
	}
	if x.ended() {
		out.State, out.DoneMs = schema.RecordedEnded, new(x.since(x.over))
		out.Outcome = schema.RecordedOutcome(x.outcome.String())
	}
	if f := x.failure; f != nil && f.Handed != claim.HandedUnknown {
		out.Handed = new(f.Handed == claim.HandedYes)
	}
	status, code := x.verdict()
	out.Status, out.Code = status, string(code)
	return out
}

// verdict returns the status that the visitor was sent, or 0 if there is none yet or they left, and
// why the exchange failed, if it did.
func (x *recording) verdict() (status int, code schema.Code) {
	if x.failure != nil {
		code = problem.CodeOf(x.failure)
	}
	if x.response != nil {
		return x.response.Status, code
	}
	return problem.Status(code), code
}

// whole returns the whole recording.
func (x *recording) whole() schema.Recording {
	out := schema.Recording{
		Exchange: x.recorded(), Request: schema.RecordedMessage{Headers: headers(x.request.Fields)},
		Interims: orEmpty(x.interims), Deliveries: orEmpty(x.deliveries), Parts: orEmpty(x.timeline.recorded()), PartsCut: x.timeline.cut,
	}
	out.Request.Body, out.Request.BodyBase64 = body(x.sent.kept)
	if a := x.response; a != nil {
		out.Response = &schema.RecordedMessage{Status: a.Status, Headers: headers(a.Fields), Trailers: headers(a.Trailers)}
		out.Response.Body, out.Response.BodyBase64 = body(x.received.kept)
	}
	return out
}

// orEmpty returns list, or an empty list if it is nil.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return slices.Clone(list)
}

// headers returns fields in the form of envelopes.
func headers(fields []claim.Field) []schema.Field {
	all := make([]schema.Field, 0, len(fields))
	for _, f := range fields {
		all = append(all, schema.Field{f.Name, envelope.Characters(f.Value)})
	}
	return all
}
