package door

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
	"reversehttp/server/answer"
	"reversehttp/server/claim"
	"reversehttp/server/control"
	"reversehttp/server/intake"
	"reversehttp/server/publicurl"
	"reversehttp/server/wire"
)

// Errors that [Relay.Hand] joins to the cause.
var (
	// ErrUnsent means that the program certainly did not get the whole head of the request.
	ErrUnsent = errors.New("door: nothing of the request was sent")
	// ErrGarbled means that the program's response was malformed, or ended before any of it was
	// relayed.
	ErrGarbled = errors.New("door: the response is malformed")
)

// Relay carries requests to programs, and their answers to visitors. All its members are set before it
// does, and do not change.
type Relay struct {
	Registry *claim.Registry
	Public   *publicurl.Template
	Bounds   control.Bounds
	// TargetBytes is the longest request target in bytes.
	TargetBytes int
	Pace        intake.Pace
	// Delivered is called with what a session is given, and Judged with the result of each answer.
	Delivered func(*claim.Batch)
	Judged    func(schema.ResultStatus)
	Log       *slog.Logger
}

// Hand passes a request that a session was given to trip, which sends it to the session's program
// and returns the response as [http.RoundTripper] does, and answers the exchange with that
// response. Hand returns when both have reached their peers completely, or when the exchange has
// ended in another way.
//
// If there was no response, Hand fails with the error of trip, joined with [ErrUnsent] or
// [ErrGarbled], and leaves the exchange open. A response that breaks the rules of schema/README.md,
// section 5, ends the exchange as an abort does.
func (l *Relay) Hand(s *claim.Session, m *claim.Message, trip func(*http.Request) (*http.Response, error)) error {
	l.Delivered(&claim.Batch{Messages: []claim.Message{*m}})
	x := m.Exchange
	ctx := whileOpen{context.Background(), x.Over()}
	defer s.Work(context.Background())()
	var sent, began atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteHeaders:         func() { sent.Store(true) },
		GotFirstResponseByte: func() { began.Store(true) },
		Got1xxResponse:       func(status int, h textproto.MIMEHeader) error { l.Inform(s, x, status, h); return nil },
	})
	req := l.RequestOf(traced, s, m)
	resp, err := trip(req)
	switch {
	case err != nil && over(x):
		return nil
	case err != nil && !sent.Load():
		return errors.Join(ErrUnsent, err)
	case err != nil && began.Load():
		return errors.Join(ErrGarbled, err)
	case err != nil:
		return err
	}
	defer resp.Body.Close()
	if err := l.Answer(ctx, s, x, resp); errors.Is(err, ErrGarbled) && !over(x) {
		return err
	}
	return nil
}

// whileOpen is a context that ends with an exchange. It needs no goroutine.
type whileOpen struct {
	context.Context
	over <-chan struct{}
}

// Done is closed when the exchange has ended.
func (c whileOpen) Done() <-chan struct{} { return c.over }

// Err returns a context error once the exchange has ended.
func (c whileOpen) Err() error {
	select {
	case <-c.over:
		return context.Canceled
	default:
		return nil
	}
}

// over reports whether an exchange has ended.
func over(x *claim.Exchange) bool {
	select {
	case <-x.Over():
		return true
	default:
		return false
	}
}

// Inform relays an interim response. One that is not relayed, such as 100 (Continue), which only
// the gateway sends, still says that the program has the request.
func (l *Relay) Inform(s *claim.Session, x *claim.Exchange, status int, h textproto.MIMEHeader) {
	m := answer.Message{Answer: &envelope.Answer{Status: status, Headers: fieldList(http.Header(h))}}
	a, f := m.Interim()
	if f != nil || m.Bounded(l.Bounds.Fields, l.Bounds.FieldBytes) != nil {
		a = nil
	}
	_, _ = s.Delivery(x.ID()).Interim(a)
}

// RequestOf returns a request that a session was given as one of net/http: method, target, fields
// and content as the visitor sent them, without the path of the claim in the path shape. The first
// read of the content fetches it.
func (l *Relay) RequestOf(ctx context.Context, s *claim.Session, m *claim.Message) *http.Request {
	x := m.Exchange
	asked := x.Request()
	req := (&http.Request{
		Method: asked.Method, Header: make(http.Header, len(asked.Fields)),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	// Otherwise net/http adds its own.
	req.Header["User-Agent"] = []string{""}
	for _, f := range asked.Fields {
		switch f.Name {
		case "Host":
			req.Host = f.Value
		case "Trailer": // net/http writes it from req.Trailer
		case "User-Agent":
			req.Header[f.Name] = []string{f.Value}
		default:
			req.Header[f.Name] = append(req.Header[f.Name], f.Value)
		}
	}
	req.URL = l.handedURL(asked, req.Host)
	switch content := asked.Content; {
	case content.Streams() && asked.Upgrade == "":
		req.Body, req.ContentLength, req.Trailer = &handed{s: s, x: x, r: req}, content.Length(), announced(content.Trailers())
	case content.Length() > 0:
		req.Body, req.ContentLength = content.Open(), content.Length()
	default:
		req.Body = http.NoBody
	}
	return req
}

// handedURL returns the URL for which net/http writes the visitor's request target byte for byte;
// if there is no other way, in absolute-form in HTTP/1.1.
func (l *Relay) handedURL(asked *claim.Request, host string) *url.URL {
	target := asked.Target
	if !strings.HasPrefix(target, "/") && target != "*" { // absolute-form
		target = strings.TrimPrefix(asked.URL, l.Public.Scheme+"://")
		if i := strings.IndexAny(target, "/?"); i < 0 {
			target = "/"
		} else if target = target[i:]; target[0] == '?' {
			target = "/" + target // RFC 9112, 3.2.1
		}
	}
	if prefix := l.Public.PathPrefix; prefix != "" && asked.Base == "" {
		if rest, ok := strings.CutPrefix(target, prefix); ok {
			_, rest, _ = strings.Cut(rest, "/")
			target = "/" + rest
		}
	}
	u := &url.URL{Scheme: "http", Host: host}
	if path, query, has := strings.Cut(target, "?"); strings.HasPrefix(target, "//") {
		// An opaque URL would be taken for a host.
		u.Path, _ = url.PathUnescape(path)
		u.RawPath, u.RawQuery, u.ForceQuery = path, query, has && query == ""
		if u.Path != "" && u.EscapedPath() == path {
			return u
		}
		// In HTTP/2 net/http takes scheme and host off again.
		return &url.URL{Scheme: "http", Host: host, Opaque: "//" + host + target}
	}
	u.Opaque = target
	return u
}

// announced returns the announced trailers, without values. It omits names that are not valid, for
// which net/http would refuse the request.
func announced(trailers []claim.Field) http.Header {
	var h http.Header
	for _, f := range trailers {
		if httpguts.ValidHeaderFieldName(f.Name) {
			if h == nil {
				h = make(http.Header, len(trailers))
			}
			h[f.Name] = nil
		}
	}
	return h
}

// handed is the content of a visitor's request, as that of a request to a program.
type handed struct {
	s     *claim.Session
	x     *claim.Exchange
	r     *http.Request
	asked bool
}

// Read asks for the content, the first time, and reads what the visitor sends next.
func (c *handed) Read(p []byte) (int, error) {
	content := c.x.Request().Content
	if !c.asked {
		if _, err := c.s.Delivery(c.x.ID()).Fetch(); err != nil {
			return 0, err
		}
		c.asked = true
	}
	n, err := content.Open().Read(p)
	if err == io.EOF && c.r.Trailer != nil {
		trailers := make(http.Header)
		for _, f := range content.Trailers() {
			trailers[f.Name] = append(trailers[f.Name], f.Value)
		}
		maps.Copy(c.r.Trailer, trailers)
	}
	return n, err
}

// Close ends the reading of an upgraded connection. The exchange ends other content.
func (c *handed) Close() error { return c.x.Request().Content.Open().Close() }

// handBack copies what the visitor sends on an upgraded connection to the program, and returns a
// function that ends that. If the program does not end its side in time after the exchange has
// ended, the gateway closes the connection: net/http no longer does so for a connection that it
// gave away.
func (l *Relay) handBack(ctx context.Context, s *claim.Session, x *claim.Exchange, to io.ReadWriteCloser) (end func()) {
	var sender sync.WaitGroup
	in := &handed{s: s, x: x, r: &http.Request{}}
	sender.Go(func() {
		_, _ = io.Copy(to, in)
		if half, ok := to.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
			_ = to.Close()
		}
	})
	hangUp := time.AfterFunc(math.MaxInt64, func() { _ = to.Close() })
	stop := context.AfterFunc(ctx, func() { hangUp.Reset(wire.WriteTime(0)) })
	return func() {
		_ = in.Close()
		_ = to.Close()
		sender.Wait()
		stop()
		hangUp.Stop()
	}
}
