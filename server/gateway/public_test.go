package gateway

import (
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"reversehttp/schema"
	"reversehttp/server/audit"
	"reversehttp/server/claim"
)

// navigation are the fields of a browser that loads a page for a user.
var navigation = []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: none", "Sec-Fetch-User: ?1", "Accept: text/html"}

// with returns fields with further ones.
func with(fields []string, more ...string) []string { return append(slices.Clone(fields), more...) }

// stranger claims a label without a key.
func (w *world) stranger(label string) *program {
	w.t.Helper()
	got := w.send("POST", "/claims", "", schema.ClaimRequest{Label: &label, Token: new("t0")})
	if got.Status/100 != 2 {
		w.t.Fatalf("claim = %d %s", got.Status, got.Content)
	}
	return &program{world: w, ClaimAnswer: into[schema.ClaimAnswer](w.t, got)}
}

// form returns the target and the hidden fields of a warning's form.
func form(t *testing.T, page string) (action string, fields url.Values) {
	t.Helper()
	m := regexp.MustCompile(`<form method="post" action="([^"]+)">`).FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("no form in %s", page)
	}
	fields = url.Values{}
	for _, f := range regexp.MustCompile(`<input type="hidden" name="(\w+)" value="([^"]*)">`).FindAllStringSubmatch(page, -1) {
		fields.Set(f[1], strings.ReplaceAll(f[2], "&amp;", "&"))
	}
	return m[1], fields
}

// pressed submits the form of a warning.
func (w *world) pressed(host, action string, fields url.Values, head ...string) *reply {
	content := fields.Encode()
	if head == nil {
		head = with(navigation, "Sec-Fetch-Site: same-origin", "Origin: http://"+host)
		head = slices.DeleteFunc(head, func(f string) bool { return f == "Sec-Fetch-Site: none" })
	}
	return w.ask(requestTo("POST", host, action, with(head, "Content-Type: application/x-www-form-urlencoded", fmt.Sprint("Content-Length: ", len(content)))...) + content)
}

// cookieOf returns the cookie that a reply sets, in the form of a request.
func cookieOf(r *reply) string {
	pair, _, _ := strings.Cut(r.Header.Get("Set-Cookie"), ";")
	return pair
}

func TestABrowserIsWarnedOfAStrangersPageOnceASession(t *testing.T) {
	for shape, hosts := range map[string][2]string{"http://{label}.localhost:8080/": {host, ""}, "http://localhost:8080/at/{label}/": {"localhost:8080", "/at/demo"}} {
		inWorld(t, Options{Public: true, PublicURL: shape}, func(w *world) {
			p := w.stranger("demo")
			at, base := hosts[0], hosts[1]
			got := w.ask(get(at, base+"/a?b=c&d=%22", navigation...))
			page := string(got.Content)
			if got.Status != 403 || got.handed() != "?0" || !strings.Contains(page, "A stranger made this page") || got.Header.Get("Cache-Control") != "no-store" || got.Header.Get("Cross-Origin-Opener-Policy") != "same-origin" || !strings.Contains(got.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
				t.Fatalf("%s: the first page = %d %v %s, want a warning", shape, got.Status, got.Header, page)
			}
			action, fields := form(t, page)
			done := w.pressed(at, action, fields)
			set := done.Header.Get("Set-Cookie")
			if done.Status != 303 || done.Header.Get("Location") != base+"/a?b=c&d=%22" || !strings.Contains(set, "HttpOnly") || !strings.Contains(set, "; Path="+base+"/;") || strings.Contains(set, "Max-Age") || strings.Contains(set, "Expires") {
				t.Fatalf("%s: the form = %d %v, want that it leads back, with a cookie for the session", shape, done.Status, done.Header)
			}
			for _, more := range []string{"Cookie: " + cookieOf(done), "Cookie: a=1; " + cookieOf(done) + "; b=2"} {
				r, again := p.served(get(at, base+"/a", with(navigation, more)...), schema.Response{Status: 200, Body: new("page")})
				if again.Status != 200 {
					t.Errorf("%s: the page after it = %d, want 200", shape, again.Status)
				}
				for _, f := range r.Headers {
					if strings.Contains(f[1], "reversehttp-") || f[0] == "Cookie" && f[1] != "a=1; b=2" {
						t.Errorf("%s: the handler sees %q", shape, f)
					}
				}
			}
			w.stranger("other")
			if got := w.ask(get(strings.Replace(at, "demo", "other", 1), strings.Replace(base, "demo", "other", 1)+"/", with(navigation, "Cookie: "+cookieOf(done))...)); got.Status != 403 {
				t.Errorf("%s: the cookie of another claim lets in: %d", shape, got.Status)
			}
		})
	}
}

func TestOnlyNavigationsOfPeopleAreWarned(t *testing.T) {
	inWorld(t, Options{Public: true}, func(w *world) {
		p := w.stranger("demo")
		for _, fields := range [][]string{
			nil, {"Accept: text/html"}, {"Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"}, {"Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"}, {"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"},
			{"Sec-Fetch-Dest: document"}, {"Sec-Fetch-Mode: navigate"}, {"Accept: text/event-stream", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"},
		} {
			if _, got := p.served(get(host, "/", fields...), schema.Response{Status: 204}); got.Status != 204 {
				t.Errorf("%q = %d, want the handler's answer", fields, got.Status)
			}
		}
		for _, raw := range []string{
			requestTo("OPTIONS", host, "/", "Origin: http://a.example", "Access-Control-Request-Method: POST", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"),
			requestTo("POST", host, "/hook", "Content-Length: 2") + "{}", requestTo("POST", host, "/.well-known/reversehttp-visit/x", "Content-Length: 2") + "{}",
		} {
			if _, got := p.served(raw, schema.Response{Status: 204}); got.Status != 204 {
				t.Errorf("%q = %d, want the handler's answer", raw, got.Status)
			}
		}
		v, _, _, in := p.upgraded(schema.Response{}) // a WebSocket
		_ = v.conn.Close()
		_, _ = io.Copy(io.Discard, in.Body) // until the gateway has noticed
		// A form that another page sends is not forwarded, and the answer says so.
		got := w.ask(requestTo("POST", host, "/pay", with(navigation, "Content-Length: 3")...) + "a=b")
		if got.Status != 403 || !strings.Contains(string(got.Content), "was not forwarded") {
			t.Errorf("a form = %d %s", got.Status, got.Content)
		}
	})
}

func TestAPageCannotSubmitTheFormOfAWarning(t *testing.T) {
	inWorld(t, Options{Public: true}, func(w *world) {
		w.stranger("demo")
		w.stranger("evil")
		action, fields := form(t, string(w.ask(get(host, "/", navigation...)).Content))
		_, others := form(t, string(w.ask(get("evil.localhost:8080", "/", navigation...)).Content))
		own := []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: same-origin", "Origin: http://" + host}
		without := func(name string, more ...string) []string {
			return append(slices.DeleteFunc(slices.Clone(own), func(f string) bool { return strings.HasPrefix(f, name) }), more...)
		}
		for name, c := range map[string]struct {
			fields url.Values
			head   []string
		}{
			"by fetch": {fields, without("Sec-Fetch-Mode", "Sec-Fetch-Mode: cors")}, "in a frame": {fields, without("Sec-Fetch-Dest", "Sec-Fetch-Dest: iframe")}, "of another site": {fields, without("Sec-Fetch-Site", "Sec-Fetch-Site: cross-site")},
			"of another claim": {fields, without("Sec-Fetch-Site", "Sec-Fetch-Site: same-site")}, "with another origin": {fields, without("Origin", "Origin: http://evil.localhost:8080")}, "without an origin": {fields, without("Origin")}, "with the origin null": {fields, without("Origin", "Origin: null")},
			"with the mark of another claim": {others, own}, "without a mark": {url.Values{"to": {"/"}}, own}, "too long": {url.Values{"mark": fields["mark"], "to": {strings.Repeat("x", 70_000)}}, own},
		} {
			if got := w.pressed(host, action, c.fields, c.head...); got.Status != 403 || got.Header.Get("Set-Cookie") != "" {
				t.Errorf("%s: %d %v, want the warning again", name, got.Status, got.Header)
			}
		}
		for _, to := range []string{"//evil.example/", "https://evil.example/", `/\evil.example/`, "", "a", "/\r\nSet-Cookie: a=b", "/ü"} {
			got := w.pressed(host, action, url.Values{"mark": fields["mark"], "to": {to}})
			if got.Status != 303 || got.Header.Get("Location") != "/" || len(got.Header["Set-Cookie"]) != 1 {
				t.Errorf("back to %q: %d %v, want to the claim's own page", to, got.Status, got.Header)
			}
		}
		// The mark depends on the visitor's address, so a page cannot fetch one for its visitor.
		elsewhere := w.dial("198.51.100.7:1")
		elsewhere.send(get(host, "/", with(navigation, "Cookie: reversehttp-visited="+fields.Get("mark"))...))
		if got := elsewhere.await(); got.Status != 403 {
			t.Errorf("a mark that another address was given lets in: %d", got.Status)
		}
	})
}

func TestHandlersCannotSetCookiesOfTheGateway(t *testing.T) {
	inWorld(t, Options{Public: true}, func(w *world) {
		p := w.stranger("demo")
		cookies := []schema.Field{}
		for _, value := range []string{
			"reversehttp-visited=x", "__Host-reversehttp-visited=x; Secure; Path=/", "__Secure-Reversehttp-visited=x; Secure", "=reversehttp-visited=x", "reversehttp-visited", "mine=1; HttpOnly", "reversehttp=2", " reversehttp-visited =x",
		} {
			cookies = append(cookies, schema.Field{"Set-Cookie", strings.TrimSpace(value)})
		}
		_, got := p.served(get(host, "/"), schema.Response{Status: 200, Headers: cookies})
		if set := got.Header["Set-Cookie"]; !slices.Equal(set, []string{"mine=1; HttpOnly", "reversehttp=2"}) {
			t.Errorf("cookies: %q", set)
		}
	})
}

func TestPagesOfYoungClaimsHaveNoForms(t *testing.T) {
	for shape, at := range map[string][2]string{"http://{label}.localhost:8080/": {host, "/"}, "http://localhost:8080/at/{label}/": {"localhost:8080", "/at/demo/"}} {
		inWorld(t, Options{Public: true, PublicURL: shape, Times: claim.Times{Lease: 48 * time.Hour, Unpolled: 48 * time.Hour}}, func(w *world) {
			p := w.stranger("demo")
			policies := func() []string {
				_, got := p.served(get(at[0], at[1]), schema.Response{Status: 200, Headers: []schema.Field{{"Content-Security-Policy", "sandbox allow-forms allow-scripts"}, {"Content-Type", "text/html"}}})
				return got.Header["Content-Security-Policy"]
			}
			formless := func(all []string) bool {
				return slices.ContainsFunc(all, func(one string) bool {
					return strings.HasPrefix(one, "sandbox ") && !strings.Contains(one, "allow-forms")
				})
			}
			first := policies()
			if !formless(first) || first[0] != "sandbox allow-forms allow-scripts" {
				t.Errorf("%s: policies of a young claim: %q", shape, first)
			}
			time.Sleep(24 * time.Hour)
			if all := policies(); formless(all) {
				t.Errorf("%s: policies after a day: %q", shape, all)
			}
		})
	}
}

func TestHoldersOfKeysDoNotCountAsStrangers(t *testing.T) {
	inWorld(t, Options{Public: true, Keys: []string{"sesame"}}, func(w *world) {
		got := w.send("POST", "/claims", "sesame", schema.ClaimRequest{Label: new("paypal"), Token: new("t0")})
		if got.Status != 201 {
			t.Fatalf("claim = %d %s", got.Status, got.Content)
		}
		p := &program{world: w, ClaimAnswer: into[schema.ClaimAnswer](t, got)}
		_, page := p.served(get("paypal.localhost:8080", "/", navigation...), schema.Response{Status: 200})
		if page.Status != 200 || page.Header.Get("Content-Security-Policy") != "" {
			t.Errorf("its page = %d %v, want no warning and forms", page.Status, page.Header)
		}
	})
	inWorld(t, Options{}, func(w *world) { // not public
		p := w.stranger("paypal")
		if _, got := p.served(get("paypal.localhost:8080", "/", navigation...), schema.Response{Status: 200}); got.Status != 200 || got.Header.Get("Content-Security-Policy") != "" {
			t.Errorf("without --public = %d %v", got.Status, got.Header)
		}
		for _, target := range []string{"/abuse", "/.well-known/security.txt"} {
			if got := w.ask(get("localhost:8080", target)); got.Status != 404 {
				t.Errorf("%s without --public = %d, want 404", target, got.Status)
			}
		}
	})
}

func TestStrangersMayNotClaimNamesOfOthers(t *testing.T) {
	inWorld(t, Options{Public: true}, func(w *world) {
		for _, label := range []string{"paypa1-login", "my-g00gle"} {
			got := w.send("POST", "/claims", "", schema.ClaimRequest{Label: &label, Token: new("t0")})
			if got.code() != schema.CodeLabelReserved || !strings.Contains(got.problem().Detail, "looks like") {
				t.Errorf("claiming %s = %d %s, want label_reserved", label, got.Status, got.Content)
			}
		}
		if got := w.send("POST", "/claims", "", schema.ClaimRequest{Label: new("xn--pypal-4ve"), Token: new("t0")}); got.code() != schema.CodeBadLabel {
			t.Errorf("a label of another script = %d %s", got.Status, got.Content)
		}
		w.stranger("demo")
	})
}

func TestAbuseIsReported(t *testing.T) {
	path := filepath.Join(t.TempDir(), "abuse.jsonl")
	inWorld(t, Options{Public: true, SecurityContact: "mailto:security@example.com"}, func(w *world) {
		log, err := audit.Open(path, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		w.gateway.desk.Logs = []*audit.Log{nil, log}
		page := w.ask(get("localhost:8080", "/abuse?url=http://demo.localhost:8080/%22%3E%3Cscript%3E"))
		if page.Status != 200 || !strings.Contains(string(page.Content), `value="http://demo.localhost:8080/&#34;&gt;&lt;script&gt;"`) || !strings.Contains(page.Header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("the page = %d %v %s", page.Status, page.Header, page.Content)
		}
		report := func(at string, form url.Values, fields ...string) *reply {
			content := form.Encode()
			v := w.dial(at)
			v.send(requestTo("POST", "localhost:8080", "/abuse", with(fields, "Content-Type: application/x-www-form-urlencoded", fmt.Sprint("Content-Length: ", len(content)))...) + content)
			return v.await()
		}
		good := url.Values{"url": {"http://demo.localhost:8080/login"}, "text": {"asks for my password\n\"really\""}, "contact": {"ann@example.com"}}
		if got := report("192.0.2.1:1", good, "Sec-Fetch-Site: same-origin"); got.Status != 200 || !strings.Contains(string(got.Content), "Thank you") {
			t.Errorf("a report = %d %s", got.Status, got.Content)
		}
		for i, bad := range []url.Values{
			{}, {"url": {"http://demo.localhost:8080/"}}, {"url": {"http://elsewhere.example/"}, "text": {"x"}}, {"url": {"http://localhost:8080/"}, "text": {"x"}},
			{"url": {"http://$(reboot).localhost:8080/"}, "text": {"x"}}, {"url": {"javascript://demo.localhost:8080/%0aalert(1)"}, "text": {"x"}},
			{"url": {"http://demo.localhost:8080/"}, "text": {strings.Repeat("x", 5000)}}, {"url": {"http://demo.localhost:8080/"}, "text": {strings.Repeat("x", 20_000)}},
		} {
			if got := report(fmt.Sprint("192.0.2.", 10+i, ":1"), bad); got.Status != 400 || strings.Contains(string(got.Content), "Thank you") {
				t.Errorf("report %d = %d, want 400", i, got.Status)
			}
		}
		if got := report("192.0.2.30:1", good, "Sec-Fetch-Site: cross-site"); got.Status != 403 {
			t.Errorf("a report that another site has a browser send = %d, want 403", got.Status)
		}
		for i, want := range []int{200, 200, 429} {
			if got := report("192.0.2.40:1", good); got.Status != want {
				t.Errorf("report %d of an address = %d, want %d", i, got.Status, want)
			}
		}
		refused := 0
		for i := range 60 {
			if report(fmt.Sprint("198.51.100.", i, ":1"), good).Status == 429 {
				refused++
			}
		}
		if refused < 10 {
			t.Errorf("%d of many reports are refused, want a bound for all addresses", refused)
		}
		log.Close()
		security := w.ask(get("localhost:8080", "/.well-known/security.txt"))
		lines := strings.Split(string(security.Content), "\n")
		expires, err := time.Parse(time.RFC3339, strings.TrimPrefix(lines[1], "Expires: "))
		if security.Header.Get("Content-Type") != "text/plain; charset=utf-8" || lines[0] != "Contact: mailto:security@example.com" || err != nil || time.Until(expires) < 24*time.Hour || time.Until(expires) > 365*24*time.Hour || !strings.Contains(string(security.Content), "Canonical: http://localhost:8080/.well-known/security.txt") {
			t.Errorf("security.txt = %v %q %v", security.Header, security.Content, err)
		}
	})
	content, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(content), `"event":"abuse_reported","label":"demo","address":"192.0.2.1","url":"http://demo.localhost:8080/login","text":"asks for my password\n\"really\"","contact":"ann@example.com"`) {
		t.Errorf("the log has %s %v", content, err)
	}
	inWorld(t, Options{Public: true}, func(w *world) {
		if got := w.ask(get("localhost:8080", "/.well-known/security.txt")); !strings.HasPrefix(string(got.Content), "Contact: http://localhost:8080/abuse\n") {
			t.Errorf("security.txt without a contact = %s", got.Content)
		}
	})
}

func TestOverTLSTheCookieIsForOneHost(t *testing.T) {
	for shape, want := range map[string][2]string{
		"https://{label}.gateway.example/":    {"demo.gateway.example", "__Host-reversehttp-visited="},
		"https://gateway.example/at/{label}/": {"gateway.example", "__Secure-reversehttp-visited="},
	} {
		inWorld(t, Options{Public: true, PublicURL: shape}, func(w *world) {
			if got := w.ask(requestTo("POST", "gateway.example", "/claims", "Content-Type: application/json", "Content-Length: 29") + `{"label":"demo","token":"t0"}` + " "); got.Status != 201 {
				t.Fatalf("claim = %d %s", got.Status, got.Content)
			}
			base := "/"
			if strings.Contains(shape, "/at/") {
				base = "/at/demo/"
			}
			action, fields := form(t, string(w.ask(get(want[0], base, navigation...)).Content))
			got := w.pressed(want[0], action, fields, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: same-origin", "Origin: https://"+want[0])
			if set := got.Header.Get("Set-Cookie"); got.Status != 303 || !strings.HasPrefix(set, want[1]) || !strings.Contains(set, "; Secure") || !strings.Contains(set, "; Path="+base+";") {
				t.Errorf("%s: %d %q, want %s", shape, got.Status, set, want[1])
			}
		})
	}
}
