package gateway

import (
	"context"
	"net"
	"net/http"

	"reversehttp/schema"
	"reversehttp/server/budget"
	"reversehttp/server/claim"
	"reversehttp/server/problem"
	"reversehttp/server/wire"
)

// newPort returns the port of g, with the bounds, problem texts and budget of g.
func newPort(g *Gateway) *wire.Port { return portFor(g, g, g.public.Scheme) }

// portFor returns a port for a URL scheme, which is https also if only a proxy in front speaks TLS.
func portFor(g *Gateway, h http.Handler, scheme string) *wire.Port {
	return wire.New(h, g.refuseUnread, &wire.Options{
		Base:      g.guide.In(context.Background()),
		HeadTime:  g.options.FieldTime,
		HeadBytes: 2 * (g.options.FieldBytes + g.options.TargetBytes),
		Idle:      g.options.Idle,
		Sealed:    scheme != "http",
		Log:       g.options.Log,

		ClearCookies: clearsCookies(g.public),
		Panicked:     g.panics.Inc,
		Place: func(peer net.Addr) wire.Place {
			hold := g.registry.Options().Budget.Open(g.trust.AddressOfPeer(peer))
			if !hold.Enter(budget.Connections) {
				hold.Close()
				return nil
			}
			return hold
		},
	})
}

// refuseUnread answers a peer that sent something net/http does not accept as a request.
func (g *Gateway) refuseUnread(w http.ResponseWriter, code schema.Code, detail string) {
	p := &problem.Problem{Code: code, Detail: detail, Visitor: true, Handed: claim.HandedNo}
	p.Write(w, g.guide.Unknown())
}

// Listen wraps a listener as [wire.Listen] does.
func Listen(l net.Listener) net.Listener { return wire.Listen(l) }
