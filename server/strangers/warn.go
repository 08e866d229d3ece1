package strangers

import (
	"html/template"
	"io"
	"net/http"
	"net/url"
	"strconv"
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
	if wire.Target(r) != "" && g.isBelow(wire.Target(r), label) {
		back = wire.Target(r)
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
	wire.BoundWrite(w, 0)
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Opener-Policy", "same-origin") // a page that opened this one does not press its button
	h.Set("Referrer-Policy", "same-origin")            // else the form has no origin
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Proxy-Status", "reversehttp; error=http_request_denied; handed=?0")
	var page strings.Builder
	_ = warning.Execute(&page, map[string]any{
		"Authority": strings.TrimSuffix(strings.TrimPrefix(g.public.Base(label), g.public.Scheme+"://"), "/"), "Gateway": g.public.ControlHost,
		"Action": g.base(label) + goOn, "To": back, "Mark": g.mark(r, label), "Lost": r.Method != http.MethodGet && r.Method != http.MethodHead,
		"Report": g.public.Control + "abuse?url=" + url.QueryEscape(g.public.Base(label)),
	})
	h.Set("Content-Length", strconv.Itoa(page.Len()))
	w.WriteHeader(http.StatusForbidden)
	_, _ = io.WriteString(w, page.String())
}

// goOn takes the form of a warning: a person pressed its button.
func (g *Guard) goOn(w http.ResponseWriter, r *http.Request, label string) {
	content, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostForm))
	form, formErr := url.ParseQuery(string(content))
	origin := r.Header.Get("Origin")
	own := strings.TrimSuffix(g.public.Scheme+"://"+g.public.Authority(label), "/")
	if err != nil || formErr != nil || form.Get("mark") != g.mark(r, label) || !navigates(r) || r.Header.Get("Sec-Fetch-Site") != "same-origin" || !strings.EqualFold(origin, own) {
		g.show(w, r, label, "") // another page sent it, or the address of the browser changed
		return
	}
	to := form.Get("to")
	if to == "" || !g.isBelow(to, label) {
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

// style is that of the pages.
const style = `:root{color-scheme:light dark;--a:#0b57d0;--on:#fff;--line:#767676}@media(prefers-color-scheme:dark){:root{--a:#a8c7fa;--on:#062e6f;--line:#8e8e8e}}` +
	`*{box-sizing:border-box}html{background:Canvas;color:CanvasText}body{font:1rem/1.5 system-ui,sans-serif;max-width:38rem;margin:10vh auto;padding:0 1rem;overflow-wrap:anywhere}h1{line-height:1.2}a{color:var(--a)}` +
	`button{font:inherit;padding:.6rem 1rem;border:0;border-radius:.4rem;background:var(--a);color:var(--on);cursor:pointer}` +
	`label{display:block;margin:1rem 0 .25rem}input:not([type=hidden]),textarea{font:inherit;width:100%;padding:.5rem;border:1px solid var(--line);border-radius:.4rem;color:inherit;background:transparent}` +
	`:focus-visible{outline:3px solid var(--a);outline-offset:2px}.small{font-size:.9rem}`
