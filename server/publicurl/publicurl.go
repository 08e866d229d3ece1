// Package publicurl maps labels to public URLs, in two shapes, and requests back to labels.
package publicurl

import (
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"

	"reversehttp/server/claim"
)

// Template is a template of public URLs. Each claim has either a host of its own
// (http://{label}.localhost:8080/) or a path at the control origin
// (http://localhost:8080/at/{label}/). Use [Parse] to make one.
type Template struct {
	// Scheme is http or https.
	Scheme string
	before string // the text before the label
	after  string // the text after it
	own    string // the authority of the control origin as the template spells it
	// Control is the control origin with a final slash.
	Control string
	// ControlHost is the host name of the control origin, in lower case, without port.
	ControlHost string
	domain      string // a claim's own domain with its port; empty in the template of a gateway
	// PathPrefix is the path before the label in the path shape, with a slash at each end;
	// empty in the host shape.
	PathPrefix string
}

const placeholder = "{label}"

// Parse parses a template, which must contain {label} once. Its errors say what to do.
func Parse(template string) (*Template, error) {
	bad := func(why string) error { return badTemplate(template, why) }
	if strings.Count(template, placeholder) != 1 {
		return nil, bad("it must hold {label} once")
	}
	if !strings.HasSuffix(template, "/") {
		template += "/"
	}
	before, after, _ := strings.Cut(template, placeholder)
	u, err := url.Parse(before + "label" + after)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, bad("it must be an http or https URL")
	}
	if u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, bad("it must have no query, fragment or user")
	}
	if port, err := strconv.ParseUint(u.Port(), 10, 16); strings.HasSuffix(u.Host, ":") || u.Port() != "" && (err != nil || port == 0) {
		return nil, bad("its port must be a number from 1 to 65535, or absent with its colon")
	}
	p := &Template{Scheme: u.Scheme, before: before, after: after}
	if rest, ok := strings.CutPrefix(strings.ToLower(u.Host), "label."); ok && before == u.Scheme+"://" {
		if u.Path != "/" {
			return nil, bad("it must have no path when the label is in the host")
		}
		p.Control = u.Scheme + "://" + rest + "/"
		p.own = u.Host[len("label."):]
		p.ControlHost = Hostname(rest)
		if _, err := netip.ParseAddr(p.ControlHost); err == nil || !isName(p.ControlHost) {
			return nil, bad("its host must be a name after {label} and a dot, no address, without empty parts")
		}
		return p, nil
	}
	if after != "/" || !strings.HasSuffix(u.Path, "/label/") || u.Path == "/label/" {
		return nil, bad("{label} must be the first label of the host, or the last segment of a path below another")
	}
	p.Control = u.Scheme + "://" + u.Host + "/"
	p.own = u.Host
	p.ControlHost = Hostname(u.Host)
	p.PathPrefix = strings.TrimSuffix(u.Path, "label/")
	if !isName(p.ControlHost) {
		return nil, bad("its host must be a name or an address, without empty parts")
	}
	// Targets are compared without normalisation, and clients normalise and encode theirs.
	if path.Clean(u.Path)+"/" != u.Path || u.EscapedPath() != u.Path || !strings.HasSuffix(before, p.PathPrefix) {
		return nil, bad("its path must be plain: no %, no empty or dot segments, nothing that a URL encodes")
	}
	return p, nil
}

// isName reports whether a host name has no empty part.
func isName(name string) bool {
	return name != "" && !strings.Contains("."+name, "..")
}

// Apart returns an error if one of the paths at the control origin begins with the same segment as
// the public URLs.
func (p *Template) Apart(paths []string) error {
	if p.PathPrefix == "" {
		return nil
	}
	first := func(path string) string {
		segment, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
		return "/" + segment
	}
	for _, own := range paths {
		if first(own) == first(p.PathPrefix) {
			return badTemplate(p.String(), first(own)+" is the gateway's own")
		}
	}
	return nil
}

func badTemplate(template, why string) error {
	return fmt.Errorf("public URL %q: %s; use a template such as http://{label}.localhost:8080/ or http://localhost:8080/at/{label}/", template, why)
}

// String returns the template.
func (p *Template) String() string { return p.before + placeholder + p.after }

// Base returns the public URL of a label, with a final slash.
func (p *Template) Base(label string) string {
	if p.domain != "" {
		return p.Scheme + "://" + p.domain + "/"
	}
	return p.before + label + p.after
}

// ForDomain returns the template of a claim at a domain of its own. The pseudonym in Via fields
// stays the same, so that loops are detected on any route.
func (p *Template) ForDomain(name string) *Template {
	of := *p
	of.domain, of.PathPrefix = name+p.Port(), ""
	return &of
}

// Near reports whether a host name is the control origin's, below it, or above it: these can share
// cookies.
func (p *Template) Near(name string) bool {
	return name == p.ControlHost || strings.HasSuffix(name, "."+p.ControlHost) || strings.HasSuffix(p.ControlHost, "."+name)
}

// Port returns the port of public URLs with its colon, or "" if it is the default of their scheme.
func (p *Template) Port() string {
	if i := strings.LastIndexByte(p.own, ':'); i >= 0 && !strings.HasSuffix(p.own, "]") {
		return p.own[i:]
	}
	return ""
}

// Authority returns the host, and the port if any, of a label's public URL.
func (p *Template) Authority(label string) string {
	if p.domain != "" {
		return p.domain
	}
	if p.PathPrefix != "" {
		return p.own
	}
	return label + "." + p.own
}

// Host returns the host name of a label's public URL, in lower case, without port. In the path
// shape it is the same for all labels.
func (p *Template) Host(label string) string {
	if p.domain != "" {
		return Hostname(p.domain)
	}
	if p.PathPrefix != "" {
		return p.ControlHost
	}
	return label + "." + p.ControlHost
}

// Pseudonym returns the name of a claim in Via fields (RFC 9110, 7.6.3): the host of its public
// URL, or in the path shape a similar name.
func (p *Template) Pseudonym(label string) string { return label + "." + p.own }

// Via returns what a claim adds to the Via field of a message in an HTTP version such as "1.1".
func (p *Template) Via(version, label string) string { return string(p.AppendVia(nil, version, label)) }

// AppendVia appends what [Template.Via] returns to b.
func (p *Template) AppendVia(b []byte, version, label string) []byte {
	b = append(append(b, version...), ' ')
	b = append(append(b, label...), '.')
	return append(b, p.own...)
}

// AppendURL appends to b the URL of a path at a label's origin. The path begins with a slash; in
// the path shape all labels share the origin.
func (p *Template) AppendURL(b []byte, label, path string) []byte {
	if p.domain != "" {
		return append(append(append(append(b, p.Scheme...), "://"...), p.domain...), path...)
	}
	if p.PathPrefix != "" {
		b = append(append(b, p.Scheme...), "://"...)
	} else {
		b = append(append(append(b, p.before...), label...), '.')
	}
	return append(append(b, p.own...), path...)
}

// Place is what a request is for.
type Place int

// The places.
const (
	Elsewhere Place = iota // a host that is not the gateway's
	Control                // the control origin
	Public                 // a claim
	Bare                   // the path shape's /at/label without its slash
)

// Locate returns what a request for a host and a raw target is for, and the label, which may be
// invalid. If loopback is true, loopback addresses also name the control origin.
func (p *Template) Locate(host, target string, loopback bool) (Place, string) {
	name := Hostname(host)
	if p.PathPrefix == "" {
		if label, ok := strings.CutSuffix(name, "."+p.ControlHost); ok {
			if label == "" || strings.Contains(label, ".") {
				return Elsewhere, ""
			}
			return Public, label
		}
	}
	if name != p.ControlHost && (!loopback || !IsLoopback(name)) {
		return Elsewhere, ""
	}
	if p.PathPrefix == "" {
		return Control, ""
	}
	rest, ok := strings.CutPrefix(rawPath(target), p.PathPrefix)
	if !ok {
		return Control, ""
	}
	label, _, slash := strings.Cut(rest, "/")
	if !slash {
		return Bare, label
	}
	return Public, label
}

// rawPath returns the path of a request target, undecoded, without its query.
func rawPath(target string) string {
	below, ok := BelowOrigin(target)
	if !ok {
		below = target
	}
	path, _, _ := strings.Cut(below, "?")
	if ok && path == "" {
		return "/"
	}
	return path
}

// BelowOrigin returns the path and query of a request target in origin-form or absolute-form (RFC
// 9112, 3.2), unchanged. In absolute-form the path may be empty. It reports false for other forms,
// such as "*".
func BelowOrigin(target string) (below string, ok bool) {
	if strings.HasPrefix(target, "/") {
		return target, true
	}
	_, rest, ok := strings.Cut(target, "://")
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		return rest[i:], ok
	}
	return "", ok
}

// Hostname returns the host name in a Host field, in lower case, without port, brackets and final
// dot.
func Hostname(host string) string {
	u := url.URL{Host: host}
	return strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
}

// HostOf returns the host name of a URL, in lower case, or "" if text is not a URL with a host.
func HostOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return Hostname(u.Host)
}

// IsLocalName reports whether a host name is local to this machine: loopback, localhost, or a name
// below localhost.
func IsLocalName(name string) bool {
	return IsLoopback(name) || strings.HasSuffix(name, ".localhost")
}

// IsLoopback reports whether a host name means this machine.
func IsLoopback(name string) bool {
	if name == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(name)
	return err == nil && a.Unmap().IsLoopback()
}

// LabelOf returns the label of a public origin such as "https://demo.example.com", or "" if it is
// not one. In the path shape claims have no origins of their own.
func (p *Template) LabelOf(origin string) string {
	scheme, rest, ok := strings.Cut(origin, "://")
	if !ok || !strings.EqualFold(scheme, p.Scheme) || strings.ContainsAny(rest, "/?#@") || p.PathPrefix != "" {
		return ""
	}
	where, label := p.Locate(rest, "/", false)
	if where != Public || !claim.ValidLabel(label) || !strings.EqualFold(withPort(rest, scheme), withPort(p.Authority(label), scheme)) {
		return ""
	}
	return label
}

// withPort returns an authority with a port, adding the default of the scheme if it has none.
func withPort(authority, scheme string) string {
	if i := strings.LastIndexByte(authority, ':'); i >= 0 && !strings.HasSuffix(authority, "]") {
		return authority
	}
	if strings.EqualFold(scheme, "https") {
		return authority + ":443"
	}
	return authority + ":80"
}
