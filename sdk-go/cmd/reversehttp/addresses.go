package main

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	reversehttp "reversehttp/sdk-go"
)

// addresses maps between the URLs that a visitor and the local server use for the same resources.
//
//	visitor    the public URL, whose path is prefix, on a host that it names
//	server     the host in its Host field, and a path that begins with below
//
// References to other places stay unchanged, and so do relative ones, which both sides resolve
// alike.
type addresses struct {
	public *url.URL // the claim's
	asked  string   // host that the visitor named
	prefix string   // path of public, without the final slash
	local  *url.URL
	below  string // path of local, as it was written, without the final slash
	host   string // the host that the server sees
}

func (f *forward) addresses(r *http.Request) *addresses {
	a := &addresses{asked: r.Host, local: f.Target.url, below: f.Target.below(), host: r.Host}
	a.public, _ = url.Parse(reversehttp.RequestInfo(r.Context()).Base)
	if a.public == nil {
		a.public = &url.URL{Host: r.Host}
	}
	a.prefix = strings.TrimSuffix(a.public.EscapedPath(), "/")
	switch f.HostHeader {
	case "preserve", "":
	case "rewrite":
		a.host = f.Target.url.Host
	default:
		a.host = f.HostHeader
	}
	return a
}

// outward maps a URI reference of the server to the visitor's.
func (a *addresses) outward(ref string) string {
	scheme, authority, rest, ok := splitReference(ref)
	switch {
	case !ok:
		return ref
	case authority == "":
		if a.prefix == "" && a.below == "" {
			return ref
		}
		return a.path(a.toPublic(rest))
	case a.isPublic(authority):
		to := a.toPublic(rest)
		siblings := a.prefix[:strings.LastIndexByte(a.prefix, '/')+1] // other claims
		plain := scheme == "" || scheme == a.public.Scheme || scheme == "http"
		if !plain || to == rest || a.prefix != "" && !under(rest, a.prefix) && strings.HasPrefix(rest, siblings) && siblings != "/" {
			return ref
		}
		return a.path(to)
	case a.isServer(scheme, authority):
		return a.origin() + a.toPublic(rest)
	}
	return ref
}

// toPublic maps a path and what follows it. The server may have added the prefix itself.
func (a *addresses) toPublic(rest string) string {
	rest = without(without(rest, a.prefix), a.below)
	if !strings.HasPrefix(rest, "/") {
		rest = "/" + rest
	}
	return a.prefix + rest
}

// path returns a reference to a path of the public URL. A path that begins with two slashes would
// name another host.
func (a *addresses) path(path string) string {
	if len(path) > 1 && path[0] == '/' && (path[1] == '/' || path[1] == '\\') {
		return a.origin() + path
	}
	return path
}

func (a *addresses) origin() string { return a.public.Scheme + "://" + a.public.Host }

// inward maps a URI reference of the visitor to the server's.
func (a *addresses) inward(ref string) string {
	scheme, authority, rest, ok := splitReference(ref)
	if !ok || authority != "" && !a.isPublic(authority) {
		return ref
	}
	switch {
	case under(rest, a.prefix):
		rest = without(rest, a.prefix)
	case authority == "" || rest != "" && rest != "/":
		return ref // outside of the claim
	}
	rest = a.below + rest
	switch {
	case authority == "":
		return rest
	case a.host == a.asked:
		return ref[:len(ref)-len(afterAuthority(ref))] + rest
	case scheme == "":
		return "//" + a.host + rest
	}
	return a.serverOrigin() + rest
}

// inwardOrigin is inward for an origin (RFC 6454), which has no path.
func (a *addresses) inwardOrigin(origin string) string {
	scheme, authority, rest, ok := splitReference(origin)
	if a.host == a.asked || !ok || scheme != a.public.Scheme || rest != "" || !a.isPublic(authority) {
		return origin
	}
	return a.serverOrigin()
}

// outwardOrigin is outward for an origin.
func (a *addresses) outwardOrigin(origin string) string {
	scheme, authority, rest, ok := splitReference(origin)
	if !ok || scheme == "" || rest != "" || a.isPublic(authority) || !a.isServer(scheme, authority) {
		return origin
	}
	return a.public.Scheme + "://" + a.asked
}

func (a *addresses) serverOrigin() string { return a.local.Scheme + "://" + a.host }

// isPublic reports whether an authority is the one at which visitors reach this claim.
func (a *addresses) isPublic(authority string) bool {
	return strings.EqualFold(authority, a.public.Host) || strings.EqualFold(authority, a.asked)
}

// isServer reports whether an authority is the server's. For a local server every name of this
// machine is.
func (a *addresses) isServer(scheme, authority string) bool {
	if a.host != a.asked && strings.EqualFold(authority, a.host) {
		return true
	}
	if scheme == "" {
		scheme = a.local.Scheme
	}
	host, port := hostPort(scheme, authority)
	ownHost, ownPort := hostPort(a.local.Scheme, a.local.Host)
	return port == ownPort && (strings.EqualFold(host, ownHost) || isLoopback(host) && isLoopback(ownHost))
}

func hostPort(scheme, authority string) (host, port string) {
	if host, port, err := net.SplitHostPort(authority); err == nil && port != "" {
		return host, port
	}
	host = strings.Trim(strings.TrimSuffix(authority, ":"), "[]")
	if scheme == "https" {
		return host, "443"
	}
	return host, "80"
}

// isLoopback reports whether a host is this machine: localhost and names below it (RFC 6761, 6.3),
// loopback addresses, and the unspecified address, which servers print.
func isLoopback(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && (addr.Unmap().IsLoopback() || addr.IsUnspecified())
}

// splitReference splits a reference (RFC 3986, 4.1) that begins with a scheme of HTTP, with an authority or with a slash.
func splitReference(ref string) (scheme, authority, rest string, ok bool) {
	switch {
	case strings.HasPrefix(ref, "//"):
	case strings.HasPrefix(ref, "/"):
		return "", "", ref, true
	default:
		before, _, found := strings.Cut(ref, "://")
		if scheme = strings.ToLower(before); !found || scheme != "http" && scheme != "https" {
			return "", "", "", false
		}
	}
	rest = afterAuthority(ref)
	_, authority, _ = strings.Cut(ref[:len(ref)-len(rest)], "//")
	return scheme, authority, rest, authority != "" && !strings.Contains(authority, "@")
}

// afterAuthority returns what follows the authority of a reference that has one.
func afterAuthority(ref string) string {
	_, rest, _ := strings.Cut(ref, "//")
	if i := strings.IndexAny(rest, `/?#\`); i >= 0 {
		return rest[i:]
	}
	return ""
}

// under reports whether a path is equal to another or below it.
func under(path, other string) bool {
	rest, ok := strings.CutPrefix(path, other)
	return ok && (rest == "" || other == "" || strings.IndexByte("/?#", rest[0]) >= 0)
}

// without returns path without the prefix other.
func without(path, other string) string {
	if under(path, other) {
		return path[len(other):]
	}
	return path
}
