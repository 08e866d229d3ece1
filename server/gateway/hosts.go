package gateway

import (
	"reversehttp/server/claim"
	"reversehttp/server/publicurl"
)

// Hosts knows whose a host name is.
type Hosts struct {
	public   *publicurl.Template
	registry *claim.Registry
}

// Serves reports whether a host name is that of the control origin, or of something that visitors reach now.
func (h *Hosts) Serves(name string) bool {
	switch where, label := h.public.Locate(name, "/", false); where {
	case publicurl.Control:
		return true
	case publicurl.Public:
		return h.registry.Lookup(label) != nil
	}
	return false
}

// ours reports whether a host name is the gateway's, served or not.
func (h *Hosts) ours(name string) bool {
	where, _ := h.public.Locate(name, "/", false)
	return where != publicurl.Elsewhere || h.Serves(name)
}
