package wire

import (
	"cmp"
	"net/http"
)

type connKey struct{}

// connOf returns the connection of a request, or nil where it came another way or
// conn stepped aside.
func connOf(r *http.Request) *conn {
	if a := acceptedOf(r); a != nil {
		return &a.conn
	}
	return nil
}

// acceptedOf returns the same as the server knows it.
func acceptedOf(r *http.Request) *accepted {
	a, _ := r.Context().Value(connKey{}).(*accepted)
	if a == nil || a.aside.Load() {
		return nil
	}
	return a
}

// Left reports whether the peer closed the connection of r, as far as that was seen. The context of r ends then, but also
// where something could not be written in time, and in HTTP/2 with its stream alone.
func Left(r *http.Request) bool {
	a, _ := r.Context().Value(connKey{}).(*accepted)
	return a != nil && a.left.Load()
}

// Target returns the request target as the peer sent it (RFC 9112, 3.2). In r a malformed %
// of its path is an underscore.
func Target(r *http.Request) string {
	if c := connOf(r); c != nil && c.line.changed && string(c.line.shown) == r.RequestURI {
		return string(c.line.sent)
	}
	return r.RequestURI
}

// Malformed says why r is to be refused although net/http took it, or returns "": it may have
// been read otherwise than it was sent, or others may read another request in it, by its host or
// its length (RFC 9113, 8.3.1 and 8.1.1). Where one of HTTP/1 ends in two places a port has refused it.
func Malformed(r *http.Request) (detail string) {
	return cmp.Or(contradictsAuthority(r), contradictsLength(r), garbled(r))
}

// garbled says that something was changed on the connection that is not the
// target of r, or returns "". It guards against a net/http that reads in another way than
// conn takes for granted.
func garbled(r *http.Request) (detail string) {
	if c := connOf(r); c != nil && c.line.changed && string(c.line.shown) != r.RequestURI {
		return "The request was not read as it was sent; send it on a connection of its own."
	}
	return ""
}

// Ahead returns how much of the content of r may be in memory before the handler reads any, in
// bytes. It is 0 in HTTP/1.
func Ahead(r *http.Request) int {
	switch {
	case r.ProtoMajor != 2 || r.Body == nil || r.Body == http.NoBody:
		return 0
	case r.ContentLength >= 0 && r.ContentLength < streamWindow:
		return int(r.ContentLength)
	}
	return streamWindow
}

// Expects reports whether a peer waits to be asked for content (RFC 9110, 10.1.1).
func Expects(r *http.Request) bool { return r.Header.Get("Expect") != "" }
