package gateway

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"reversehttp/schema"
	"reversehttp/server/family"
)

const evil = "https://evil.example"

// originsOf returns the origin check of a gateway with options.
func originsOf(t *testing.T, o Options) *origins {
	t.Helper()
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return g.origins
}

func TestWhichOriginsALocalGatewayAccepts(t *testing.T) {
	local := originsOf(t, Options{Loopback: true})
	listing := originsOf(t, Options{Loopback: true, AllowOrigins: []string{
		"https://App.Example", "http://192.0.2.1:3000", "http://[2001:db8::1]:80", "https://b.example:443", "null", "chrome-extension://abcdef", "file://",
	}})
	for _, c := range []struct {
		origin        string
		local, listed bool // whether each accepts it
	}{
		// This machine, under any name and port.
		{"http://localhost", true, true}, {"http://localhost:8080", true, true}, {"https://localhost:3000", true, true}, {"HTTP://LOCALHOST:1", true, true},
		{"http://localhost.:8080", true, true}, {"http://demo.localhost:8080", true, true}, {"http://a.b.localhost", true, true}, {"http://Demo.LocalHost.", true, true},
		{"http://my_app.localhost:80", true, true}, {"http://127.0.0.1:3000", true, true}, {"http://127.9.8.7", true, true}, {"http://[::1]:5173", true, true}, {"http://[::1]", true, true},
		{"http://[::ffff:127.0.0.1]:1", true, true}, {"http://[::ffff:7f00:1]", true, true},
		// Other machines, and names that resemble this one.
		{evil, false, false}, {"http://localhost.evil.example", false, false}, {"http://localhost.evil.example:8080", false, false}, {"http://evillocalhost", false, false},
		{"http://127.0.0.1.evil.example", false, false}, {"http://localhost@evil.example", false, false}, {"http://evil.example/.localhost", false, false}, {"http://evil.example?.localhost", false, false},
		{"http://evil.example#.localhost", false, false}, {`http://evil.example\.localhost`, false, false}, {"http://evil.example%2f.localhost", false, false}, {"http://evil.example:80.localhost", false, false},
		{"http://evil.example .localhost", false, false}, {"http://evil.example,http://localhost", false, false}, {"http://localhost http://evil.example", false, false}, {"http://localhost\thttp://evil.example", false, false},
		{"http://.localhost", false, false}, {"http://evil..localhost", false, false}, {"http://localhost..", false, false}, {"http://", false, false}, {"localhost", false, false}, {"//localhost", false, false},
		{"http://localhost:", false, false}, {"http://localhost:x", false, false}, {"http://localhost/", false, false}, {"http://u@localhost", false, false}, {"http://löcalhost", false, false},
		{"http://192.168.1.1", false, false}, {"http://0.0.0.0:8080", false, false}, {"http://[::]:8080", false, false}, {"http://[::1%25lo]", false, false}, {"http://[fe80::1]", false, false}, {"http://126.0.0.1", false, false},
		{"chrome-extension://localhost", false, false}, {"javascript://localhost", false, false},
		// Origins that the operator lists, and similar ones.
		{"https://app.example", false, true}, {"HTTPS://APP.EXAMPLE", false, true}, {"https://app.example:443", false, true}, {"http://app.example", false, false}, {"https://app.example:8443", false, false},
		{"https://app.example.", false, false}, {"https://www.app.example", false, false}, {"https://app.example.evil.example", false, false}, {"http://192.0.2.1:3000", false, true}, {"http://192.0.2.1", false, false},
		{"http://[2001:db8::1]", false, true}, {"https://b.example", false, true}, {"null", false, true}, {"NULL", false, true}, {"null.example", false, false}, {"chrome-extension://abcdef", false, true}, {"file://", false, true},
		{"file:///etc", false, false},
	} {
		for _, by := range []struct {
			origins *origins
			takes   bool
		}{{local, c.local}, {listing, c.listed}} {
			r := httptest.NewRequest("POST", "/claims", nil)
			r.Header["Origin"] = []string{c.origin}
			if _, refused := by.origins.refuses(r); refused == by.takes {
				t.Errorf("Origin %q with %v listed: refused %v, want %v", c.origin, by.origins.listed, refused, !by.takes)
			}
			// An accepted origin does not admit another one.
			r.Header["Origin"] = []string{c.origin, evil}
			if origin, refused := by.origins.refuses(r); !refused || origin == "" {
				t.Errorf("Origin %q and %s with %v listed: taken", c.origin, evil, by.origins.listed)
			}
		}
	}
}

func TestWithoutAnOriginSecFetchSiteDecides(t *testing.T) {
	local, public := originsOf(t, Options{Loopback: true}), originsOf(t, Options{PublicURL: "https://{label}.example.org/", Loopback: true})
	for _, c := range []struct {
		method, site, mode string
		refused            bool
	}{
		{"GET", "", "", false}, // a program, or an old browser
		{"POST", "", "", false},
		{"GET", "cross-site", "no-cors", true}, // an image, a script
		{"GET", "cross-site", "cors", true},
		{"GET", "cross-site", "websocket", true},
		{"GET", "cross-site", "", true},
		{"POST", "cross-site", "no-cors", true},
		{"GET", "cross-site", "navigate", false},  // a link
		{"HEAD", "cross-site", "navigate", false}, // a tool that follows a link
		{"POST", "cross-site", "navigate", true},  // a form, which names its origin
		{"DELETE", "cross-site", "navigate", true},
		{"POST", "same-origin", "cors", false}, // the console
		{"GET", "same-site", "no-cors", false}, // another port of this machine
		{"GET", "none", "navigate", false},     // typed
	} {
		r := httptest.NewRequest(c.method, "/claims", nil)
		r.Header["Origin"] = []string{""} // counts as none
		for name, value := range map[string]string{"Sec-Fetch-Site": c.site, "Sec-Fetch-Mode": c.mode} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		if origin, refused := local.refuses(r); refused != c.refused || origin != "" {
			t.Errorf("%+v: refused %v %q", c, refused, origin)
		}
		if _, refused := public.refuses(r); refused {
			t.Errorf("%+v: refused beyond local", c)
		}
	}
}

// ofAllDoors returns the options of a local gateway with pages and all doors.
func ofAllDoors() Options {
	return Options{Loopback: true, Pages: pages(), Doors: family.Doors(family.Options{Devices: []family.Device{{Label: "lamp", Token: "key-of-the-lamp"}}})}
}

// params matches the parameters in the pattern of a route.
var params = regexp.MustCompile(`\{[^}]+\}|\*`)

func TestEveryRouteRefusesPagesOfOtherOrigins(t *testing.T) {
	inWorld(t, ofAllDoors(), func(w *world) {
		var asked int
		ask := func(method, target string, fields ...string) *reply {
			asked++
			return w.ask(requestTo(method, "localhost:8080", target, fields...))
		}
		refuses := func(method, target string) {
			for _, fields := range [][]string{{"Origin: " + evil}, {"Origin: null"}, {"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"}, {"Origin: " + evil, "Connection: Upgrade", "Upgrade: ptth, PTTH/1.0, websocket"}} {
				got := ask(method, target, fields...)
				if got.Status != 403 || method != "HEAD" && got.code() != schema.CodeOriginRefused || got.Header.Get("Access-Control-Allow-Origin") != "*" {
					t.Errorf("%s %s with %q = %d %v %s, want 403 origin_refused that a page can read", method, target, fields, got.Status, got.Header, got.Content)
				}
			}
			for _, origin := range []string{evil, "null"} {
				got := ask("OPTIONS", target, "Origin: "+origin, "Access-Control-Request-Method: "+method, "Access-Control-Request-Private-Network: true")
				for name := range got.Header {
					if strings.HasPrefix(name, "Access-Control-") {
						t.Errorf("preflight of %s %s has %s: %s", method, target, name, got.Header.Get(name))
					}
				}
				if got.Status != 403 || got.code() != schema.CodeOriginRefused {
					t.Errorf("preflight of %s %s = %d %s, want 403 origin_refused", method, target, got.Status, got.Content)
				}
			}
		}
		err := chi.Walk(w.gateway.control.(chi.Routes), func(method, pattern string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
			target := params.ReplaceAllString(pattern, "x")
			if pages()[pattern] != nil {
				if got := ask(method, target, "Origin: "+evil); got.Status != 200 {
					t.Errorf("%s %s = %d, want the page, which is for all", method, target, got.Status)
				}
				if got := ask("POST", target, "Origin: "+evil); got.Status != 403 {
					t.Errorf("POST %s = %d, want 403", target, got.Status)
				}
			} else if method != "CONNECT" && method != "TRACE" && method != "OPTIONS" {
				refuses(method, target)
			}
			return nil
		})
		if err != nil || asked < 200 {
			t.Errorf("%d requests, %v", asked, err)
		}
		for _, target := range []string{"/key-of-the-lamp", "/nothing", "/claims/", "//claims"} { // for which there is no route
			refuses("POST", target)
		}
		if n := w.gateway.registry.Stats(); n.Claims != 0 || n.Sessions != 0 {
			t.Errorf("a page of another origin claimed: %+v", n)
		}
	})
}

func TestARefusalNamesTheOriginAndTheFlag(t *testing.T) {
	inWorld(t, Options{Loopback: true}, func(w *world) {
		long := "https://" + strings.Repeat("a", 300) + ".example"
		for _, c := range []struct {
			field string
			says  []string
		}{
			{"Origin: https://a.example:8443", []string{"https://a.example:8443", "--allow-origin https://a.example:8443"}},
			{"Origin: null", []string{"null", "--allow-origin null", "any web page"}},
			{"Origin: a\"b <script>", []string{`"a\"b <script>"`, "--allow-origin ORIGIN"}},
			{"Origin: " + long, []string{long[:64] + `"…`, "--allow-origin ORIGIN"}},
			{"Sec-Fetch-Site: cross-site", []string{"--allow-origin ORIGIN"}},
		} {
			got := w.ask(requestTo("POST", "localhost:8080", "/claims", c.field)).problem()
			for _, says := range c.says {
				if !strings.Contains(got.Detail, says) {
					t.Errorf("%s: %q, want that it says %q", c.field, got.Detail, says)
				}
			}
		}
	})
}

func TestBeyondLocalEveryOriginIsAnswered(t *testing.T) {
	for _, o := range []Options{
		{}, {PublicURL: "https://{label}.example.org/", Loopback: true}, {PublicURL: "https://{label}.example.org/"}, {PublicURL: "https://example.org/at/{label}/", Loopback: true, AllowOrigins: []string{"https://a.example"}},
	} {
		inWorld(t, o, func(w *world) {
			host := strings.TrimSuffix(strings.TrimPrefix(w.gateway.Public().Control, w.gateway.Public().Scheme+"://"), "/")
			for _, fields := range [][]string{{"Origin: " + evil}, {"Origin: null"}, {"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"}} {
				if got := w.ask(requestTo("POST", host, "/claims", fields...)); got.Status != 201 {
					t.Errorf("%+v with %q = %d %s, want 201", o, fields, got.Status, got.Content)
				}
			}
			got := w.ask(requestTo("OPTIONS", host, "/claims", "Origin: "+evil, "Access-Control-Request-Method: POST", "Access-Control-Request-Private-Network: true"))
			if got.Status != 204 || got.Header.Get("Access-Control-Allow-Origin") != "*" || got.Header.Get("Access-Control-Allow-Private-Network") != "" {
				t.Errorf("preflight = %d %v, want 204 for all, and no word of private networks", got.Status, got.Header)
			}
		})
	}
}

func TestVisitorsComeFromEveryOrigin(t *testing.T) {
	for _, publicURL := range []string{"http://{label}.localhost:8080/", "http://localhost:8080/at/{label}/"} {
		inWorld(t, Options{PublicURL: publicURL, Loopback: true}, func(w *world) {
			p := w.claim("demo")
			target := "/" + w.gateway.Public().PathPrefix
			if target != "/" {
				target = w.gateway.Public().PathPrefix + "demo/"
			}
			for _, fields := range [][]string{{"Origin: " + evil}, {"Origin: null"}, {"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"}} {
				_, got := p.served(requestTo("POST", w.gateway.Public().Authority("demo"), target, fields...), schema.Response{Status: 204})
				if got.Status != 204 || got.Header.Get("Access-Control-Allow-Origin") != "" {
					t.Errorf("%s with %q = %d %v, want what the handler says", publicURL, fields, got.Status, got.Header)
				}
			}
		})
	}
}

func TestTheFirstRefusalIsLogged(t *testing.T) {
	var log bytes.Buffer
	inWorld(t, Options{Loopback: true, Log: slog.New(slog.NewTextHandler(&log, nil))}, func(w *world) {
		for range 3 {
			w.ask(requestTo("POST", "localhost:8080", "/claims", "Origin: "+evil))
		}
	})
	if n := strings.Count(log.String(), "--allow-origin "+evil); n != 1 {
		t.Errorf("log = %s, want one line that names the flag", log.String())
	}
}

func TestAnInvalidListOfOriginsIsRefused(t *testing.T) {
	for _, origin := range []string{"", "*", "app.example", "https://app.example/", "https://app.example/a", "https://*.example", "https://u@app.example", "https://äpp.example", "https://", "none"} {
		if _, err := New(Options{Loopback: true, AllowOrigins: []string{"https://b.example", origin}}); err == nil || !strings.HasPrefix(err.Error(), "--allow-origin="+origin+": give ") {
			t.Errorf("%q: %v, want an error that names the flag and says what to give", origin, err)
		}
	}
}
