package visit

import (
	"net/http"
	"strconv"
	"strings"

	"reversehttp/server/claim"
	"reversehttp/server/field"
	"reversehttp/server/wire"
)

// When the owner of a label changes, browsers keep what the previous owner left at its origin: cookies, storage, cached
// pages, and service workers that answer in place of the claim. In the host shape the gateway makes each browser clear
// that once, and a cookie of its own, the mark, says for which change of owner a browser has done so.
//
//	without the mark, a navigation with cookies   is redirected to itself, and all is cleared. Browsers clear cookies
//	                                              after they set those of the same response, so the mark comes later
//	                  a navigation without them   is relayed; its answer clears all else, and has the mark
//	                  the script of a worker      is a worker that unregisters itself
//	                  any other request of one    is relayed without cookies: they are the previous owner's
//	with it, or not from a browser                nothing happens
//
// A browser that does not clear cookies comes back with them and with the mark of the redirect, and is then relayed.

// The names of the mark. In browsers that know the prefixes, no page and no other host can set the secure one; the
// prefixes need https. Handlers neither get nor set the mark, as all cookies of the gateway's own.
const (
	plainMark  = field.OwnCookies + "owner"
	secureMark = "__Host-Http-" + plainMark
	// askedBefore precedes the name of a change in the mark of the redirect.
	askedBefore = "cleared."
	// markAge is the longest that browsers keep a cookie, 400 days.
	markAge = "34560000"
)

// outlived deals with what a visitor's browser keeps of a previous owner. It reports whether it answered.
func (v *Visits) outlived(w http.ResponseWriter, r *http.Request, c *claim.Claim) (answered bool) {
	// In the path shape claims have no cookies, nor workers. A domain of a claim's own is not the label's, and its cookies are
	// also those of its owner's other hosts, which a browser clears with them.
	if c.Past == "" || v.Public.PathPrefix != "" || v.base != "" {
		return false
	}
	known, asked, cookies := v.readMark(r, c.Past)
	if known {
		return false
	}
	if r.Header.Get("Service-Worker") == "script" {
		unregister(w, r)
		return true
	}
	if !ofBrowser(r) {
		return false
	}
	h := w.Header()
	delete(r.Header, "Cookie")
	if r.Method != http.MethodGet || r.Header.Get("Sec-Fetch-Dest") != "document" || r.Header.Get("Sec-Fetch-Mode") != "navigate" {
		return false
	}
	h.Set("Cache-Control", "no-store") // a browser that gets it from a cache would clear nothing
	if cookies && !asked {
		defer wire.Leaving(w, r)()
		h.Set("Clear-Site-Data", `"cache", "cookies", "storage"`)
		v.setMark(h, askedBefore+c.Past)
		h.Set("Location", string(v.appendURL(nil, c.Label(), wire.Target(r))))
		w.WriteHeader(http.StatusTemporaryRedirect)
		return true
	}
	h.Set("Clear-Site-Data", `"cache", "storage"`)
	v.setMark(h, c.Past)
	return false
}

// mark returns the name of the mark and its attributes.
func (v *Visits) mark() (name, attributes string) {
	attributes = "; Path=/; Max-Age=" + markAge + "; HttpOnly"
	if v.Public.Scheme == "https" { // so that it comes wherever a cookie of the claim can come
		return secureMark, attributes + "; Secure; SameSite=None"
	}
	return plainMark, attributes + "; SameSite=Lax"
}

// setMark sets the mark in the fields of an answer.
func (v *Visits) setMark(h http.Header, value string) {
	name, attributes := v.mark()
	h.Add("Set-Cookie", name+"="+value+attributes)
}

// readMark reports whether the mark of a request says past, and whether it says that the browser was asked to clear its
// cookies because of that. others reports whether there are cookies that are not the gateway's own.
func (v *Visits) readMark(r *http.Request, past string) (known, asked, others bool) {
	mark, _ := v.mark()
	for _, value := range r.Header["Cookie"] {
		others = others || field.WithoutOwnCookies(value) != ""
		for pair := range strings.SplitSeq(value, ";") {
			if name, is, _ := strings.Cut(strings.Trim(pair, " \t"), "="); name == mark {
				known, asked = known || is == past, asked || is == askedBefore+past
			}
		}
	}
	return known, asked, others
}

// ofBrowser reports whether a browser sent a request. Handshakes of WebSockets have only an Origin.
func ofBrowser(r *http.Request) bool {
	for _, name := range []string{"Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest", "Origin"} {
		if len(r.Header[name]) > 0 {
			return true
		}
	}
	return false
}

// worker is a service worker that replaces one of the previous owner. It unregisters itself at once, and reloads the
// pages that the old one served.
const worker = `self.addEventListener('install', () => self.skipWaiting())
self.addEventListener('activate', (event) => {
  event.waitUntil(
    self.registration
      .unregister()
      .then(() => self.clients.matchAll({ type: 'window' }))
      .then((pages) => Promise.all(pages.map((page) => page.navigate(page.url).catch(() => {})))),
  )
})
`

// unregister answers the request for the script of a worker. The new worker replaces the old one, whatever its scope.
func unregister(w http.ResponseWriter, r *http.Request) {
	defer wire.Leaving(w, r)()
	h := w.Header()
	h.Set("Content-Type", "text/javascript; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Service-Worker-Allowed", "/")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(worker)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write([]byte(worker))
	}
}
