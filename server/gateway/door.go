package gateway

import (
	"crypto/tls"

	"reversehttp/schema"
)

// family returns the URLs of the doors.
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

// ALPN returns, by protocol name (RFC 7301), the functions that serve connections of the doors' own
// protocols over TLS.
func (g *Gateway) ALPN() map[string]func(*tls.Conn) {
	all := map[string]func(*tls.Conn){}
	for _, d := range g.doors {
		for name, serve := range d.ALPN {
			all[name] = serve
		}
	}
	return all
}
