package main

import (
	"encoding/base64"
	"io"
	"net/http"
	"slices"
	"unicode/utf8"

	reversehttp "reversehttp/sdk-go"
)

const (
	// As much content of a request is kept, and echoed or printed.
	contentKept = 1 << 20
	// As much is taken from a visitor in all, so that it can be counted.
	contentTaken = 64 << 20
	// As many requests are read at once: it bounds the content that is held.
	readers = 256
)

// request is what came, with the members of the envelope (schema/README.md, section 4). As there, each byte of a target,
// a name or a value is the character of the same number.
type request struct {
	ID          string        `json:"id"`
	Method      string        `json:"method"`
	Target      string        `json:"target"`
	URL         string        `json:"url"`
	HTTPVersion string        `json:"httpVersion"`
	RemoteAddr  string        `json:"remoteAddr"`
	Trace       *traceContext `json:"trace,omitempty"`
	Headers     [][2]string   `json:"headers"`
	Body        string        `json:"body,omitempty"`
	BodyBase64  string        `json:"bodyBase64,omitempty"`
	Bytes       int64         `json:"bytes"`
	Truncated   bool          `json:"truncated,omitempty"`
	Fault       string        `json:"error,omitempty"`
	Trailers    [][2]string   `json:"trailers,omitempty"`

	content []byte
}

// traceContext is the trace context of a request.
type traceContext struct {
	Traceparent string `json:"traceparent"`
	Tracestate  string `json:"tracestate,omitempty"`
}

// readRequest reads a request to the end of its content, of which it keeps a bounded part.
func readRequest(r *http.Request) *request {
	info := reversehttp.RequestInfo(r.Context())
	q := &request{
		ID: info.ID, Method: r.Method, Target: latin1(info.Target), URL: latin1(info.URL), HTTPVersion: r.Proto[len("HTTP/"):], RemoteAddr: r.RemoteAddr,
		Headers: append([][2]string{{"Host", latin1(r.Host)}}, pairs(r.Header)...),
	}
	if info.Trace != (reversehttp.Trace{}) {
		q.Trace = (*traceContext)(&info.Trace)
	}
	var err error
	q.content, err = io.ReadAll(io.LimitReader(r.Body, contentKept))
	q.Bytes = int64(len(q.content))
	if err == nil && q.Bytes == contentKept {
		var more int64
		more, err = io.Copy(io.Discard, io.LimitReader(r.Body, contentTaken-contentKept))
		q.Bytes += more
		q.Truncated = more > 0
	}
	if err != nil {
		q.Fault = "the content broke off: " + cause(err)
	}
	q.Trailers = pairs(r.Trailer)
	if utf8.Valid(q.content) {
		q.Body = string(q.content)
	} else {
		q.BodyBase64 = base64.StdEncoding.EncodeToString(q.content)
	}
	return q
}

// pairs returns a header by name, repeated names one after another.
func pairs(h http.Header) [][2]string {
	var all [][2]string
	for name, values := range h {
		for _, v := range values {
			all = append(all, [2]string{name, latin1(v)})
		}
	}
	slices.SortStableFunc(all, func(a, b [2]string) int {
		switch {
		case a[0] < b[0]:
			return -1
		case a[0] > b[0]:
			return 1
		}
		return 0
	})
	return all
}

func latin1(s string) string {
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}

// bytesOf undoes latin1.
func bytesOf(s string) string {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		b = append(b, byte(r))
	}
	return string(b)
}
