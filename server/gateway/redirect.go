package gateway

import (
	"net/http"
	"strings"

	"reversehttp/schema"
	"reversehttp/server/claim"
	"reversehttp/server/problem"
	"reversehttp/server/publicurl"
	"reversehttp/server/wire"
)

// NewRedirectPort returns the port for http: URLs of a gateway whose port speaks TLS. It redirects
// requests for hosts of the gateway to the same URL with https, by 308, which keeps the method and
// content. It calls challenge first, which reports whether it answered the request; nil means no
// challenges.
func NewRedirectPort(g *Gateway, challenge func(http.ResponseWriter, *http.Request) bool) *wire.Port {
	return portFor(g, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		wire.Taken(r)
		wire.BoundWrite(w, 0)
		w.Header().Set("Connection", "close")
		name := publicurl.Hostname(r.Host)
		target, ok := publicurl.BelowOrigin(wire.Target(r))
		if !strings.HasPrefix(target, "/") {
			target = "/" + target
		}
		switch {
		case wire.Malformed(r) != "" || !ok || strings.ContainsFunc(target, func(c rune) bool { return c <= ' ' || c == 0x7f }):
			refuseRedirect(w, r, schema.CodeBadRequest)
		case !g.ours(name):
			refuseRedirect(w, r, schema.CodeWrongHost)
		case challenge != nil && challenge(w, r):
		default:
			w.Header().Set("Location", "https://"+name+g.public.Port()+target)
			w.WriteHeader(http.StatusPermanentRedirect)
		}
	}), "http")
}

func refuseRedirect(w http.ResponseWriter, r *http.Request, code schema.Code) {
	(&problem.Problem{Code: code, Visitor: true, Handed: claim.HandedNo, Unread: true}).Write(w, r)
}
