package gateway

import (
	"reversehttp/server/claim"
	"reversehttp/server/domain"
	"reversehttp/server/publicurl"
)

// Hosts resolves host names to the control origin, a label or a claim's own domain.
type Hosts struct {
	public   *publicurl.Template
	registry *claim.Registry
	domains  *domain.Domains
	others   Elsewhere // nil if there are none
}

// Serves reports whether a host name is the control origin, or one at which visitors reach a claim
// now.
func (h *Hosts) Serves(name string) bool {
	switch where, label := h.public.Locate(name, "/", false); where {
	case publicurl.Control:
		return true
	case publicurl.Public:
		return h.registry.Lookup(label) != nil || h.others != nil && h.others.Has(label)
	}
	return h.domains.LabelOf(name) != ""
}

// ours reports whether a host name belongs to the gateway, served or not.
func (h *Hosts) ours(name string) bool {
	where, _, _ := h.locate(name, "/", false)
	return where != publicurl.Elsewhere
}

// locate returns where a request for a host and a raw target belongs, as
// [publicurl.Template.Locate] does. At a claim's own domain it also returns the template of that
// domain, which is otherwise nil.
func (h *Hosts) locate(host, target string, loopback bool) (where publicurl.Place, label string, of *publicurl.Template) {
	if where, label = h.public.Locate(host, target, loopback); where != publicurl.Elsewhere {
		return where, label, nil
	}
	name := publicurl.Hostname(host)
	if label = h.domains.LabelOf(name); label != "" {
		return publicurl.Public, label, h.public.ForDomain(name)
	}
	return where, "", nil
}
