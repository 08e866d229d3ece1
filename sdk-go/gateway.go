package reversehttp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
	"reversehttp/sdk-go/internal/origins"
)

const (
	version = 1
	// How long a call may stand still. Content that was sent and may still be on its way has its
	// own time (leastRate).
	callSilence = 30 * time.Second
	// How long the answer to a PING may take.
	sharedPing = 30 * time.Second
	// No honest gateway sends more at once; the bound keeps a broken one from taking all memory.
	answerMost = 256 << 20
)

// gateway is the control API of a gateway, found by its discovery document.
type gateway struct {
	client  *http.Client // follows no redirects
	origins *origins.Gateway
	key     string
	claims  string
	streams bool        // a poll may ask for a stream
	framed  bool        // and for one in the framed form
	shared  atomic.Bool // the last answer came by HTTP/2: all requests may have one connection
}

// patience returns how long to wait for something that should come within a time. On a shared
// connection a request waits behind whatever else is on its way; there the transport notices a dead
// connection.
func (g *gateway) patience(within time.Duration) time.Duration {
	if g.shared.Load() {
		return within + sharedPing
	}
	return within
}

// discover fetches the gateway's discovery document.
func discover(ctx context.Context, client *http.Client, origin, key string) (*gateway, error) {
	o, err := origins.Parse(origin)
	if err != nil {
		return nil, err
	}
	g := &gateway{client: o.Finding(client), origins: o, key: key}
	var d schema.Discovery
	if err := g.call(ctx, call{method: "GET", url: o.Discovery.String()}, &d); err != nil {
		return nil, err
	}
	if d.Version != version {
		return nil, fmt.Errorf("%s does not speak version %d of the protocol", o.Discovery, version)
	}
	if g.claims, err = o.Resolve("claims", d.Claims); err != nil {
		return nil, &Error{Code: codeUnexpected, Detail: err.Error()}
	}
	g.client = origins.Asking(client)
	g.streams = slices.Contains(d.Transports, "ndjson")
	g.framed = slices.Contains(d.Transports, "framed")
	return g, nil
}

// call is one request to the control API.
type call struct {
	method, url, bearer string
	// at is the parsed url; nil means not parsed yet.
	at *url.URL
	// cursor is sent as Last-Event-ID unless empty.
	cursor string
	// prefer is sent as Prefer unless empty.
	prefer string
	// media is the type of the content; empty means JSON.
	media string
	// content is what is sent.
	content pieces
	// again says that the call may be sent twice, if a connection ends before the answer.
	again bool
	// within is how long to wait for an answer once everything is sent; zero means callSilence.
	within time.Duration
	// silence is the longest pause within an answer; zero means callSilence.
	silence time.Duration
	// era ends the call when it ends; see silence. Nil means none.
	era context.Context
}

var (
	errNoAnswer = errors.New("reversehttp: no sign of an answer")
	errNewEra   = errors.New("reversehttp: sent into a silence that is over")
)

// call sends c and decodes the answer into the value at into, if that is not nil. Content that is not JSON is an *Error.
func (g *gateway) call(ctx context.Context, c call, into any) error {
	content, err := g.send(ctx, c)
	if err != nil || into == nil {
		return err
	}
	if err := json.Unmarshal(content, into); err != nil {
		return &Error{Code: codeUnexpected, Detail: err.Error()}
	}
	return nil
}

// results sends answers and returns the result of each. Any other content is an *Error.
func (g *gateway) results(ctx context.Context, c call) ([]schema.Result, error) {
	content, err := g.send(ctx, c)
	if err != nil {
		return nil, err
	}
	results, err := envelope.DecodeResults(content)
	if err != nil {
		return nil, &Error{Code: codeUnexpected, Detail: err.Error()}
	}
	return results, nil
}

// send sends c and returns the content of the answer. A status other than success is an *Error.
func (g *gateway) send(ctx context.Context, c call) ([]byte, error) {
	if c.within == 0 {
		c.within = callSilence
	}
	if c.silence == 0 {
		c.silence = callSilence
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if c.era != nil {
		defer context.AfterFunc(c.era, func() { cancel(errNewEra) })()
	}
	size := c.content.size()
	most := g.patience(c.within) + time.Duration(size)*time.Second/leastRate
	p := newPatience(most, func() { cancel(errNoAnswer) })
	defer p.stop()
	req, err := c.request(ctx)
	if err != nil {
		return nil, err
	}
	if size > 0 {
		req.ContentLength = size
		req.GetBody = func() (io.ReadCloser, error) { return c.content.reader(func() { p.renew(most) }), nil }
		req.Body, _ = req.GetBody()
	}
	c.setFields(req.Header)
	content, err := g.do(req, func() { p.renew(c.silence) })
	if why := context.Cause(ctx); err != nil && (why == errNoAnswer || why == errNewEra) {
		err = why // the client says that its context ended
	}
	return content, err
}

// request returns the request without its fields and content.
func (c *call) request(ctx context.Context) (*http.Request, error) {
	if c.at == nil {
		return http.NewRequestWithContext(ctx, c.method, c.url, nil)
	}
	r := new(http.Request).WithContext(ctx)
	r.Method, r.URL, r.Host, r.Header = c.method, c.at, c.at.Host, make(http.Header, 8)
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.1", 1, 1
	return r, nil
}

func (c *call) setFields(h http.Header) {
	h["Accept"] = acceptsJSON
	if c.bearer != "" {
		h["Authorization"] = []string{"Bearer " + c.bearer}
	}
	if c.cursor != "" {
		h["Last-Event-Id"] = []string{c.cursor}
	}
	if c.prefer != "" {
		h["Prefer"] = []string{c.prefer}
	}
	if c.again {
		h["Idempotency-Key"] = []string{} // is for the transport, and not sent
	}
	switch {
	case c.media == envelope.MediaFramed:
		h["Content-Type"] = sendsFramed
	case len(c.content) > 0:
		h["Content-Type"] = sendsJSON
	}
}

// Values of fields. A transport does not change them.
var (
	acceptsJSON = []string{"application/json"}
	sendsJSON   = []string{"application/json"}
	sendsFramed = []string{envelope.MediaFramed}
)

// do sends a request and returns the content of the answer, calling moved whenever some of it has
// come. A status other than success is an *Error.
func (g *gateway) do(req *http.Request, moved func()) ([]byte, error) {
	resp, err := g.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	g.shared.Store(resp.ProtoMajor > 1)
	moved()
	resp.Body = moving{resp.Body, moved}
	return answerOf(resp)
}

// answerOf returns the content of an answer. A status other than success is an *Error.
func answerOf(resp *http.Response) ([]byte, error) {
	content, err := readAll(resp)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, refusal(resp.StatusCode, resp.Header, content)
	}
	return content, nil
}

func readAll(resp *http.Response) ([]byte, error) {
	var b bytes.Buffer
	if n := resp.ContentLength; n > 0 && n <= answerMost {
		b.Grow(int(n) + bytes.MinRead) // or ReadFrom would grow once more to see the end
	}
	n, err := b.ReadFrom(io.LimitReader(resp.Body, answerMost+1))
	if n > answerMost {
		return nil, fmt.Errorf("the answer is larger than %d bytes", answerMost)
	}
	return b.Bytes(), err
}

func waitFor(seconds int) string { return "wait=" + strconv.Itoa(seconds) }

// newClient returns the client to use, and its transport if that has to be closed with the session.
func newClient(given *http.Client) (*http.Client, *http.Transport) {
	if given != nil {
		c := *given
		c.Timeout = 0
		return &c, nil
	}
	t := NewTransport()
	return &http.Client{Transport: t}, t
}

// NewTransport returns a transport like that of a session whose Options have no Client. Change it,
// for instance to trust a private certificate, and use it in [Options].Client. The caller has to
// close its idle connections.
func NewTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = mostPosts + 2
	// This detects within a minute a connection that died in silence, even if no poll ends. The
	// ping waits behind all that is on its way. A gateway that is short of memory takes two seconds
	// to refuse content.
	t.ExpectContinueTimeout = 10 * time.Second
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: sharedPing}
	return t
}
