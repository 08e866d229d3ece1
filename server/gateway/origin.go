package gateway

import (
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"sync"

	"reversehttp/schema"
	"reversehttp/server/problem"
	"reversehttp/server/publicurl"
)

// origins decides which web pages a local gateway takes requests from: those of this machine, and those that the
// operator lists. Any page that a developer looks at can send requests to this machine, by fetch, a form, an image or a
// WebSocket; the browser says where they come from, and programs say nothing. Beyond local every page is welcome.
type origins struct {
	// checked says that pages of other origins are refused.
	checked bool
	// listed has the origins of --allow-origin, as canonical returns them.
	listed map[string]bool
	// pages are the gateway's own, which change nothing and tell nothing of the gateway; other pages import the SDK.
	pages map[string]http.Handler
	log   *slog.Logger
	hint  sync.Once
}

// nullOrigin is what a page has whose origin is opaque: a file, a sandboxed frame. Any page can make such a frame.
const nullOrigin = "null"

// newOrigins returns the check of a gateway. Its error names the flag of the list, and what to give.
func newOrigins(o *Options, local bool) (*origins, error) {
	all := &origins{checked: local, listed: map[string]bool{}, pages: o.Pages, log: o.Log}
	for _, origin := range o.AllowOrigins {
		c := canonical(origin)
		if c == "" {
			return nil, fmt.Errorf("--allow-origin=%s: give origins such as https://app.example or http://192.0.2.1:3000, without a path, or null for pages without an origin, which any web page can be", origin)
		}
		all.listed[c] = true
	}
	return all, nil
}

// originForm is that of an origin in lower case (RFC 6454, 6.2): its scheme, its host and its port. WebViews say
// "file://" for files.
var originForm = regexp.MustCompile(`^([a-z][a-z0-9+.-]*)://([a-z0-9._~-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?$|^file://$`)

// canonical returns an origin as browsers write it, or "" where it is none.
func canonical(origin string) string {
	origin = strings.ToLower(origin)
	if origin == nullOrigin {
		return origin
	}
	m := originForm.FindStringSubmatch(origin)
	if m == nil {
		return ""
	}
	if m[1] == "http" && m[3] == ":80" || m[1] == "https" && m[3] == ":443" {
		return strings.TrimSuffix(origin, m[3])
	}
	return origin
}

// isLocalOrigin reports whether an origin is that of a page of this machine, at any port: loopback, localhost, or a name
// below localhost, as the control origin and the claims of a local gateway are.
func isLocalOrigin(origin string) bool {
	m := originForm.FindStringSubmatch(strings.ToLower(origin))
	if m == nil || m[1] != "http" && m[1] != "https" {
		return false
	}
	name := publicurl.Hostname(m[2])
	return publicurl.IsLocalName(name) && !strings.Contains("."+name, "..")
}

// refuses reports whether r comes from a page that may not use the gateway, and its origin where r says that.
func (o *origins) refuses(r *http.Request) (origin string, refused bool) {
	if !o.checked {
		return "", false
	}
	said := false
	for _, origin := range r.Header["Origin"] {
		if origin != "" && !o.listed[canonical(origin)] && !isLocalOrigin(origin) {
			return origin, true
		}
		said = said || origin != ""
	}
	return "", !said && crossSite(r) && !navigates(r)
}

// crossSite reports whether a browser says that another site had it send r. It says no origin with what is no fetch:
// images, scripts, links.
func crossSite(r *http.Request) bool { return r.Header.Get("Sec-Fetch-Site") == "cross-site" }

// navigates reports whether r is a navigation, such as by a link, of which the page that had it sent sees nothing.
func navigates(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Mode") == "navigate" && (r.Method == http.MethodGet || r.Method == http.MethodHead)
}

// guard answers what it refuses, and passes everything else on to next.
func (o *origins) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin, refused := o.refuses(r)
		if !refused || o.pages[r.URL.Path] != nil && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
			next.ServeHTTP(w, r)
			return
		}
		p := originRefused(origin)
		o.hint.Do(func() { o.log.Warn("a web page was refused, as all of other origins are", "why", p.Detail) })
		if r.Method != http.MethodOptions { // or it is a preflight, and a page learns no more from the browser than that it failed
			w.Header().Set("Access-Control-Allow-Origin", "*")
		}
		p.Unread = true
		p.Write(w, r)
	})
}

// mayEnter refuses a navigation that another site had a browser make: it may look, and claims nothing. Doors have URLs
// that claim by GET.
func (o *origins) mayEnter(r *http.Request) error {
	if o.checked && crossSite(r) && len(r.Header["Origin"]) == 0 {
		return originRefused("")
	}
	return nil
}

// originRefused returns the problem for a page of an origin, which names what lets it in; "" is one that is not told.
func originRefused(origin string) *problem.Problem {
	const local = "This gateway takes requests from pages of this machine only"
	detail := ""
	switch known := canonical(origin); {
	case origin == "":
		detail = local + ", and the page of another site had the browser send this one. Ask by fetch from a page whose origin the gateway lists: start it with --allow-origin ORIGIN."
	case known == nullOrigin:
		detail = local + ", and this page has no origin (null): it is a file, or in a sandboxed frame. Serve it from localhost. --allow-origin null lets it in, and any web page with it."
	case known == "" || len(known) > mostSuggested:
		detail = local + ", and the origin of this one is " + problem.Repeated(origin) + ". To let it in, start the gateway with --allow-origin ORIGIN."
	default:
		detail = local + ", and the origin of this one is " + known + ". To let it in, start the gateway with --allow-origin " + known
	}
	return problem.New(schema.CodeOriginRefused, detail)
}

// mostSuggested is the longest origin that is repeated as a flag, in bytes.
const mostSuggested = 256
