package strangers

import (
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"reversehttp/server/claim"
	"reversehttp/server/wire"
)

// goOn is the target of the warning's form, below the public URL of a claim. The gateway answers
// POST there.
const goOn = ".well-known/reversehttp-visit"

// mostForm bounds the form of a warning, in bytes.
const mostForm = 64 << 10

// Warn answers a browser that navigates to a stranger's page with a warning, once a browser
// session, and handles the warning's form. It reports whether it answered; the caller serves all
// other requests.
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

// navigates reports whether a browser sent r to show a page to a person. Requests of programs and
// subresources of pages do not say so.
func navigates(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
}

// path returns the path of a request target.
func path(target string) string {
	p, _, _ := strings.Cut(target, "?")
	return p
}

// base returns the path of the public URL of a label.
func (g *Guard) base(label string) string {
	if g.public.PathPrefix == "" {
		return "/"
	}
	return g.public.PathPrefix + label + "/"
}

// isBelow reports whether a target belongs to the claim and cannot lead to another host.
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

// show answers with the warning. Its form leads back to a target, or to the public URL if that is
// empty.
func (g *Guard) show(w http.ResponseWriter, r *http.Request, label, back string) {
	h := w.Header()
	h.Set("Cross-Origin-Opener-Policy", "same-origin") // a page that opened this one cannot press its button
	h.Set("Proxy-Status", "reversehttp; error=http_request_denied; handed=?0")
	answer(w, http.StatusForbidden, warning, map[string]any{
		"Authority": strings.TrimSuffix(strings.TrimPrefix(g.public.Base(label), g.public.Scheme+"://"), "/"), "Gateway": g.public.ControlHost,
		"Action": g.base(label) + goOn, "To": back, "Mark": g.mark(r, label), "Lost": r.Method != http.MethodGet && r.Method != http.MethodHead,
		"Report": g.public.Control + "abuse?url=" + url.QueryEscape(g.public.Base(label)),
	})
}

// goOn handles the warning's form: a person pressed its button.
func (g *Guard) goOn(w http.ResponseWriter, r *http.Request, label string) {
	form, ok := formOf(w, r, mostForm)
	origin := r.Header.Get("Origin")
	own := g.public.Scheme + "://" + g.public.Authority(label)
	if !ok || form.Get("mark") != g.mark(r, label) || !navigates(r) || r.Header.Get("Sec-Fetch-Site") != "same-origin" || !strings.EqualFold(origin, own) {
		g.show(w, r, label, "") // another page sent the form, or the browser's address changed
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
<p><strong>{{.Authority}}</strong> is an address that {{.Gateway}} lends to anyone. Its owner is unknown, and nobody has reviewed the page.</p>
<p>Do not enter a password, a card number or a code that was sent to you. Your bank, your mail provider and your employer do not ask for them here.</p>
{{if .Lost}}<p>What you sent was not forwarded. Continue, and send it again.</p>
{{end}}<form method="post" action="{{.Action}}">
<input type="hidden" name="to" value="{{.To}}"><input type="hidden" name="mark" value="{{.Mark}}">
<button>I know who made it: continue</button>
</form>
<p><a href="{{.Report}}">Report this page</a></p>
<p class="small">You see this once, until you close your browser.</p>
</main>
`))
