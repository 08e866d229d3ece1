// Package door is what a protocol beside the control API needs to let programs serve claims: who
// may enter, what a program is handed, and how it answers. [Door] is such a protocol, and [Host] is
// the gateway as its doors see it.
package door

import (
	"crypto/tls"
	"net/http"

	"github.com/go-chi/chi/v5"

	"reversehttp/server/claim"
	"reversehttp/server/problem"
	"reversehttp/server/terms"
)

// Door is a protocol beside the control API by which programs may serve claims.
type Door struct {
	// Name is its member of "family" in discovery.
	Name string
	// URL is the value of that member: the URL for its programs, with {label} or {origin}.
	URL string
	// Routes adds the door's routes to the control origin. Nil adds none.
	Routes func(chi.Router)
	// Otherwise serves requests for which there is no route, and reports whether it took one. Nil
	// takes none.
	Otherwise func(http.ResponseWriter, *http.Request) bool
	// LabelOf returns the label of the claim that a request for the door is for, or "". Requests of one
	// connection that is to serve several labels are for the first. Nil means that the routes have {label}.
	LabelOf func(*http.Request) string
	// ALPN has, for each of the door's TLS protocols, a function that serves a connection until it
	// ends. Nil means none.
	ALPN map[string]func(*tls.Conn)
}

// Host is a gateway as its doors see it. Its registry, public URLs and log are those of the
// [Relay].
type Host struct {
	*Entrance
	*Relay
	// State returns the state of a claim, a [schema.ClaimState] with all terms.
	State func(*claim.Claim) terms.With
	// Guide is what the problems link to that a door writes by itself.
	Guide *problem.Guide
}

// Refuse answers a program's request with an error of package problem or claim, as problem+json. It
// does not read content.
func Refuse(w http.ResponseWriter, r *http.Request, err error) {
	p := problem.Of(err)
	p.Visitor, p.Unread = false, true
	p.Write(w, r)
}
