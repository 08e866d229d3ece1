package strangers

import (
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"reversehttp/server/claim"
	"reversehttp/server/wire"
)

// goOn is where the form of a warning leads, below the public URL of a claim. A POST there is the gateway's.
const goOn = ".well-known/reversehttp-visit"

// mostForm bounds the form of a warning, in bytes.
const mostForm = 64 << 10

// Warn answers a browser that navigates to a page of a stranger with a warning, once a session, and the form of that. It reports
// whether it did; other requests are let through.
func (g *Guard) Warn(w http.ResponseWriter, r *http.Request, label string, c *claim.Claim) bool {
	if g == nil || !stranger(c) {
		return false
	}
	if r.Method == http.MethodPost && path(wire.Target(r)) == g.base(label)+goOn {
		wire.Taken(r)
		g.goOn(w, r, label)
		return true
	}
	if !navigates(r) || g.warned(r, label) {
		return false
	}
	wire.Taken(r)
	defer wire.Leaving(w, r)()
	back := ""
	if target := wire.Target(r); g.isBelow(target, label) {
		back = target
	}
	g.show(w, r, label, back)
	return true
}

// navigates reports whether a browser loads a page for a person with r. Programs, and what a page loads, do not say so.
func navigates(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
}

// path returns the path of a request target.
func path(target string) string {
	p, _, _ := strings.Cut(target, "?")
	return p
}

// base returns the path that the public URL of a label has.
func (g *Guard) base(label string) string {
	if g.public.PathPrefix == "" {
		return "/"
	}
	return g.public.PathPrefix + label + "/"
}

// isBelow reports whether a target is one of the claim's own, and leads to no other host.
func (g *Guard) isBelow(target, label string) bool {
	if !strings.HasPrefix(target, g.base(label)) || strings.HasPrefix(target, "//") {
		return false
	}
	for i := range len(target) {
		if c := target[i]; c <= ' ' || c >= 0x7F || c == '\\' || c == '#' {
			return false
		}
	}
	return true
}

// show answers with the warning. The form leads back to a target, or to the public URL where that is empty.
func (g *Guard) show(w http.ResponseWriter, r *http.Request, label, back string) {
	h := w.Header()
	h.Set("Cross-Origin-Opener-Policy", "same-origin") // a page that opened this one does not press its button
	h.Set("Proxy-Status", "reversehttp; error=http_request_denied; handed=?0")
	answer(w, http.StatusForbidden, warning, map[string]any{
		"Authority": strings.TrimSuffix(strings.TrimPrefix(g.public.Base(label), g.public.Scheme+"://"), "/"), "Gateway": g.public.ControlHost,
		"Action": g.base(label) + goOn, "To": back, "Mark": g.mark(r, label), "Lost": r.Method != http.MethodGet && r.Method != http.MethodHead,
		"Report": g.public.Control + "abuse?url=" + url.QueryEscape(g.public.Base(label)),
	})
}

// goOn takes the form of a warning: a person pressed its button.
func (g *Guard) goOn(w http.ResponseWriter, r *http.Request, label string) {
	form, ok := formOf(w, r, mostForm)
	origin := r.Header.Get("Origin")
	own := g.public.Scheme + "://" + g.public.Authority(label)
	if !ok || form.Get("mark") != g.mark(r, label) || !navigates(r) || r.Header.Get("Sec-Fetch-Site") != "same-origin" || !strings.EqualFold(origin, own) {
		g.show(w, r, label, "") // another page sent it, or the address of the browser changed
		return
	}
	to := form.Get("to")
	if !g.isBelow(to, label) {
		to = g.base(label)
	}
	http.SetCookie(w, &http.Cookie{
		Name: g.cookie(), Value: g.mark(r, label), Path: g.base(label), HttpOnly: true, Secure: g.public.Scheme == "https", SameSite: http.SameSiteLaxMode,
	})
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

var warning = template.Must(template.New("warning").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">
<title>A stranger's page</title>
<style>` + style + `</style>
<main>
<h1>A stranger made this page</h1>
<p><strong>{{.Authority}}</strong> is an address that {{.Gateway}} lends to anyone. Whoever runs the page behind it showed no key, and nobody has looked at it.</p>
<p>Type in no password, no number of a card and no code that was sent to you. Your bank, your mail and your employer do not ask for them here.</p>
{{if .Lost}}<p>What you sent was not passed on. Go on, and send it again.</p>
{{end}}<form method="post" action="{{.Action}}">
<input type="hidden" name="to" value="{{.To}}"><input type="hidden" name="mark" value="{{.Mark}}">
<button>I know who made it: go on</button>
</form>
<p><a href="{{.Report}}">Report this page</a></p>
<p class="small">This is shown once until you close your browser.</p>
</main>
`))
