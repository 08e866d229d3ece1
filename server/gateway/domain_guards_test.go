package gateway

import (
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"reversehttp/schema"
	"reversehttp/server/audit"
)

// ownHost is a domain that the operator assigns to the label demo.
const ownHost = "hooks.example.org:8080"

// atOwnHost runs a test in both shapes, with a stranger's claim that ownHost leads to.
func atOwnHost(t *testing.T, o Options, test func(p *program)) {
	t.Helper()
	for _, shape := range []string{"http://{label}.localhost:8080/", pathShape} {
		o.PublicURL, o.Domains = shape, map[string]string{"hooks.example.org": "demo"}
		inWorld(t, o, func(w *world) {
			p := w.stranger("demo")
			if got := w.send("PATCH", p.Claim, p.Token, map[string]string{"domain": "hooks.example.org"}); got.Status != 200 {
				t.Fatalf("PATCH = %d %s", got.Status, got.Content)
			}
			test(p)
		})
	}
}

func TestAWarningAtADomainIsForThatDomain(t *testing.T) {
	atOwnHost(t, Options{Public: true}, func(p *program) {
		w := p.world
		got := w.ask(get(ownHost, "/a?b", navigation...))
		page := string(got.Content)
		if got.Status != 403 || !strings.Contains(page, "<strong>"+ownHost+"</strong>") || !strings.Contains(page, url.QueryEscape("http://"+ownHost+"/")) {
			t.Fatalf("the first page = %d %s, want a warning for the domain", got.Status, page)
		}
		action, fields := form(t, page)
		done := w.pressed(ownHost, action, fields)
		if done.Status != 303 || done.Header.Get("Location") != "/a?b" || !strings.Contains(done.Header.Get("Set-Cookie"), "; Path=/;") {
			t.Fatalf("the form = %d %v, want that it leads back, with a cookie", done.Status, done.Header)
		}
		if _, again := p.served(get(ownHost, "/a", with(navigation, "Cookie: "+cookieOf(done))...), schema.Response{Status: 200}); again.Status != 200 {
			t.Errorf("the page after it = %d, want 200", again.Status)
		}
	})
}

func TestAbuseAtADomainIsReported(t *testing.T) {
	atOwnHost(t, Options{Public: true}, func(p *program) {
		path := filepath.Join(t.TempDir(), "abuse.jsonl")
		log, err := audit.Open(path, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		p.world.gateway.desk.Logs = []*audit.Log{log}
		content := url.Values{"url": {"http://" + ownHost + "/login"}, "text": {"asks for my password"}}.Encode()
		got := p.world.ask(requestTo("POST", "localhost:8080", "/abuse", "Content-Type: application/x-www-form-urlencoded", fmt.Sprint("Content-Length: ", len(content))) + content)
		log.Close()
		written, err := os.ReadFile(path)
		if got.Status != 200 || err != nil || !strings.Contains(string(written), `"label":"demo"`) {
			t.Errorf("a report = %d, the log has %s %v", got.Status, written, err)
		}
	})
}

func TestDataOfADomainIsNotClearedForANewOwnerOfTheLabel(t *testing.T) {
	atOwnHost(t, Options{}, func(p *program) {
		w := p.world
		w.send("DELETE", p.Claim, p.Token, nil)
		next := w.claimWith("demo", longToken)
		if got := w.send("PATCH", next.Claim, next.Token, map[string]string{"domain": "hooks.example.org"}); got.Status != 200 {
			t.Fatalf("PATCH = %d %s", got.Status, got.Content)
		}
		asked, got := next.served(get(ownHost, "/", with(navigation, "Cookie: own=1")...), schema.Response{Status: 200})
		if got.Status != 200 || got.Header.Get("Clear-Site-Data") != "" || got.Header.Get("Set-Cookie") != "" {
			t.Errorf("a navigation = %d %v, want that nothing is cleared", got.Status, got.Header)
		}
		if cookies := values(asked, "Cookie"); len(cookies) != 1 || cookies[0] != "own=1" {
			t.Errorf("the program has cookies %q, want those of its domain", cookies)
		}
	})
}
