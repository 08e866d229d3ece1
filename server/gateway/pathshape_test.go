package gateway

import (
	"net/http"
	"slices"
	"testing"

	"reversehttp/schema"
	"reversehttp/server/field"
)

// inPath runs a test in the path shape with the claim demo.
func inPath(t *testing.T, test func(p *program)) {
	t.Helper()
	inWorld(t, Options{PublicURL: pathShape}, func(w *world) { test(w.claim("demo")) })
}

// served requests a target and answers it once.
func (p *program) served(raw string, a schema.Response) (schema.Request, *reply) {
	p.t.Helper()
	v := p.visit(raw)
	r := p.next()
	a.ID = r.ID
	p.respond(a)
	return r, v.await()
}

func TestEveryResponseOfThePathShapeIsSandboxed(t *testing.T) {
	inPath(t, func(p *program) {
		for _, status := range []int{200, 204, 304, 404, 500} {
			_, got := p.served(get("localhost:8080", "/at/demo/"), schema.Response{Status: status, Headers: []schema.Field{
				{"content-security-policy", "default-src 'self'"}, {"Content-Security-Policy", "sandbox allow-same-origin"},
			}})
			want := []string{"default-src 'self'", "sandbox allow-same-origin", field.Sandbox}
			if policies := got.Header["Content-Security-Policy"]; !slices.Equal(policies, want) {
				t.Errorf("policies of %d = %q, want %q", status, policies, want)
			}
		}
	})
}

func TestFieldsThatActOnAnOriginAreDropped(t *testing.T) {
	// Fields that may affect hosts other than the claim's own are dropped in both shapes.
	beyond := []string{"Public-Key-Pins", "Public-Key-Pins-Report-Only", "Expect-CT", "Alt-Svc", "NEL", "Report-To", "Reporting-Endpoints"}
	names := append([]string{
		"Set-Cookie", "set-login", "Clear-Site-Data", "Strict-Transport-Security", "Service-Worker-Allowed", "Refresh",
		"Origin-Agent-Cluster", "Accept-CH", "Critical-CH", "Use-As-Dictionary",
		"WWW-Authenticate", "Secure-Session-Registration", "Secure-Session-Challenge", "Sec-Shared-Storage-Write", "Shared-Storage-Write",
	}, beyond...)
	a := schema.Response{Status: 200, Headers: []schema.Field{{"X-Kept", "1"}}}
	for _, name := range names {
		a.Headers = append(a.Headers, schema.Field{name, "max-age=1"})
	}
	inPath(t, func(p *program) {
		_, got := p.served(get("localhost:8080", "/at/demo/"), a)
		for _, name := range names {
			if got.Header.Get(name) != "" {
				t.Errorf("%s is relayed in the path shape", name)
			}
		}
		if got.Header.Get("X-Kept") != "1" {
			t.Error("an innocent field is dropped")
		}
	})
	inWorld(t, Options{}, func(w *world) {
		_, got := w.claim("demo").served(get(host, "/"), a)
		for _, name := range names {
			if slices.Contains(beyond, name) != (got.Header.Get(name) != "max-age=1") {
				t.Errorf("%s = %q where a claim has an origin of its own", name, got.Header[http.CanonicalHeaderKey(name)])
			}
		}
		if got.Header.Get("Content-Security-Policy") != "" {
			t.Error("a claim with an origin of its own is sandboxed")
		}
	})
}

func TestContentWithoutATypeIsNotSniffedInThePathShape(t *testing.T) {
	for _, c := range []struct {
		shape, host, target string
		fields              []schema.Field
		want                []string
	}{
		{pathShape, "localhost:8080", "/at/demo/", nil, []string{"nosniff"}},
		{pathShape, "localhost:8080", "/at/demo/", []schema.Field{{"X-Content-Type-Options", "sniff"}}, []string{"nosniff"}},
		{pathShape, "localhost:8080", "/at/demo/", []schema.Field{{"Content-Type", "text/plain"}}, nil},
		{"", host, "/", nil, nil},
	} {
		inWorld(t, Options{PublicURL: c.shape}, func(w *world) {
			_, got := w.claim("demo").served(get(c.host, c.target), schema.Response{Status: 200, Headers: c.fields, Body: new("alert(1)")})
			if got := got.Header["X-Content-Type-Options"]; !slices.Equal(got, c.want) {
				t.Errorf("%s with %v: X-Content-Type-Options = %q, want %q", c.target, c.fields, got, c.want)
			}
		})
	}
}

func TestCookiesStayOutOfThePathShape(t *testing.T) {
	inPath(t, func(p *program) {
		r, _ := p.served(get("localhost:8080", "/at/demo/", "Cookie: a=1", "cookie: b=2"), schema.Response{Status: 204})
		for _, f := range r.Headers {
			if f[0] == "Cookie" {
				t.Errorf("the handler got %q", f)
			}
		}
	})
}

func TestServiceWorkersAreRefusedInThePathShape(t *testing.T) {
	inPath(t, func(p *program) {
		got := p.ask(get("localhost:8080", "/at/demo/sw.js", "Service-Worker: script"))
		if got.Status != 403 || got.code() != schema.CodeServiceWorkerRefused || got.handed() != "?0" {
			t.Errorf("answer = %d %s, want 403 service_worker_refused", got.Status, got.Content)
		}
		if rs := p.poll(schema.Field{"Prefer", "wait=0"}); rs != nil {
			t.Errorf("the handler got %v", rs)
		}
	})
	inWorld(t, Options{}, func(w *world) {
		if _, got := w.claim("demo").served(get(host, "/sw.js", "Service-Worker: script"), schema.Response{Status: 200}); got.Status != 200 {
			t.Errorf("in an origin of its own = %d, want 200", got.Status)
		}
	})
}

func TestALabelWithoutSlashIsRedirected(t *testing.T) {
	inPath(t, func(p *program) {
		for target, want := range map[string]string{
			"/at/demo": "/at/demo/", "/at/demo?a=%zz&b;c": "/at/demo/?a=%zz&b;c", "/at/nobody": "/at/nobody/",
		} {
			for _, method := range []string{"GET", "POST"} {
				got := p.ask(requestTo(method, "localhost:8080", target))
				if got.Status != 308 || got.Header.Get("Location") != want {
					t.Errorf("%s %s = %d %q, want 308 %q", method, target, got.Status, got.Header.Get("Location"), want)
				}
			}
		}
		for _, target := range []string{"/at/", "/at/Demo", "/at/%64emo", "/at/a.b", "/at/-"} {
			if got := p.ask(get("localhost:8080", target)); got.Status != 404 || got.code() != schema.CodeNoClaim {
				t.Errorf("%s = %d %s, want 404 no_claim", target, got.Status, got.code())
			}
		}
		if rs := p.poll(schema.Field{"Prefer", "wait=0"}); rs != nil {
			t.Errorf("the handler got %v", rs)
		}
	})
}

func TestTargetsOfThePathShapeAreWhole(t *testing.T) {
	inPath(t, func(p *program) {
		r, _ := p.served(get("localhost:8080", "/at/demo//a/../b?at=/at/demo/"), schema.Response{Status: 204})
		if r.Target != "/at/demo//a/../b?at=/at/demo/" || r.URL != "http://localhost:8080"+r.Target || r.Base != "http://localhost:8080/at/demo/" {
			t.Errorf("target %q, url %q, base %q; want all of the target", r.Target, r.URL, r.Base)
		}
	})
}
