package gateway

import (
	"crypto/tls"
	"encoding/base64"
	"log/slog"
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"

	"reversehttp/schema"
	"reversehttp/server/claim"
	"reversehttp/server/problem"
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
	// Tunnel answers a request to upgrade to the tunnel of a session (see
	// schema/README.md, 4). Nil means that the door has none.
	Tunnel func(http.ResponseWriter, *http.Request, *claim.Session)
	// ALPN has what serves a connection of each protocol of TLS that is the door's, until
	// it ends. Nil means none.
	ALPN map[string]func(*tls.Conn)
}

// family tells the URLs of the doors.
func (g *Gateway) family() (f schema.Family) {
	for _, d := range g.doors {
		switch d.Name {
		case "reversehttp":
			f.Reversehttp = &d.URL
		case "comet2008":
			f.Comet2008 = &d.URL
		case "ptth":
			f.Ptth = &d.URL
		case "ietfPtth":
			f.IetfPtth = &d.URL
		default:
			panic("gateway: discovery knows no door " + d.Name)
		}
	}
	return f
}

// tunnelURL gives the URL of the tunnel of a session, or "" where no door has one.
func (g *Gateway) tunnelURL(session string) string {
	for _, d := range g.doors {
		if d.Tunnel != nil {
			return session + "/tunnel"
		}
	}
	return ""
}

// tunnel answers GET {tunnel}.
func (g *Gateway) tunnel(w http.ResponseWriter, r *http.Request) {
	for _, d := range g.doors {
		if d.Tunnel != nil {
			d.Tunnel(w, r, sessionOf(r))
			return
		}
	}
	(&problem.Problem{Code: schema.CodeNotFound}).Write(w, r)
}

// ALPN gives what serves the connections of the doors' protocols of TLS.
func (g *Gateway) ALPN() map[string]func(*tls.Conn) {
	all := map[string]func(*tls.Conn){}
	for _, d := range g.doors {
		for name, serve := range d.ALPN {
			all[name] = serve
		}
	}
	return all
}

// Delivered counts what a session was given.
func (g *Gateway) Delivered(b *claim.Batch) { g.metrics.deliver(b) }

// Refuse answers a program's request with an error of this package, or of package
// claim, as problem+json. Content that was not read is left unread.
func (g *Gateway) Refuse(w http.ResponseWriter, r *http.Request, err error) {
	p := problem.Of(err)
	p.Visitor, p.Unread = false, true
	p.Write(w, r)
}

// Enter opens a session for the program that sends r, to serve a label. The program
// shows the label's token, as Bearer (RFC 6750) or as the password of Basic (RFC
// 7617), and claims the label with it where nobody has. An error is for
// [Gateway.Refuse].
func (g *Gateway) Enter(r *http.Request, label string) (*claim.Session, error) {
	token, shown := SecretOf(r)
	if !shown || token == "" {
		return nil, &problem.Problem{Code: schema.CodeTokenNeeded}
	}
	o, err := g.EnterWith(r, label, token, claim.Settings{})
	if err != nil {
		return nil, err
	}
	return o.Session, nil
}

// EnterWith is Enter with a token that came another way. An empty one is minted.
func (g *Gateway) EnterWith(r *http.Request, label, token string, set claim.Settings) (*claim.Opened, error) {
	if err := g.mayEnter(r, label); err != nil {
		return nil, err
	}
	return g.registry.Open(g.trust.Address(r), label, token, set)
}

// EnterListed is Enter for a program that the operator lets in, for a label and its token:
// it shows neither that nor a key of the gateway.
func (g *Gateway) EnterListed(r *http.Request, label, token string) (*claim.Session, error) {
	if p := g.tooOften(r); p != nil {
		return nil, p
	}
	o, err := g.registry.Open(g.trust.Address(r), label, token, claim.Settings{})
	if err != nil {
		return nil, err
	}
	return o.Session, nil
}

// Log returns where the gateway logs.
func (g *Gateway) Log() *slog.Logger { return g.options.Log }

// Resume is EnterWith for a session that the program knows from before, as
// [claim.Registry.Resume] has it.
func (g *Gateway) Resume(r *http.Request, door, label, token, session, cursor string) (*claim.Session, error) {
	if err := g.mayEnter(r, label); err != nil {
		return nil, err
	}
	o, err := g.registry.Resume(g.trust.Address(r), door, label, token, session, cursor)
	if err != nil {
		return nil, err
	}
	return o.Session, nil
}

// mayEnter checks the rate of claiming, and the key where one is needed for a label
// that nobody has.
func (g *Gateway) mayEnter(r *http.Request, label string) error {
	if !claim.ValidLabel(label) {
		return problem.BadLabel(label)
	}
	if p := g.tooOften(r); p != nil {
		return p
	}
	if g.registry.Lookup(label) == nil && g.keys.Needed() && !g.HoldsKey(r) {
		return &problem.Problem{Code: schema.CodeKeyNeeded, Detail: "This gateway lets only holders of a key claim. Claim the label by POST /claims first, with its key and the token that you show here."}
	}
	return nil
}

// HoldsKey tells whether r shows a key of the gateway.
func (g *Gateway) HoldsKey(r *http.Request) bool {
	key, _ := bearer(r)
	return g.keys.Valid(key)
}

// SecretOf gives the secret that r shows, as Bearer or as a password.
func SecretOf(r *http.Request) (secret string, shown bool) {
	if secret, shown = bearer(r); shown {
		return secret, true
	}
	if scheme, coded, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Basic") {
		if pair, err := base64.StdEncoding.DecodeString(strings.TrimSpace(coded)); err == nil {
			if _, password, ok := strings.Cut(string(pair), ":"); ok {
				return password, true
			}
		}
	}
	return "", false
}
