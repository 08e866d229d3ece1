package gateway

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"reversehttp/schema"
)

// navigationFields are a browser's fields of a navigation.
var navigationFields = []string{"Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}

// ownedAnew returns the program of the second owner of demo.
func (w *world) ownedAnew() *program {
	w.t.Helper()
	first := w.claimWith("demo", longToken)
	w.send("DELETE", "/claims/demo", first.Token, nil)
	return w.claimWith("demo", "another-token-of-9")
}

// visitOf lets a program answer a visitor who sends the request raw; answer has the fields of the answer.
// cookies are those that the program got.
func (w *world) visitOf(p *program, raw string, answer ...schema.Field) (got *reply, cookies []string) {
	w.t.Helper()
	v := w.visit(raw)
	r := p.next()
	for _, f := range r.Headers {
		if strings.EqualFold(f[0], "Cookie") {
			cookies = append(cookies, f[1])
		}
	}
	p.respond(schema.Response{ID: r.ID, Status: 200, Headers: answer})
	return v.await(), cookies
}

// markOf returns the value of the mark that an answer sets, or "".
func markOf(t *testing.T, h http.Header, name string) string {
	t.Helper()
	for _, field := range h["Set-Cookie"] {
		if value, ok := strings.CutPrefix(field, name+"="); ok {
			value, attributes, _ := strings.Cut(value, ";")
			for _, want := range []string{"Path=/", "HttpOnly", "Max-Age=34560000"} {
				if !strings.Contains(attributes, want) {
					t.Errorf("%q has no %s", field, want)
				}
			}
			if strings.HasPrefix(name, "__Host-") != strings.Contains(attributes, "; Secure") {
				t.Errorf("%q does not go with its name", field)
			}
			return value
		}
	}
	return ""
}

func TestABrowserClearsTheDataOfAnEarlierOwner(t *testing.T) {
	for template, mark := range map[string]string{"http://{label}.localhost:8080/": "reversehttp-owner", "https://{label}.localhost:8080/": "__Host-Http-reversehttp-owner"} {
		inWorld(t, Options{PublicURL: template}, func(w *world) {
			// The proxy that terminates TLS is left out.
			w.client.Transport.(*http.Transport).DialTLSContext = w.client.Transport.(*http.Transport).DialContext
			p := w.ownedAnew()
			with := func(more ...string) []string { return slices.Concat(navigationFields, more) }
			// With cookies: a redirect to the same URL, without the program.
			got := w.visit(get(host, "//evil.example/%zz?a=b", with("Cookie: old=1")...)).await()
			if got.Status != 307 || got.Header.Get("Location") != strings.Replace(template, "{label}", "demo", 1)+"/evil.example/%zz?a=b" ||
				got.Header.Get("Clear-Site-Data") != `"cache", "cookies", "storage"` || got.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("with cookies = %d %v, want 307 to the same that clears all", got.Status, got.Header)
			}
			asked := markOf(t, got.Header, mark)
			if !strings.HasPrefix(asked, "cleared.") {
				t.Errorf("the mark of the redirect is %q", asked)
			}
			// Without cookies: the program answers, and the rest is cleared.
			got, cookies := w.visitOf(p, get(host, "/", with()...), schema.Field{"Set-Cookie", "new=1"}, schema.Field{"Cache-Control", "max-age=60"})
			value := markOf(t, got.Header, mark)
			if got.Status != 200 || got.Header.Get("Clear-Site-Data") != `"cache", "storage"` || value == "" || value != asked[len("cleared."):] || cookies != nil {
				t.Errorf("without cookies = %d %v, cookies %q; want 200 that clears the rest, and the mark", got.Status, got.Header, cookies)
			}
			if !slices.Contains(got.Header["Set-Cookie"], "new=1") || got.Header["Cache-Control"][0] != "no-store" {
				t.Errorf("fields = %v, want the program's cookie too, and no-store first", got.Header)
			}
			// A browser that clears no cookies.
			got, cookies = w.visitOf(p, get(host, "/", with("Cookie: old=1; "+mark+"="+asked)...))
			if got.Status != 200 || markOf(t, got.Header, mark) != value || cookies != nil {
				t.Errorf("with cookies again = %d %v, cookies %q; want the mark, and no cookies", got.Status, got.Header, cookies)
			}
			// With the mark nothing happens.
			got, cookies = w.visitOf(p, get(host, "/", with("Cookie: a=1; "+mark+"="+value+";  b=2")...))
			if got.Header.Get("Clear-Site-Data") != "" || got.Header.Get("Set-Cookie") != "" || !slices.Equal(cookies, []string{"a=1;  b=2"}) {
				t.Errorf("with the mark = %v, cookies %q; want nothing but the cookies of the claim", got.Header, cookies)
			}
			// A worker's script.
			got = w.visit(get(host, "/deep/sw.js", "Service-Worker: script", "Sec-Fetch-Dest: serviceworker", "Cookie: old=1")).await()
			if got.Status != 200 || !strings.HasPrefix(got.Header.Get("Content-Type"), "text/javascript") || got.Header.Get("Service-Worker-Allowed") != "/" || !strings.Contains(string(got.Content), "unregister()") {
				t.Errorf("a worker without the mark = %d %v %s, want one that unregisters itself", got.Status, got.Header, got.Content)
			}
			if got, cookies := w.visitOf(p, get(host, "/deep/sw.js", "Service-Worker: script", "Cookie: new=1; "+mark+"="+value)); got.Status != 200 || cookies == nil {
				t.Errorf("a worker with the mark = %d %v, want the program's", got.Status, got.Header)
			}
			// The next owner.
			w.send("DELETE", "/claims/demo", p.Token, nil)
			w.claimWith("demo", longToken)
			got = w.visit(get(host, "/", with("Cookie: "+mark+"="+value+"; new=1")...)).await()
			if next := markOf(t, got.Header, mark); got.Status != 307 || next == asked {
				t.Errorf("after another change of owner = %d %v, want it cleared again, with another mark", got.Status, got.Header)
			}
		})
	}
}

func TestOnlyNavigationsClearTheDataOfAnEarlierOwner(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.ownedAnew()
		for name, c := range map[string]struct {
			method  string
			fields  []string
			cookies bool // reach the program
		}{
			"fetch":            {"GET", []string{"Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"}, false},
			"image":            {"GET", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"}, false},
			"frame":            {"GET", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"}, false},
			"form":             {"POST", []string{"Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Content-Length: 0"}, false},
			"preflight":        {"OPTIONS", []string{"Origin: https://a.example", "Access-Control-Request-Method: PUT"}, false},
			"events":           {"GET", []string{"Origin: https://a.example", "Accept: text/event-stream"}, false},
			"program":          {"GET", []string{"Accept: text/html"}, true},
			"webhook":          {"POST", []string{"Content-Length: 0"}, true},
			"page of a worker": {"GET", []string{"Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: empty"}, false},
		} {
			got, cookies := w.visitOf(p, requestTo(c.method, host, "/", append(c.fields, "Cookie: old=1")...))
			if got.Status != 200 || got.Header.Get("Clear-Site-Data") != "" || got.Header.Get("Set-Cookie") != "" || c.cookies != (cookies != nil) {
				t.Errorf("%s = %d %v, cookies %q; want that nothing is cleared, cookies %v", name, got.Status, got.Header, cookies, c.cookies)
			}
		}
		v := w.visit(get(host, "/", "Origin: https://a.example", "Cookie: old=1", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"))
		if r := p.next(); slices.ContainsFunc(r.Headers, func(f schema.Field) bool { return f[0] == "Cookie" }) {
			t.Errorf("a WebSocket has the cookies of the previous owner: %v", r.Headers)
		} else {
			p.respond(schema.Response{ID: r.ID, Status: 200})
			v.await()
		}
	})
}

func TestALabelWithOneOwnerIsLeftAlone(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claimWith("demo", longToken)
		w.send("DELETE", "/claims/demo", p.Token, nil)
		p = w.claimWith("demo", longToken) // its owner came back
		got, cookies := w.visitOf(p, get(host, "/", append(slices.Clone(navigationFields), "Cookie: a=1; reversehttp-owner=x")...),
			schema.Field{"Set-Cookie", "reversehttp-owner=y"}, schema.Field{"Set-Cookie", "b=2"})
		if got.Header.Get("Clear-Site-Data") != "" || !slices.Equal(cookies, []string{"a=1"}) || !slices.Equal(got.Header["Set-Cookie"], []string{"b=2"}) {
			t.Errorf("fields = %v, cookies %q; want neither cleared, nor the mark either way", got.Header, cookies)
		}
		if got, _ := w.visitOf(p, get(host, "/sw.js", "Service-Worker: script")); got.Status != 200 || len(got.Content) > 0 {
			t.Errorf("a worker = %d %s, want the program's", got.Status, got.Content)
		}
	})
}

func TestInThePathShapeNothingIsCleared(t *testing.T) {
	inWorld(t, Options{PublicURL: "http://localhost:8080/at/{label}/"}, func(w *world) {
		p := w.ownedAnew()
		if got, _ := w.visitOf(p, get("localhost:8080", "/at/demo/", navigationFields...)); got.Header.Get("Clear-Site-Data") != "" || got.Header.Get("Set-Cookie") != "" {
			t.Errorf("fields = %v, want nothing cleared, because the control API and other claims have the same origin", got.Header)
		}
	})
}
