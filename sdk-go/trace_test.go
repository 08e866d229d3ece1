package reversehttp_test

import (
	"maps"
	"net/http"
	"slices"
	"testing"

	reversehttp "reversehttp/sdk-go"
)

func TestATraceIsContinuedInAHeader(t *testing.T) {
	const (
		given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
		same  = "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-later"
		other = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	)
	for name, c := range map[string]struct {
		trace        reversehttp.Trace
		before, want http.Header
	}{
		"no trace":       {reversehttp.Trace{}, http.Header{"Traceparent": {"odd"}, "Tracestate": {"a=1"}}, http.Header{"Traceparent": {"odd"}, "Tracestate": {"a=1"}}},
		"none before":    {reversehttp.Trace{Traceparent: given}, http.Header{}, http.Header{"Traceparent": {given}}},
		"with state":     {reversehttp.Trace{Traceparent: given, Tracestate: "a=1"}, http.Header{}, http.Header{"Traceparent": {given}, "Tracestate": {"a=1"}}},
		"the same trace": {reversehttp.Trace{Traceparent: given, Tracestate: "a=1,b=2"}, http.Header{"Traceparent": {same}, "Tracestate": {"a=1", "b=2"}}, http.Header{"Traceparent": {same}, "Tracestate": {"a=1", "b=2"}}},
		"an invalid one": {reversehttp.Trace{Traceparent: given}, http.Header{"Traceparent": {"odd"}, "Tracestate": {"a=1"}}, http.Header{"Traceparent": {given}}},
		"two":            {reversehttp.Trace{Traceparent: other}, http.Header{"Traceparent": {given, given}}, http.Header{"Traceparent": {other}}},
	} {
		c.trace.SetHeader(c.before)
		if !maps.EqualFunc(c.before, c.want, slices.Equal) {
			t.Errorf("%s: %v, want %v", name, c.before, c.want)
		}
	}
	if got := (reversehttp.Trace{Traceparent: given}).ID(); got != "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("ID = %q", got)
	}
	if got := (reversehttp.Trace{Traceparent: "short"}).LogValue().String(); got != "" {
		t.Errorf("ID = %q, want none", got)
	}
}
