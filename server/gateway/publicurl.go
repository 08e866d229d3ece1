package gateway

import (
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
)

// publicURL is a parsed template of public URLs. Its shape is either a host of
// its own for every claim (http://{label}.localhost:8080/) or a path at the
// control origin (http://localhost:8080/at/{label}/).
type publicURL struct {
	scheme string
	before string // what stands before the label
	after  string // what stands after it
	// control is the control origin with a final slash.
	control string
	// controlHost is its host name, without port.
	controlHost string
	// pathPrefix is the path before the label in the path shape, else empty.
	pathPrefix string
}

const placeholder = "{label}"

// parsePublicURL reads a template. Its errors say what to do.
func parsePublicURL(template string) (*publicURL, error) {
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
	p := &publicURL{scheme: u.Scheme, before: before, after: after}
	if rest, ok := strings.CutPrefix(strings.ToLower(u.Host), "label."); ok && before == u.Scheme+"://" {
		if u.Path != "/" {
			return nil, bad("it must have no path when the label is in the host")
		}
		p.control = u.Scheme + "://" + rest + "/"
		p.controlHost = hostname(rest)
		if _, err := netip.ParseAddr(p.controlHost); err == nil || !isName(p.controlHost) {
			return nil, bad("its host must be a name after {label} and a dot, no address, without empty parts")
		}
		return p, nil
	}
	if after != "/" || !strings.HasSuffix(u.Path, "/label/") || u.Path == "/label/" {
		return nil, bad("{label} must be the first label of the host, or the last segment of a path below another")
	}
	p.control = u.Scheme + "://" + u.Host + "/"
	p.controlHost = hostname(u.Host)
	p.pathPrefix = strings.TrimSuffix(u.Path, "label/")
	if !isName(p.controlHost) {
		return nil, bad("its host must be a name or an address, without empty parts")
	}
	// Targets are compared as they come, and clients clean and encode theirs.
	if path.Clean(u.Path)+"/" != u.Path || u.EscapedPath() != u.Path || !strings.HasSuffix(before, p.pathPrefix) {
		return nil, bad("its path must be plain: no %, no empty or dot segments, nothing that a URL encodes")
	}
	return p, nil
}

// isName tells whether a host name has no empty part.
func isName(name string) bool {
	return name != "" && !strings.Contains("."+name, "..")
}

// shadows tells which of the paths at the control origin the public URLs would
// lie among, by its first segment; empty where none.
func (p *publicURL) shadows(paths []string) string {
	if p.pathPrefix == "" {
		return ""
	}
	first := func(path string) string {
		segment, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
		return "/" + segment
	}
	for _, own := range paths {
		if first(own) == first(p.pathPrefix) {
			return first(own)
		}
	}
	return ""
}

func badTemplate(template, why string) error {
	return fmt.Errorf("public URL %q: %s; use a template such as http://{label}.localhost:8080/ or http://localhost:8080/at/{label}/", template, why)
}

// template gives the template back.
func (p *publicURL) template() string { return p.before + placeholder + p.after }

// base gives the public URL of a label, with a final slash.
func (p *publicURL) base(label string) string { return p.before + label + p.after }

// authority gives the host, and port if any, of a label's public URL.
func (p *publicURL) authority(label string) string {
	rest := strings.TrimPrefix(p.base(label), p.scheme+"://")
	host, _, _ := strings.Cut(rest, "/")
	return host
}

// pseudonym names a claim in Via fields (RFC 9110, 7.6.3): the host of its
// public URL, or in the path shape a host like it.
func (p *publicURL) pseudonym(label string) string {
	if p.pathPrefix == "" {
		return p.authority(label)
	}
	return label + "." + p.authority(label)
}

// place is where a request belongs.
type place int

const (
	elsewhere place = iota // a host that is not ours
	control                // the control origin
	public                 // a claim
	bare                   // the path shape's /at/label without its slash
)

// locate tells where a request for a host and a raw target belongs, and the
// label. With loopback, loopback addresses name the control origin too.
func (p *publicURL) locate(host, target string, loopback bool) (place, string) {
	name := hostname(host)
	if p.pathPrefix == "" {
		if label, ok := strings.CutSuffix(name, "."+p.controlHost); ok {
			if label == "" || strings.Contains(label, ".") {
				return elsewhere, ""
			}
			return public, label
		}
	}
	if name != p.controlHost && (!loopback || !isLoopback(name)) {
		return elsewhere, ""
	}
	if p.pathPrefix == "" {
		return control, ""
	}
	rest, ok := strings.CutPrefix(rawPath(target), p.pathPrefix)
	if !ok {
		return control, ""
	}
	label, _, slash := strings.Cut(rest, "/")
	if !slash {
		return bare, label
	}
	return public, label
}

// rawPath gives the path of a request target, undecoded, without its query.
func rawPath(target string) string {
	if !strings.HasPrefix(target, "/") {
		if _, rest, ok := strings.Cut(target, "://"); ok {
			i := strings.IndexAny(rest, "/?")
			if i < 0 || rest[i] == '?' {
				return "/"
			}
			target = rest[i:]
		}
	}
	path, _, _ := strings.Cut(target, "?")
	return path
}

// hostname gives the name of a Host field, lower case, without port, brackets
// and final dot.
func hostname(host string) string {
	u := url.URL{Host: host}
	return strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
}

// isLocalName reports whether a host name is of this machine alone.
func isLocalName(name string) bool {
	return isLoopback(name) || strings.HasSuffix(name, ".localhost")
}

// isLoopback tells whether a host name means this machine.
func isLoopback(name string) bool {
	if name == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(name)
	return err == nil && a.Unmap().IsLoopback()
}
