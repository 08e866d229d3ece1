package main

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// mapping maps the value of a field.
type mapping func(a *addresses, value string) string

// inwards are the fields of a request with URLs of the claim, which must match the host and path
// that the local server sees.
var inwards = map[string]mapping{
	"Content-Location": (*addresses).inward,
	"Destination":      (*addresses).inward, // RFC 4918, 10.3
	"Hx-Current-Url":   (*addresses).inward,
	"If":               func(a *addresses, v string) string { return bracketed(v, a.inward) }, // RFC 4918, 10.4
	"Origin":           (*addresses).inwardOrigin,
	"Referer":          (*addresses).inward,
	"Upload-Concat":    func(a *addresses, v string) string { return concatenated(v, a.inward) },
}

// outwards are the fields of a response with URLs of the claim.
var outwards = map[string]mapping{
	"Access-Control-Allow-Origin": (*addresses).outwardOrigin,
	"Content-Location":            (*addresses).outward,
	"Hx-Location":                 (*addresses).outward,
	"Hx-Push-Url":                 (*addresses).outward,
	"Hx-Redirect":                 (*addresses).outward,
	"Hx-Replace-Url":              (*addresses).outward,
	"Link":                        func(a *addresses, v string) string { return bracketed(v, a.outward) },
	"Location":                    (*addresses).outward,
	"Refresh":                     (*addresses).refresh,
	"Reporting-Endpoints":         func(a *addresses, v string) string { return quoted(v, a.outward) },
	"Service-Worker-Allowed":      (*addresses).outward,
	"Set-Cookie":                  (*addresses).cookie,
	"Sourcemap":                   (*addresses).outward,
	"Speculation-Rules":           func(a *addresses, v string) string { return quoted(v, a.outward) },
	"Timing-Allow-Origin":         func(a *addresses, v string) string { return listed(v, a.outwardOrigin) },
	"Upload-Concat":               func(a *addresses, v string) string { return concatenated(v, a.outward) },
	"X-Inertia-Location":          (*addresses).outward,
	"X-Sourcemap":                 (*addresses).outward,
}

// apply maps the fields in h that have a mapping.
func (a *addresses) apply(h http.Header, by map[string]mapping) {
	for name, values := range h {
		to, ok := by[name]
		if !ok {
			continue
		}
		mapped := make([]string, len(values)) // the slice may be shared with another header
		for i, v := range values {
			mapped[i] = to(a, v)
		}
		h[name] = mapped
	}
}

// pieces matches text in angle brackets, and strings, with an anchor parameter's name if there is
// one.
var pieces = regexp.MustCompile(`<[^<>]*>|(?i:anchor\s*=\s*)?"(?:[^"\\]|\\.)*"`)

// bracketed maps the references and anchors in Link (RFC 8288, 3), and the references in If (RFC
// 4918, 10.4).
func bracketed(value string, to func(string) string) string {
	return pieces.ReplaceAllStringFunc(value, func(piece string) string {
		if piece[0] == '<' {
			return "<" + to(piece[1:len(piece)-1]) + ">"
		}
		if before, anchor, _ := strings.Cut(piece, `"`); before != "" {
			return before + `"` + to(strings.TrimSuffix(anchor, `"`)) + `"`
		}
		return piece
	})
}

var strs = regexp.MustCompile(`"[^"\\]*"`)

// quoted maps the strings of a structured field (RFC 9651).
func quoted(value string, to func(string) string) string {
	return strs.ReplaceAllStringFunc(value, func(s string) string { return `"` + to(s[1:len(s)-1]) + `"` })
}

// listed maps the members of a list.
func listed(value string, to func(string) string) string {
	members := strings.Split(value, ",")
	for i, m := range members {
		trimmed := strings.TrimSpace(m)
		members[i] = strings.Replace(m, trimmed, to(trimmed), 1)
	}
	return strings.Join(members, ",")
}

// concatenated maps the uploads that a tus upload concatenates: final;/files/a /files/b.
func concatenated(value string, to func(string) string) string {
	kind, uploads, ok := strings.Cut(value, ";")
	if !ok {
		return value
	}
	all := strings.Split(uploads, " ")
	for i, upload := range all {
		all[i] = to(upload)
	}
	return kind + ";" + strings.Join(all, " ")
}

var refreshes = regexp.MustCompile(`^(\s*[0-9.]+\s*[;,]\s*(?:(?i:url)\s*=\s*)?(["']?))([^"']*)(.*)$`)

// refresh maps the URL of Refresh: 5; url=/next.
func (a *addresses) refresh(value string) string {
	m := refreshes.FindStringSubmatch(value)
	if m == nil {
		return value
	}
	return m[1] + a.outward(m[3]) + m[4]
}

// cookie maps the path of a cookie, and makes a cookie for the local server's domain one for the
// public host only.
func (a *addresses) cookie(value string) string {
	attributes := strings.Split(value, ";")
	kept := attributes[:1]
	for _, attribute := range attributes[1:] {
		name, v, _ := strings.Cut(attribute, "=")
		trimmed := strings.TrimSpace(v)
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "path":
			if strings.HasPrefix(trimmed, "/") && (a.prefix != "" || a.below != "") {
				attribute = name + "=" + a.toPublic(trimmed)
			}
		case "domain":
			if a.foreign(strings.TrimPrefix(trimmed, ".")) {
				continue
			}
		}
		kept = append(kept, attribute)
	}
	return strings.Join(kept, ";")
}

// foreign reports whether a domain is one that the server uses for itself, but not the visitor's.
func (a *addresses) foreign(domain string) bool {
	if strings.EqualFold(domain, a.public.Hostname()) {
		return false
	}
	own := within(a.local.Hostname(), domain)
	if a.host != a.asked {
		host := url.URL{Host: a.host}
		own = own || within(host.Hostname(), domain)
	}
	return isLoopback(domain) || own && !within(a.public.Hostname(), domain)
}

// within reports whether a host is in a domain (RFC 6265, 5.1.3).
func within(host, domain string) bool {
	host, domain = strings.ToLower(host), strings.ToLower(domain)
	return domain != "" && (host == domain || strings.HasSuffix(host, "."+domain))
}
