package reversehttp

import (
	"log/slog"
	"net/http"
)

// Trace is the trace context of a request (W3C Trace Context): what its visitor sent, if it was valid,
// otherwise a trace that the gateway began. The zero value is no trace.
type Trace struct {
	// Traceparent is the value of the field traceparent, in version 00. Empty: no trace, from a
	// gateway that begins none.
	Traceparent string
	// Tracestate is the value of the field tracestate, at most 512 characters of it. Empty: none.
	Tracestate string
}

// The places of trace id and parent id in a traceparent.
const (
	traceIDBegins = len("00-")
	traceIDEnds   = traceIDBegins + 32
)

// ID returns the trace id, 32 hexadecimal digits, or "" without a trace.
func (t Trace) ID() string { return traceID(t.Traceparent) }

func traceID(traceparent string) string {
	if len(traceparent) < traceIDEnds {
		return ""
	}
	return traceparent[traceIDBegins:traceIDEnds]
}

// SetHeader has h continue the trace: the header of a request that a handler makes, or the handler's
// own for libraries that look for the trace there. Fields of the same trace stay as they are; others
// are replaced, because a visitor may have sent invalid ones. Without a trace it changes nothing.
func (t Trace) SetHeader(h http.Header) {
	if t.Traceparent == "" {
		return
	}
	if same := h["Traceparent"]; len(same) == 1 && traceID(same[0]) == t.ID() {
		return
	}
	h["Traceparent"] = []string{t.Traceparent}
	delete(h, "Tracestate")
	if t.Tracestate != "" {
		h["Tracestate"] = []string{t.Tracestate}
	}
}

// LogValue has [log/slog] show a trace by its ID.
func (t Trace) LogValue() slog.Value { return slog.StringValue(t.ID()) }

// logged returns the attributes that name x in a log.
func (x *exchange) logged() slog.Attr {
	if id := traceID(x.traceparent); id != "" {
		return slog.Group("", "id", x.id, "trace_id", id)
	}
	return slog.String("id", x.id)
}
