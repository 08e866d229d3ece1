package wire

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
)

type connKey struct{}

// connOf returns the conn of a request, or nil if the request came another way or conn stepped
// aside.
func connOf(r *http.Request) *conn {
	if a := acceptedOf(r); a != nil {
		return &a.conn
	}
	return nil
}

// acceptedOf returns the connection of a request as the server knows it, or nil.
func acceptedOf(r *http.Request) *accepted {
	a, _ := r.Context().Value(connKey{}).(*accepted)
	if a == nil || a.aside.Load() {
		return nil
	}
	return a
}

// Carried is what the node of a cluster that accepted a request knows of the request's connection,
// at the node that serves the request. See [Carry].
type Carried struct {
	// Target is the target as the peer sent it, if it is not that of the request. Empty means that
	// it is.
	Target string
	// Judged are the exchanges whose answers in this request another node accepted. Nil means none.
	Judged []string
	left   atomic.Bool
	parts  chan struct{}
	once   sync.Once
}

// NewCarried returns what is known of a request with a target; see [Carried.Target].
func NewCarried(target string) *Carried { return &Carried{Target: target, parts: make(chan struct{})} }

// Leave notes that the peer closed the connection; see [Left].
func (c *Carried) Leave() { c.left.Store(true) }

// Part notes that the node that accepted the request is about to end; see [Parting].
func (c *Carried) Part() { c.once.Do(func() { close(c.parts) }) }

// WasJudged reports whether another node accepted the answer to an exchange in the request of ctx.
func WasJudged(ctx context.Context, exchange string) bool {
	c, is := ctx.Value(connKey{}).(*Carried)
	return is && slices.Contains(c.Judged, exchange)
}

// Parting returns a channel that is closed once the node that accepted r is about to end, so that a
// request which waits for something should be answered. It is nil if this node accepted r.
func Parting(r *http.Request) <-chan struct{} {
	if c, is := r.Context().Value(connKey{}).(*Carried); is {
		return c.parts
	}
	return nil
}

// Carry returns a context for a request that another node accepted, for the functions of this
// package that tell of a request's connection.
func Carry(ctx context.Context, c *Carried) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// IsCarried reports whether another node accepted r and carried it here.
func IsCarried(r *http.Request) bool {
	_, is := r.Context().Value(connKey{}).(*Carried)
	return is
}

// Left reports whether the peer is known to have closed the connection of r. The context of r ends
// then, but also if a write timed out, and in HTTP/2 if only the stream ended.
func Left(r *http.Request) bool {
	switch a := r.Context().Value(connKey{}).(type) {
	case *accepted:
		return a.left.Load()
	case *Carried:
		return a.left.Load()
	}
	return false
}

// Target returns the request target as the peer sent it (RFC 9112, 3.2). In r a malformed %
// of its path is an underscore.
func Target(r *http.Request) string {
	if c := connOf(r); c != nil && c.line.changed && string(c.line.shown) == r.RequestURI {
		return string(c.line.sent)
	} else if c == nil {
		if from, is := r.Context().Value(connKey{}).(*Carried); is && from.Target != "" {
			return from.Target
		}
	}
	return r.RequestURI
}

// Malformed says, for people, why r must be refused although net/http accepted it, or returns "".
// Such a request may differ from what was sent, or other servers may read it differently, by its
// host or its length (RFC 9113, 8.3.1 and 8.1.1). The port has already refused HTTP/1 requests with
// an ambiguous length.
func Malformed(r *http.Request) (detail string) {
	return cmp.Or(contradictsAuthority(r), contradictsLength(r), garbled(r))
}

// garbled returns a problem text if conn changed bytes other than the target of r, and ""
// otherwise. It guards against a net/http that reads differently than conn assumes.
func garbled(r *http.Request) (detail string) {
	if c := connOf(r); c != nil && c.line.changed && string(c.line.shown) != r.RequestURI {
		return "The request was not read as it was sent; send it on a connection of its own."
	}
	return ""
}

// Ahead returns how much of the content of r may be in memory before the handler reads any, in
// bytes. In HTTP/1 that is 0.
func Ahead(r *http.Request) int {
	switch {
	case r.ProtoMajor != 2 || r.Body == nil || r.Body == http.NoBody:
		return 0
	case r.ContentLength >= 0 && r.ContentLength < streamWindow:
		return int(r.ContentLength)
	}
	return streamWindow
}

// Expects reports whether the peer may wait for 100 (Continue) before it sends content (RFC 9110,
// 10.1.1).
func Expects(r *http.Request) bool { return r.Header.Get("Expect") != "" }
