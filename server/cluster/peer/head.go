package peer

import (
	"net/http"
	"net/url"
	"strings"

	"reversehttp/server/claim"
)

// requestHead is a request as net/http gave it to the entry, but for its content.
type requestHead struct {
	Label  string // of the claim; empty if the node is asked, whichever claims it keeps
	Method string
	// URI is [http.Request.RequestURI], Target the target as it was sent; see [wire.Target].
	URI      string
	Target   string
	Proto    string
	Major    int
	Minor    int
	Host     string
	Header   http.Header
	Trailer  []string
	Length   int64
	Encoding []string
	Close    bool
	// Empty says that there is no content, so none is sent, and no end of it.
	Empty  bool
	Remote string
	// Waits says that no content is sent before the home asks for it.
	Waits bool
	// Before is the last note of another home that had the request; nil if there is none.
	Before *claim.Note
}

// url returns the URL of the request as net/http parsed it from its URI.
func (h *requestHead) url() *url.URL {
	uri := h.URI
	if h.Method == http.MethodConnect && !strings.HasPrefix(uri, "/") {
		return &url.URL{Host: uri}
	}
	u, err := url.ParseRequestURI(uri)
	if err != nil { // it was parsed at the entry
		return &url.URL{Path: "/"}
	}
	return u
}

// responseHead is the head of a final or interim response.
type responseHead struct {
	Status int
	Header http.Header
	// Duplex says that the response may begin before the request was read to its end.
	Duplex bool
}

// ending is the end of a response.
type ending struct {
	// Trailer has the fields that come after the content, named as the handler named them.
	Trailer http.Header
	Duplex  bool
	// HangUp says that the connection ends, although more content may come.
	HangUp bool
	// Silent says that the handler wrote nothing, not even a head.
	Silent bool
	// Header are the fields of a silent handler.
	Header http.Header
}

// trailersOf returns the fields of h that a handler sets after the head for the end of the content:
// those with [http.TrailerPrefix], and those that the head announced.
func trailersOf(h http.Header, announced []string) http.Header {
	var trailer http.Header
	add := func(name string, values []string) {
		if trailer == nil {
			trailer = http.Header{}
		}
		trailer[name] = values
	}
	for name, values := range h {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			add(name, values)
		}
	}
	for _, name := range announced {
		if values := h[name]; len(values) > 0 {
			add(name, values)
		}
	}
	return trailer
}

// announcedIn returns the names in the Trailer fields of a head.
func announcedIn(h http.Header) (names []string) {
	for _, value := range h["Trailer"] {
		for name := range strings.SplitSeq(value, ",") {
			names = append(names, http.CanonicalHeaderKey(strings.TrimSpace(name)))
		}
	}
	return names
}
