// Package door has what a protocol beside the control API needs to let programs serve claims: who may
// enter, what a program is handed, and how it answers. [Door] is such a protocol, and [Host] what a gateway
// gives it.
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
	// URL is the value of that: where its programs come, with {label} or {origin}.
	URL string
	// Routes adds its routes to those of the control origin. Nil means none.
	Routes func(chi.Router)
	// Otherwise takes requests for which there is no route, and tells which it took.
	// Nil means none.
	Otherwise func(http.ResponseWriter, *http.Request) bool
	// ALPN has what serves a connection of each protocol of TLS that is the door's, until
	// it ends. Nil means none.
	ALPN map[string]func(*tls.Conn)
}

// Host is a gateway, for its doors. Its registry, its public URLs and its log are those of the [Relay].
type Host struct {
	*Entrance
	*Relay
	// State returns the state of a claim, a [schema.ClaimState] with all terms.
	State func(*claim.Claim) terms.With
}

// Refuse answers a program's request with an error of package problem or
// claim, as problem+json. Content that was not read is left unread.
func Refuse(w http.ResponseWriter, r *http.Request, err error) {
	p := problem.Of(err)
	p.Visitor, p.Unread = false, true
	p.Write(w, r)
}
