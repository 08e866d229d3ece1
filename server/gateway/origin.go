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

// origins decides which web pages may send requests to a local gateway: those of this machine, and
// those that the operator lists. Any page that a developer opens can send requests to this machine,
// by fetch, a form, an image or a WebSocket. The browser says which origin they come from; programs
// say nothing. A gateway that is not local accepts all pages.
type origins struct {
	// checked is whether pages of other origins are refused.
	checked bool
	// listed has the origins of --allow-origin, as canonical returns them.
	listed map[string]bool
	// pages are the gateway's own. Any origin may load them, since they change and reveal nothing,
	// and other pages import the SDK.
	pages map[string]http.Handler
	log   *slog.Logger
	hint  sync.Once
}

// nullOrigin is the origin of pages with an opaque one, such as a file or a sandboxed frame. Any
// page can create such a frame.
const nullOrigin = "null"

// newOrigins returns the check for a gateway. Its error names the flag and says what to pass.
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

// originForm matches an origin in lower case (RFC 6454, 6.2): scheme, host and port. WebViews send
// "file://" for files.
var originForm = regexp.MustCompile(`^([a-z][a-z0-9+.-]*)://([a-z0-9._~-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?$|^file://$`)

// canonical returns an origin as browsers write it, or "" if it is not an origin.
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

// isLocalOrigin reports whether an origin is on this machine, at any port: its host is a loopback
// address, localhost, or a name below localhost, like the control origin and the claims of a local
// gateway.
func isLocalOrigin(origin string) bool {
	m := originForm.FindStringSubmatch(strings.ToLower(origin))
	if m == nil || m[1] != "http" && m[1] != "https" {
		return false
	}
	name := publicurl.Hostname(m[2])
	return publicurl.IsLocalName(name) && !strings.Contains("."+name, "..")
}

// refuses reports whether r comes from a page that may not use the gateway, and returns its origin
// if r has it.
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

// crossSite reports whether the browser says that another site caused r. Images, scripts and links
// have no Origin field.
func crossSite(r *http.Request) bool { return r.Header.Get("Sec-Fetch-Site") == "cross-site" }

// navigates reports whether r is a navigation, such as a followed link. The page that caused it
// cannot read the response.
func navigates(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Mode") == "navigate" && (r.Method == http.MethodGet || r.Method == http.MethodHead)
}

// guard answers requests that origins refuses, and passes all others to next.
func (o *origins) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin, refused := o.refuses(r)
		if !refused || o.pages[r.URL.Path] != nil && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
			next.ServeHTTP(w, r)
			return
		}
		p := originRefused(origin)
		o.hint.Do(func() { o.log.Warn("refused a web page of another origin", "why", p.Detail) })
		if r.Method != http.MethodOptions { // a page learns only that a preflight failed
			w.Header().Set("Access-Control-Allow-Origin", "*")
		}
		p.Unread = true
		p.Write(w, r)
	})
}

// mayEnter refuses a navigation that another site caused: it may look at pages but not claim. Some
// doors claim by GET.
func (o *origins) mayEnter(r *http.Request) error {
	if o.checked && crossSite(r) && len(r.Header["Origin"]) == 0 {
		return originRefused("")
	}
	return nil
}

// originRefused returns the problem for pages of an origin, which names the flag that allows it. An
// empty origin is unknown.
func originRefused(origin string) *problem.Problem {
	const local = "This gateway accepts requests only from pages of this machine"
	detail := ""
	switch known := canonical(origin); {
	case origin == "":
		detail = local + ", and a page of another site made the browser send this one. Ask by fetch from a page whose origin the gateway lists: start it with --allow-origin ORIGIN."
	case known == nullOrigin:
		detail = local + ", and this page has no origin (null): it is a file, or in a sandboxed frame. Serve it from localhost. --allow-origin null lets it in, and any web page with it."
	case known == "" || len(known) > mostSuggested:
		detail = local + ", and the origin of this one is " + problem.Repeated(origin) + ". To let it in, start the gateway with --allow-origin ORIGIN."
	default:
		detail = local + ", and the origin of this one is " + known + ". To let it in, start the gateway with --allow-origin " + known
	}
	return problem.New(schema.CodeOriginRefused, detail)
}

// mostSuggested is the longest origin that the problem repeats in a flag, in bytes.
const mostSuggested = 256
