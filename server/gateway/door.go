package gateway

import (
	"crypto/tls"
	"net/http"
	"slices"

	"reversehttp/schema"
	"reversehttp/server/control"
	"reversehttp/server/door"
	"reversehttp/server/problem"
)

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

// hasTunnel reports whether a door has tunnels of sessions.
func (g *Gateway) hasTunnel() bool {
	return slices.ContainsFunc(g.doors, func(d door.Door) bool { return d.Tunnel != nil })
}

// tunnel answers GET {tunnel}.
func (g *Gateway) tunnel(w http.ResponseWriter, r *http.Request) {
	for _, d := range g.doors {
		if d.Tunnel != nil {
			d.Tunnel(w, r, control.SessionOf(r))
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
