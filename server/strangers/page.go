package strangers

import (
	"html/template"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"reversehttp/server/wire"
)

// answer answers with a page that has a form. It keeps the fields that are already set.
func answer(w http.ResponseWriter, status int, page *template.Template, data any) {
	wire.BoundWrite(w, 0)
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "same-origin") // otherwise the browser sends the form without an origin
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	var text strings.Builder
	_ = page.Execute(&text, data)
	h.Set("Content-Length", strconv.Itoa(text.Len()))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text.String())
}

// formOf reads the form in a request, of at most most bytes, and reports whether the content is a
// form.
func formOf(w http.ResponseWriter, r *http.Request, most int64) (form url.Values, ok bool) {
	content, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if err != nil {
		return nil, false
	}
	form, err = url.ParseQuery(string(content))
	return form, err == nil
}

// style is the style sheet of the pages.
const style = `:root{color-scheme:light dark;--a:#0b57d0;--on:#fff;--line:#767676}@media(prefers-color-scheme:dark){:root{--a:#a8c7fa;--on:#062e6f;--line:#8e8e8e}}` +
	`*{box-sizing:border-box}html{background:Canvas;color:CanvasText}body{font:1rem/1.5 system-ui,sans-serif;max-width:38rem;margin:10vh auto;padding:0 1rem;overflow-wrap:anywhere}h1{line-height:1.2}a{color:var(--a)}` +
	`button{font:inherit;padding:.6rem 1rem;border:0;border-radius:.4rem;background:var(--a);color:var(--on);cursor:pointer}` +
	`label{display:block;margin:1rem 0 .25rem}input:not([type=hidden]),textarea{font:inherit;width:100%;padding:.5rem;border:1px solid var(--line);border-radius:.4rem;color:inherit;background:transparent}` +
	`:focus-visible{outline:3px solid var(--a);outline-offset:2px}.small{font-size:.9rem}`
