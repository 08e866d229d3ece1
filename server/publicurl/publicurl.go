// Package publicurl knows the two shapes of public URLs: which URL a claim has, and which claim,
// if any, a request is for.
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

// Template is a template of public URLs. Its shape is either a host of
// its own for every claim (http://{label}.localhost:8080/) or a path at the
// control origin (http://localhost:8080/at/{label}/). [Parse] makes one.
type Template struct {
	// Scheme is http or https.
	Scheme string
	before string // what stands before the label
	after  string // what stands after it
	own    string // the authority of the control origin, as it is written in the template
	// Control is the control origin with a final slash.
	Control string
	// ControlHost is its host name, lower case, without port.
	ControlHost string
	domain      string // of a claim's own, with its port; empty where the template is the gateway's
	// PathPrefix is the path before the label in the path shape, with a slash at each end;
	// empty in the host shape.
	PathPrefix string
}

const placeholder = "{label}"

// Parse reads a template, which holds {label} once. Its errors say what to do.
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
	// Targets are compared as they come, and clients clean and encode theirs.
	if path.Clean(u.Path)+"/" != u.Path || u.EscapedPath() != u.Path || !strings.HasSuffix(before, p.PathPrefix) {
		return nil, bad("its path must be plain: no %, no empty or dot segments, nothing that a URL encodes")
	}
	return p, nil
}

// isName tells whether a host name has no empty part.
func isName(name string) bool {
	return name != "" && !strings.Contains("."+name, "..")
}

// Apart returns an error where one of the paths at the control origin has the first segment of
// the public URLs, and nil otherwise.
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

// ForDomain returns the template of a claim at a domain of its own, an origin that it shares with nobody. In Via fields it has the
// same pseudonym, so that a loop is seen whichever way it takes.
func (p *Template) ForDomain(name string) *Template {
	of := *p
	of.domain, of.PathPrefix = name+p.Port(), ""
	return &of
}

// Near reports whether a host name is that of the control origin, below it, or a domain above it: those share cookies.
func (p *Template) Near(name string) bool {
	return name == p.ControlHost || strings.HasSuffix(name, "."+p.ControlHost) || strings.HasSuffix(p.ControlHost, "."+name)
}

// Port returns the port of public URLs with its colon, or "" where it is that of their scheme.
func (p *Template) Port() string {
	if i := strings.LastIndexByte(p.own, ':'); i >= 0 && !strings.HasSuffix(p.own, "]") {
		return p.own[i:]
	}
	return ""
}

// Authority returns the host, and port if any, of a label's public URL.
func (p *Template) Authority(label string) string {
	if p.domain != "" {
		return p.domain
	}
	if p.PathPrefix != "" {
		return p.own
	}
	return label + "." + p.own
}

// Host returns the host name of a label's public URL, lower case, without port. In the path shape all labels have it.
func (p *Template) Host(label string) string {
	if p.domain != "" {
		return Hostname(p.domain)
	}
	if p.PathPrefix != "" {
		return p.ControlHost
	}
	return label + "." + p.ControlHost
}

// Pseudonym returns the name of a claim in Via fields (RFC 9110, 7.6.3): the host of its
// public URL, or in the path shape a host like it.
func (p *Template) Pseudonym(label string) string { return label + "." + p.own }

// Via returns what a claim adds to the Via field of a message of a version, such as "1.1".
func (p *Template) Via(version, label string) string { return string(p.AppendVia(nil, version, label)) }

// AppendVia appends that to b.
func (p *Template) AppendVia(b []byte, version, label string) []byte {
	b = append(append(b, version...), ' ')
	b = append(append(b, label...), '.')
	return append(b, p.own...)
}

// AppendURL appends the public URL of a path of a label's origin, which begins with a slash, to b; in the path shape that has all
// labels.
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

// Place is where a request belongs.
type Place int

// The places.
const (
	Elsewhere Place = iota // a host that is not ours
	Control                // the control origin
	Public                 // a claim
	Bare                   // the path shape's /at/label without its slash
)

// Locate returns where a request for a host and a raw target belongs, and the
// label, which may be one that nobody can claim. With loopback, loopback addresses name the control origin too.
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

// BelowOrigin returns the path and the query of a request target in origin-form or absolute-form (RFC 9112, 3.2), as they came: the
// path may be empty in the absolute form. It reports false for other forms, such as "*".
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

// Hostname returns the name of a Host field, lower case, without port, brackets
// and final dot.
func Hostname(host string) string {
	u := url.URL{Host: host}
	return strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
}

// HostOf returns the host name of a URL, lower case, or "" where it is none.
func HostOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return Hostname(u.Host)
}

// IsLocalName reports whether a host name is of this machine alone.
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

// LabelOf returns the label of a public origin such as "https://demo.example.com", or ""
// where it is none. In the path shape there are no origins of claims.
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

// withPort gives an authority with the port that its scheme implies.
func withPort(authority, scheme string) string {
	if i := strings.LastIndexByte(authority, ':'); i >= 0 && !strings.HasSuffix(authority, "]") {
		return authority
	}
	if strings.EqualFold(scheme, "https") {
		return authority + ":443"
	}
	return authority + ":80"
}
