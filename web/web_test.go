package web

import (
	"cmp"
	"compress/gzip"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func get(t *testing.T, h http.Handler, method string, fields ...string) (*http.Response, string) {
	t.Helper()
	r := httptest.NewRequest(method, "/", nil)
	for i := 0; i < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	body, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Result(), string(body)
}

// served returns the handlers of all pages.
func served(t *testing.T) map[string]http.Handler {
	t.Helper()
	handlers, err := Pages()
	if err != nil {
		t.Fatal(err)
	}
	delete(handlers, "/qr.svg")
	return handlers
}

func TestEveryPathIsServedWithItsTypeAndKeptByETag(t *testing.T) {
	handlers := served(t)
	for _, path := range []string{"/", "/status", "/hello", "/playground", "/inbox", "/style.css", "/favicon.svg", "/sdk.js", "/sdk.js.map", "/stream.js", "/stream.js.map", "/page.js", "/page.js.map", "/websocket.js", "/websocket.js.map", "/wait.js", "/sdk/files.js", "/sdk/files.js.map", "/sdk/receive.js", "/sdk/worker.js"} {
		if handlers[path] == nil {
			t.Errorf("no handler for %s", path)
		}
	}
	for path, h := range handlers {
		want, corp := "text/html; charset=utf-8", "same-origin"
		switch {
		case strings.HasSuffix(path, ".js"):
			want = "text/javascript; charset=utf-8"
		case strings.HasSuffix(path, ".css"):
			want = "text/css; charset=utf-8"
		case strings.HasSuffix(path, ".svg"):
			want = "image/svg+xml"
		case strings.HasSuffix(path, ".map"), strings.HasSuffix(path, ".json"):
			want = "application/json"
		case strings.HasSuffix(path, ".txt"):
			want = "text/plain; charset=utf-8"
		case strings.HasSuffix(path, ".md"):
			want = "text/markdown; charset=utf-8"
		}
		if regexp.MustCompile(`^/(sdk|stream|wait|page|websocket|sdk/\w+)\.js`).MatchString(path) {
			corp = "cross-origin"
		}
		r, body := get(t, h, "GET")
		if r.StatusCode != 200 || body == "" {
			t.Errorf("GET %s = %d with %d bytes, want 200 with some", path, r.StatusCode, len(body))
		}
		for name, value := range map[string]string{
			"Content-Type": want, "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff",
			"Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": corp,
		} {
			if got := r.Header.Get(name); got != value {
				t.Errorf("GET %s: %s = %q, want %q", path, name, got, value)
			}
		}
		if r, body := get(t, h, "GET", "If-None-Match", r.Header.Get("ETag")); r.StatusCode != 304 || body != "" {
			t.Errorf("GET %s with its ETag = %d with %d bytes, want 304 with none", path, r.StatusCode, len(body))
		}
		if r, _ := get(t, h, "GET", "If-None-Match", `"other"`); r.StatusCode != 200 {
			t.Errorf("GET %s with another ETag = %d, want 200", path, r.StatusCode)
		}
		if r, body := get(t, h, "HEAD"); r.StatusCode != 200 || body != "" {
			t.Errorf("HEAD %s = %d with %d bytes, want 200 with none", path, r.StatusCode, len(body))
		}
	}
}

func TestLongContentIsCompressedForClientsThatAcceptGzip(t *testing.T) {
	page := served(t)["/"]
	plain, want := get(t, page, "GET")
	zipped, body := get(t, page, "GET", "Accept-Encoding", "br, gzip;q=0.5")
	if zipped.Header.Get("Content-Encoding") != "gzip" || zipped.ContentLength != int64(len(body)) || len(body) >= len(want) {
		t.Errorf("%d bytes with %v, want fewer than %d in gzip, and the length told", len(body), zipped.Header, len(want))
	}
	z, err := gzip.NewReader(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(z); err != nil || string(got) != want {
		t.Errorf("it holds %d bytes, error %v, want the page", len(got), err)
	}
	if a, b := plain.Header.Get("ETag"), zipped.Header.Get("ETag"); a == b || a == "" || b == "" {
		t.Errorf("ETags %s and %s, want two", a, b)
	}
	for _, r := range []*http.Response{plain, zipped} {
		if got := r.Header.Get("Vary"); got != "Accept-Encoding" {
			t.Errorf("Vary = %q, want Accept-Encoding", got)
		}
	}
	for _, refused := range []string{"", "br", "gzip;q=0", "gzip; q=0.0", "xgzip"} {
		if r, body := get(t, page, "GET", "Accept-Encoding", refused); r.Header.Get("Content-Encoding") != "" || body != want {
			t.Errorf("Accept-Encoding %q: %q, want the page as it is", refused, r.Header.Get("Content-Encoding"))
		}
	}
}

func TestEveryModuleOfTheSDKNamesItsSourceMap(t *testing.T) {
	handlers := served(t)
	for _, path := range []string{"/sdk.js", "/stream.js", "/page.js", "/wait.js", "/websocket.js", "/sdk/files.js", "/sdk/receive.js", "/sdk/worker.js"} {
		r, _ := get(t, handlers[path], "GET")
		if at := r.Header.Get("SourceMap"); at != path+".map" || handlers[at] == nil {
			t.Errorf("SourceMap of %s = %q, want a path of its own that is served", path, at)
		}
	}
}

// A bundle from npm is large, so only the pages that need it load it. Hono, and for the playground the MCP
// SDK, are not modules of a page: its worker gets them as text.
func TestPagesThatLoadBundles(t *testing.T) {
	want := map[string][]string{
		"/vendor/client-zip.js": {"/files"},
		"/vendor/codemirror.js": {"/mock", "/playground"},
		"/vendor/xml.js":        {"/websub"},
		"/vendor/mcp.js":        {"/ask", "/mcp"},
	}
	handlers, got := served(t), map[string][]string{}
	for _, page := range slices.Sorted(maps.Keys(handlers)) {
		if strings.Contains(path.Base(page), ".") {
			continue
		}
		seen := map[string]bool{}
		var follow func(at string)
		follow = func(at string) {
			if seen[at] || handlers[at] == nil {
				return
			}
			seen[at] = true
			if strings.HasPrefix(at, "/vendor/") {
				got[at] = append(got[at], page)
				return
			}
			_, source := get(t, handlers[at], "GET")
			for _, m := range imported.FindAllStringSubmatch(source, -1) {
				follow(path.Join("/", m[1]))
			}
			for _, m := range loaded.FindAllStringSubmatch(source, -1) {
				follow(m[2])
			}
		}
		follow(page)
	}
	for at := range handlers {
		if strings.HasPrefix(at, "/vendor/") && strings.HasSuffix(at, ".js") && !slices.Equal(got[at], want[at]) {
			t.Errorf("%s is loaded by %v, want %v", at, got[at], want[at])
		}
	}
}

// A page must work where only the gateway can be reached, and must not reveal to anyone else that it was
// opened.
func TestNothingIsLoadedFromAnotherHost(t *testing.T) {
	// Addresses in attributes, imports and style sheets; the name of SVG's namespace is not fetched.
	loads := regexp.MustCompile(`(?:(?:src|href|action|poster|data|srcset)\s*=\s*["']?|import\s*\(?\s*["']|from\s+["']|url\(\s*["']?|fetch\(\s*["'])((?:[a-z]+:)?//[^"'\s)>]+)`)
	code := regexp.MustCompile(`(?s)<pre.*?</pre>`)
	if !loads.MatchString(`<img src="//elsewhere.example/x">`) || !loads.MatchString(`import { a } from 'https://elsewhere.example/a.js'`) {
		t.Fatal("the expression finds no foreign address")
	}
	for path, h := range served(t) {
		if strings.HasSuffix(path, ".map") || strings.HasSuffix(path, ".md") {
			continue
		}
		_, body := get(t, h, "GET")
		if strings.HasPrefix(path, "/guides") {
			body = code.ReplaceAllString(body, "") // shown, not run
		}
		if found := loads.FindStringSubmatch(body); found != nil {
			t.Errorf("%s loads %s", path, found[1])
		}
	}
}

func TestEveryAddressInAPageIsServed(t *testing.T) {
	handlers := served(t)
	gateway := map[string]bool{"/.well-known/reversehttp": true, "/metrics": true, "/readyz": true, "/healthz": true}
	local := regexp.MustCompile(`(?:src|href)="(/[^"]*)"|(?:from|import) '(\.?/[^']*)'|import\("\.(/[^"]*)"\)`)
	for path, h := range handlers {
		if strings.HasSuffix(path, ".map") {
			continue // It names sources, which it contains.
		}
		_, body := get(t, h, "GET")
		for _, m := range local.FindAllStringSubmatch(body, -1) {
			at, _, _ := strings.Cut(m[1]+strings.TrimPrefix(m[2], ".")+m[3], "#")
			if handlers[at] == nil && !gateway[at] {
				t.Errorf("%s names %s, which nobody serves", path, at)
			}
		}
	}
}

func TestPoliciesOfPages(t *testing.T) {
	handlers := served(t)
	runs := map[string]bool{"/playground": true, "/mock": true} // code of the user, in a worker
	types := map[string]string{"/hello": "reversehttp", "/ask": "bell", "/inbox": "bell"}
	for path := range handlers {
		if strings.Contains(path, ".") {
			continue
		}
		r, body := get(t, handlers[path], "GET")
		p := r.Header.Get("Content-Security-Policy")
		if !strings.Contains(p, "default-src 'none'") || strings.Contains(p, "unsafe") || strings.Contains(p, "*") {
			t.Errorf("%s: policy %q, want nothing by default and nothing unsafe", path, p)
		}
		name := cmp.Or(types[path], "'none'")
		for _, directive := range []string{"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'", "trusted-types " + name} {
			if want := !runs[path] || !strings.Contains(directive, "trusted-types"); want && !strings.Contains("; "+p+";", "; "+directive+";") {
				t.Errorf("%s: policy %q has no %s", path, p, directive)
			}
		}
		if got, want := strings.Contains(p, "connect-src 'self';"), path != "/oauth" && path != "/websub"; got != want {
			t.Errorf("%s: policy %q lets it ask its own origin only: %v, want %v", path, p, got, want)
		}
		if got, want := strings.Contains(p, "blob:"), runs[path] || path == "/hello"; got != want {
			t.Errorf("%s: policy %q allows workers of blobs: %v, want %v", path, p, got, want)
		}
		script, _, _ := strings.Cut(p[strings.Index(p, "script-src "):], ";")
		if got, want := strings.Contains(script, "'self'"), !runs[path]; got != want {
			t.Errorf("%s: policy %q allows every script of the origin: %v, want %v", path, p, got, want)
		}
		if got, want := strings.Contains(p, "'sha256-"), inline.MatchString(body); got != want {
			t.Errorf("%s: policy %q allows an inline script: %v, want %v", path, p, got, want)
		}
		if regexp.MustCompile(`\s(?:on[a-z]+|style)=["']`).MatchString(body) {
			t.Errorf("%s has an inline listener or style, which its policy forbids", path)
		}
	}
}

func TestThePlaygroundHasTheHashOfEachModuleThatItLoads(t *testing.T) {
	handlers := served(t)
	r, body := get(t, handlers["/playground"], "GET")
	p := r.Header.Get("Content-Security-Policy")
	var importMap struct{ Integrity map[string]string }
	if err := json.Unmarshal(inline.FindSubmatch([]byte(body))[1], &importMap); err != nil {
		t.Fatal(err)
	}
	for at, hash := range importMap.Integrity {
		_, source := get(t, handlers[at], "GET")
		if got := hashOf([]byte(source)); got != hash || !strings.Contains(p, "'"+hash+"'") {
			t.Errorf("%s is %s, and the page has %s; the policy is %q", at, got, hash, p)
		}
	}
	// Proxies bound the fields of an answer: nginx to 4 KiB by default.
	if got := len(p); got > 3650 {
		t.Errorf("the policy has %d bytes, want 3650 at most", got)
	}
	// Loaded with the page, imported by a module, and imported later.
	for _, at := range []string{"/playground.js", "/sdk.js", "/handler-runner.js", "/open-exchange.js", "/share.js"} {
		if importMap.Integrity[at] == "" {
			t.Errorf("the page has no hash of %s", at)
		}
	}
	for _, at := range []string{"/status.js", "/ask.js", "/handler-worker.js"} {
		if _, source := get(t, handlers[at], "GET"); strings.Contains(p, hashOf([]byte(source))) {
			t.Errorf("the page may load %s, which it does not need", at)
		}
	}
	if got, want := strings.Count(body, " integrity="), strings.Count(body, ".js\" integrity="); got == 0 || got != want {
		t.Errorf("%d elements with a hash, of which %d are scripts", got, want)
	}
}

func TestHelloIsTenLines(t *testing.T) {
	_, body := get(t, served(t)["/hello"], "GET")
	script := inline.FindStringSubmatch(body)
	if script == nil {
		t.Fatal("no inline script")
	}
	if got := strings.Count(strings.TrimSpace(script[1]), "\n") + 1; got != 10 {
		t.Errorf("%d lines, want the 10 that the page promises", got)
	}
}
