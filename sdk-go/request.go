package reversehttp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"strconv"
	"sync"

	"reversehttp/schema/envelope"
)

// Info is what an *http.Request has no place for.
type Info struct {
	// ID names the exchange. It is unique for the gateway and all its restarts.
	ID string
	// Attempt counts the deliveries of this exchange, from 1.
	Attempt int
	// Target is the request target byte for byte as the visitor sent it, including the path of the
	// claim's URL.
	Target string
	// URL is the target URI as the visitor sees it.
	URL string
	// Base is the public URL of the claim, with a final slash. Links and redirects that begin with a slash leave it
	// where the claim's URL has a path; put Base in front of them.
	Base string
	// Trace is the trace that the request belongs to. Zero: none, from a gateway that begins none.
	Trace Trace
	// ReplayOf is the exchange whose recorded request the owner replays with this one. Empty: a
	// visitor sent this request.
	ReplayOf string
}

type infoKey struct{}

// RequestInfo returns the Info of a request from its context. It is zero for a request that did not
// come by a session.
func RequestInfo(ctx context.Context) Info {
	if info, ok := ctx.Value(infoKey{}).(*Info); ok {
		return *info
	}
	return Info{}
}

// newRequest returns the request that a net/http server mounted at the claim's URL would pass to
// its handler for a message. Content that is not in the message comes from remote.
func newRequest(ctx context.Context, m *message, remote func() *remote) (*http.Request, error) {
	e := &m.Request
	header := newHeader(m.Fields)
	m.info = Info{ID: e.ID, Attempt: e.Attempt, Target: e.Target, URL: e.URL, Base: e.Base, Trace: Trace{e.Traceparent, e.Tracestate}, ReplayOf: e.ReplayOf}
	target := withoutBase(e.Target, e.Base)
	major, minor, err := protocol(e.HTTPVersion)
	r := new(http.Request).WithContext(context.WithValue(ctx, infoKey{}, &m.info)) // one allocation less than a shallow copy
	r.Method, r.URL, r.RequestURI = e.Method, parseTarget(target), target
	r.Proto, r.ProtoMajor, r.ProtoMinor = protoOf(e.HTTPVersion), major, minor
	r.Header, r.RemoteAddr, r.Body = header, e.RemoteAddr, http.NoBody
	// RFC 9112, 3.2.2: the authority of an absolute target overrides the field.
	if r.Host = r.URL.Host; r.Host == "" {
		r.Host = r.Header.Get("Host")
	}
	delete(r.Header, "Host")
	var bad error
	switch {
	case e.Upgrade != "":
		// These fields end at the gateway, but handlers look for them. The content comes once the
		// connection is upgraded.
		r.Header["Connection"], r.Header["Upgrade"] = []string{"Upgrade"}, []string{e.Upgrade}
	case e.BodyURL != "":
		c := remote()
		r.Body, r.Trailer = c, c.trailer
		if r.ContentLength, bad = length(r.Header); r.ContentLength < 0 && r.ProtoAtLeast(1, 1) && major == 1 {
			r.TransferEncoding = []string{"chunked"}
		}
		if r.ContentLength < 0 { // the names are there before the content has ended
			for _, name := range declaredTrailers(r.Header) {
				c.trailer[name] = nil
			}
			delete(r.Header, "Trailer")
		}
	case len(m.Content) > 0:
		r.Body, r.ContentLength = &content{source: bytes.NewReader(m.Content)}, int64(len(m.Content))
	}
	return r, errors.Join(err, bad)
}

// length returns the value of Content-Length, or -1 without one.
func length(h http.Header) (int64, error) {
	v := h.Get("Content-Length")
	if v == "" {
		return -1, nil
	}
	n, err := strconv.ParseUint(v, 10, 63)
	return int64(n), err
}

// protoOf returns the Proto of an HTTP version.
func protoOf(version string) string {
	switch version {
	case "1.1":
		return "HTTP/1.1"
	case "1.0":
		return "HTTP/1.0"
	case "2.0":
		return "HTTP/2.0"
	}
	return "HTTP/" + version
}

func protocol(v string) (major, minor int, err error) {
	if len(v) != 3 || v[1] != '.' || v[0] < '0' || v[0] > '9' || v[2] < '0' || v[2] > '9' {
		return 0, 0, errors.New("httpVersion is none")
	}
	return int(v[0] - '0'), int(v[2] - '0'), nil
}

func newHeader(fields []envelope.Field) http.Header {
	h := make(http.Header, len(fields))
	values := make([]string, len(fields)) // one allocation for all names that come once
	for i, f := range fields {
		name, value := textproto.CanonicalMIMEHeaderKey(f.Name), f.Value
		if before, ok := h[name]; ok {
			h[name] = append(before, value)
			continue
		}
		values[i] = value
		h[name] = values[i : i+1 : i+1]
	}
	return h
}

// content is the content of a request. Like the one of a net/http server it ends with its handler.
type content struct {
	mu     sync.Mutex // guards what follows; a handler may leave a reader behind
	source io.Reader
	closed bool
}

func (c *content) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, http.ErrBodyReadAfterClose
	}
	return c.source.Read(p)
}

func (c *content) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return nil
}
