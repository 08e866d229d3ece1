package gateway

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"reversehttp/schema"
	"reversehttp/server/claim"
	"reversehttp/server/problem"
)

func TestAPageOfAnyOriginMayUseTheControlAPI(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		path := func(url string) string { return strings.TrimPrefix(url, w.origin()) }
		for _, c := range []struct{ method, target string }{
			{"POST", "/claims"}, {"GET", path(p.Claim)}, {"PATCH", path(p.Claim)}, {"DELETE", path(p.Claim)}, {"GET", path(p.Requests)},
			{"POST", path(p.Responses)}, {"DELETE", path(p.Session)},
		} {
			for _, origin := range []string{"null", "https://page.example", "file://"} {
				got := w.ask(requestTo("OPTIONS", "localhost:8080", c.target, "Origin: "+origin, "Access-Control-Request-Method: "+c.method,
					"Access-Control-Request-Headers: authorization,content-type,last-event-id,prefer"))
				h := got.Header
				if got.Status/100 != 2 || h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Max-Age") != "7200" ||
					!strings.Contains(h.Get("Access-Control-Allow-Methods"), c.method) || h.Get("Access-Control-Allow-Credentials") != "" {
					t.Errorf("preflight of %s %s from %s = %d %v", c.method, c.target, origin, got.Status, h)
				}
				for _, name := range []string{"authorization", "content-type", "last-event-id", "prefer"} {
					if !strings.Contains(strings.ToLower(h.Get("Access-Control-Allow-Headers")), name) {
						t.Errorf("preflight of %s %s does not allow %s: %v", c.method, c.target, name, h)
					}
				}
			}
		}
		got := w.send("POST", "/claims", "", nil, schema.Field{"Origin", "null"})
		if got.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("a page cannot read the answer: %v", got.Header)
		}
		for _, name := range []string{"location", "link", "retry-after", "preference-applied"} {
			if !strings.Contains(strings.ToLower(got.Header.Get("Access-Control-Expose-Headers")), name) {
				t.Errorf("%s is not exposed: %v", name, got.Header)
			}
		}
		if got := w.send("GET", p.Claim, "wrong", nil, schema.Field{"Origin", "null"}); got.Status != 403 || got.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("a page cannot read an error: %d %v", got.Status, got.Header)
		}
	})
}

func TestAClaimsContentHasNoCORSOfTheGateway(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		r, got := w.claim("demo").served(requestTo("OPTIONS", host, "/", "Origin: https://page.example", "Access-Control-Request-Method: PUT"),
			schema.Response{Status: 204, Headers: []schema.Field{{"Access-Control-Allow-Origin", "https://page.example"}}})
		if r.Method != "OPTIONS" || got.Header.Get("Access-Control-Allow-Origin") != "https://page.example" || got.Header.Get("Access-Control-Max-Age") != "" {
			t.Errorf("a preflight is not the handler's: %s %v", r.Method, got.Header)
		}
	})
}

// URLs appear in histories, logs and referrers.
func TestNoURLOfAClaimHoldsItsToken(t *testing.T) {
	inWorld(t, Options{InlineBytes: 1, FramedInlineBytes: 1}, func(w *world) {
		const token = "token-secret-that-is-long"
		got := w.send("POST", "/claims", "", map[string]any{"label": "demo", "token": token})
		p := &program{world: w, ClaimAnswer: into[schema.ClaimAnswer](t, got)}
		if got := w.send("GET", p.Claim, token, nil); got.Status != 200 || strings.Contains(string(got.Content), token) {
			t.Errorf("state = %d %s, want no token in it", got.Status, got.Content)
		}
		v := w.visit(requestTo("POST", host, "/", "Content-Length: 4") + "long")
		r := p.next()
		for _, url := range []string{p.Claim, p.Session, p.Requests, p.Responses, p.Link, p.Exchanges, p.URL, r.BodyURL, r.ResponseURL, r.URL, got.Header.Get("Location"), got.Header.Get("Link")} {
			if url == "" || strings.Contains(url, token) {
				t.Errorf("URL %q, want one without the token", url)
			}
		}
		p.respond(schema.Response{ID: r.ID, Status: 204})
		v.await()
	})
}

func TestKeysLetOnlyTheirHoldersClaim(t *testing.T) {
	inWorld(t, Options{Keys: []string{"k1", "k2", ""}}, func(w *world) {
		for _, c := range []struct {
			fields []schema.Field
			status int
			code   schema.Code
		}{
			{nil, 401, schema.CodeKeyNeeded}, {[]schema.Field{{"Authorization", "Basic azE6"}}, 401, schema.CodeKeyNeeded},
			{[]schema.Field{{"Authorization", "Bearer"}}, 401, schema.CodeKeyNeeded}, {[]schema.Field{{"Authorization", "Bearer "}}, 401, schema.CodeKeyNeeded},
			{[]schema.Field{{"Authorization", "Bearer k3"}}, 403, schema.CodeKeyWrong}, {[]schema.Field{{"Authorization", "Bearer k1 k2"}}, 403, schema.CodeKeyWrong},
			{[]schema.Field{{"Authorization", "Bearer k1"}}, 201, ""}, {[]schema.Field{{"Authorization", "bearer  k2"}}, 201, ""},
		} {
			got := w.send("POST", "/claims", "", nil, c.fields...)
			if got.Status != c.status || got.code() != c.code {
				t.Errorf("claim with %v = %d %s, want %d %s", c.fields, got.Status, got.code(), c.status, c.code)
			}
			if c.status == 401 && !strings.HasPrefix(got.Header.Get("WWW-Authenticate"), "Bearer") {
				t.Errorf("401 without a challenge: %v", got.Header)
			}
		}
		if d := into[schema.Discovery](t, w.send("GET", "/.well-known/reversehttp", "", nil)); !d.KeyNeeded {
			t.Error("discovery does not say that a key is needed")
		}
	})
}

func TestChangesOfAClaimHaveARate(t *testing.T) {
	inWorld(t, Options{ClaimsPerSecond: 0.1}, func(w *world) { // two at once, the claim among them
		p := w.claim("demo")
		for i, want := range []int{200, 429} {
			got := w.send("PATCH", p.Claim, "t0", schema.ClaimPatch{Lease: new(60)})
			if got.Status != want || want == 429 && (got.code() != schema.CodeRateLimited || got.Header.Get("Retry-After") == "") {
				t.Errorf("change %d = %d %s, want %d", i, got.Status, got.Content, want)
			}
		}
	})
}

func TestClaimingTooOftenIsRefused(t *testing.T) {
	inWorld(t, Options{ClaimsPerSecond: 0.1}, func(w *world) { // two at once
		for i, want := range []int{201, 201, 429, 429} {
			got := w.send("POST", "/claims", "", nil)
			if got.Status != want || want == 429 && (got.code() != schema.CodeRateLimited || got.Header.Get("Retry-After") == "") {
				t.Errorf("claim %d = %d %s, want %d", i, got.Status, got.Content, want)
			}
		}
		v := w.dial("198.51.100.1:1")
		v.send(requestTo("POST", "localhost:8080", "/claims", "Content-Length: 0"))
		if got := v.await(); got.Status != 201 {
			t.Errorf("another address = %d, want 201", got.Status)
		}
		time.Sleep(10 * time.Second)
		if got := w.send("POST", "/claims", "", nil); got.Status != 201 {
			t.Errorf("after a while = %d, want 201", got.Status)
		}
	})
}

func TestVisitingTooOftenIsRefused(t *testing.T) {
	inWorld(t, Options{VisitsPerSecond: 0.05}, func(w *world) { // one at once
		p := w.claim("demo")
		if _, got := p.served(get(host, "/"), schema.Response{Status: 204}); got.Status != 204 {
			t.Errorf("first visit = %d, want 204", got.Status)
		}
		got := w.ask(get(host, "/"))
		if got.Status != 429 || got.code() != schema.CodeRateLimited || got.handed() != "?0" || got.Header.Get("Retry-After") == "" {
			t.Errorf("second visit = %d %s %v, want 429 rate_limited", got.Status, got.Content, got.Header)
		}
	})
}

func TestBoundsOfClaimsAndSessionsAreQuotas(t *testing.T) {
	inWorld(t, Options{Limits: claim.Limits{Claims: 1, Sessions: 1}}, func(w *world) {
		w.claim("demo")
		for _, ask := range []schema.ClaimRequest{{Label: new("other")}, {Label: new("demo"), Token: new("t0")}} {
			got := w.send("POST", "/claims", "", ask)
			if got.Status != 429 || got.code() != schema.CodeQuotaExceeded || got.Header.Get("Retry-After") == "" {
				t.Errorf("claim of %s = %d %s, want 429 quota_exceeded", *ask.Label, got.Status, got.Content)
			}
		}
	})
}

func TestRoutesListTheirMethods(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		for _, c := range []struct {
			method, url, allow string
		}{
			{"GET", "/claims", "POST"}, {"PUT", p.Claim, "GET, HEAD, PATCH, DELETE"}, {"HEAD", p.Requests, "GET"}, {"POST", p.Requests, "GET"},
			{"GET", p.Responses, "POST"}, {"GET", p.Session, "DELETE"}, {"POST", "/.well-known/reversehttp", "GET, HEAD"}, {"TRACE", "/claims", "POST"},
		} {
			v := w.dial(visitorAddr)
			v.send(requestTo(c.method, "localhost:8080", strings.TrimPrefix(c.url, w.origin()), "Authorization: Bearer t0"))
			got := v.await()
			if allow := strings.Join(got.Header["Allow"], ", "); got.Status != 405 || allow != c.allow {
				t.Errorf("%s %s = %d, Allow %q; want 405 and %q", c.method, c.url, got.Status, allow, c.allow)
			}
		}
		for _, path := range []string{"/nothing", "/claims/", "/claims/demo/", "/claims/demo/sessions", "//claims", "/Claims"} {
			if got := w.send("GET", path, "t0", nil); got.Status != 404 || got.code() != schema.CodeNotFound {
				t.Errorf("GET %s = %d %s, want 404 not_found", path, got.Status, got.code())
			}
		}
		for _, url := range []string{p.Claim, p.Exchanges, p.Exchanges + "?format=har"} {
			get, head := w.send("GET", url, "t0", nil), w.send("HEAD", url, "t0", nil)
			if head.Status != 200 || len(head.Content) != 0 || head.Header.Get("Content-Type") != get.Header.Get("Content-Type") {
				t.Errorf("HEAD %s = %d %s %q, want what GET has, without content", url, head.Status, head.Header, head.Content)
			}
		}
		if got := w.send("HEAD", p.Exchanges, "t0", nil, schema.Field{"Accept", "text/event-stream"}); got.Status != 200 || got.Header.Get("Content-Type") != "text/event-stream" {
			t.Errorf("HEAD of a stream = %d %v, want 200 at once", got.Status, got.Header)
		}
		if got := w.send("HEAD", p.Claim, "", nil); got.Status != 401 {
			t.Errorf("HEAD without a token = %d, want 401", got.Status)
		}
		if rs := p.poll(schema.Field{"Prefer", "wait=0"}); rs != nil {
			t.Errorf("a poll got %v", rs)
		}
	})
}

func TestControlContentIsBounded(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		got := w.send("POST", "/claims", "", map[string]string{"x": strings.Repeat("a", 16<<10)})
		if got.Status != 413 || got.code() != schema.CodeContentTooLarge {
			t.Errorf("a large claim = %d %s, want 413", got.Status, got.code())
		}
	})
}

func TestJSONNeedsItsMediaType(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		for media, want := range map[string]int{
			"application/json": 201, "Application/JSON; charset=utf-8": 201, "text/plain": 415, "": 415, "application/x-www-form-urlencoded": 415,
			"application/merge-patch+json": 415,
		} {
			raw := requestTo("POST", "localhost:8080", "/claims", "Content-Type: "+media, "Content-Length: 2") + "{}"
			if got := w.ask(raw); got.Status != want {
				t.Errorf("claim as %q = %d, want %d", media, got.Status, want)
			}
		}
		p := w.claim("demo")
		for media, want := range map[string]int{"application/json": 200, "application/merge-patch+json": 415, "text/json": 415} {
			raw := requestTo("PATCH", "localhost:8080", strings.TrimPrefix(p.Claim, w.origin()), "Authorization: Bearer t0",
				"Content-Type: "+media, fmt.Sprint("Content-Length: ", 11)) + `{"lease":9}`
			if got := w.ask(raw); got.Status != want {
				t.Errorf("patch as %q = %d %s, want %d", media, got.Status, got.Content, want)
			}
		}
	})
}

func TestTheErrorRepeatsARefusedLabel(t *testing.T) {
	rule := problem.Detail(schema.CodeBadLabel)
	inWorld(t, Options{}, func(w *world) {
		for label, told := range map[string]string{
			"De_mo": `"De_mo"`, `a"b\n`: `"a\"b\\n"`, "a\nb\u202e": `"a\nb\u202e"`, "é": `"é"`, "": `""`,
			strings.Repeat("é", 65): `"` + strings.Repeat("é", 64) + `"…`, strings.Repeat("a", 3_000): `"` + strings.Repeat("a", 64) + `"…`,
		} {
			got := w.send("POST", "/claims", "", map[string]string{"label": label})
			if p := got.problem(); got.Status != 400 || p.Code != schema.CodeBadLabel || p.Detail != told+" cannot be a label. "+rule {
				t.Errorf("%.70q: %d %+v, want %s", label, got.Status, p, told)
			}
		}
	})
}

func TestTheErrorNamesADuplicateMember(t *testing.T) {
	long := strings.Repeat("x", 900)
	inWorld(t, Options{}, func(w *world) {
		for content, c := range map[string]struct{ pointer, says string }{
			`{"label":"a","label":"b"}`:                 {"/label", `the member "label" is there twice.`},
			`{"x":[{"a/b":1,"a/b":2}]}`:                 {"/x/0/a~1b", `the member "a/b" is there twice.`},
			`{"a\u001b":1,"a\u001b":2}`:                 {"/a\x1b", `the member "a\x1b" is there twice.`},
			`{"y":{"` + long + `":1,"` + long + `":2}}`: {"/y", `the member "` + long[:64] + `"… is there twice.`},
			`{"label":"a"`:                              {"", "the JSON is malformed."},
		} {
			got := w.ask(requestTo("POST", "localhost:8080", "/claims", "Content-Type: application/json", fmt.Sprint("Content-Length: ", len(content))) + content)
			p := got.problem()
			pointer := ""
			if p.Pointer != nil {
				pointer = *p.Pointer
			}
			if got.Status != 400 || p.Code != schema.CodeBadJSON || !strings.HasSuffix(p.Detail, c.says) || pointer != c.pointer {
				t.Errorf("%.70s: %d %.200s %.70s, want %s at %s", content, got.Status, p.Detail, pointer, c.says, c.pointer)
			}
		}
	})
}

func TestAPollNamesTheAppliedPreferences(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		start := time.Now()
		got := w.send("GET", p.Requests, "t0", nil, schema.Field{"Prefer", "wait=4"})
		if got.Status != 204 || got.Header.Get("Preference-Applied") != "wait=4" || time.Since(start) != 4*time.Second {
			t.Errorf("poll = %d %v after %s, want 204 and wait=4 after 4s", got.Status, got.Header, time.Since(start))
		}
		if got := w.send("GET", p.Requests, "t0", nil); got.Header.Get("Preference-Applied") != "" || got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("a poll without preference = %v", got.Header)
		}
	})
}
