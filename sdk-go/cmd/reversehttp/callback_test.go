package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"reversehttp/schema"
	"reversehttp/server/gateway"
)

// callbackAt starts the command, and returns it with its URL.
func callbackAt(t *testing.T, l *lender, args ...string) *running {
	t.Helper()
	r := start(t, append([]string{"callback", "--json", "--gateway", l.origin}, args...)...)
	r.url = (<-r.events).text("url")
	return r
}

func (r *running) asked(l *lender, method, url string, want int) {
	r.t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	resp, err := l.visitor(r.t).Do(req)
	if got := content(r.t, resp, err); resp.StatusCode != want || want == 200 && !strings.Contains(got, "You can close this page") {
		r.t.Errorf("%s %s = %d %q, want %d", method, url, resp.StatusCode, got, want)
	}
}

func TestCallbackWaitsForTheRedirectAndPrintsWhatItSays(t *testing.T) {
	t.Parallel()
	for _, shape := range []string{hostShape, pathShape} {
		l := lend(t, shape, gateway.Options{})
		r := callbackAt(t, l, "--state", "s1", "--ephemeral")
		if !strings.HasSuffix(r.url, "/callback") {
			t.Errorf("url = %s, want one that ends with /callback", r.url)
		}
		// Previews, other states, and queries with neither or both change nothing.
		r.asked(l, "HEAD", r.url+"?code=a&state=s1", 404)
		r.asked(l, "POST", r.url+"?code=a&state=s1", 404)
		for _, query := range []string{"", "?state=s1", "?code=a", "?code=a&state=other", "?code=a&code=b&state=s1", "?code=a&error=b&state=s1", "?code=&state=s1", "/x?code=a&state=s1"} {
			r.asked(l, "GET", r.url+query, 404)
		}
		r.asked(l, "GET", strings.TrimSuffix(r.url, "callback"), 404)
		r.asked(l, "GET", r.url+"?code=a%26b&state=s1&iss=https%3A%2F%2Fid.example", 200)
		if e := <-r.events; e.text("code") != "a&b" || e.text("state") != "s1" || e.text("iss") != "https://id.example" || len(e) != 3 {
			t.Errorf("printed %v", e)
		}
		if code := r.exit(); code != exitDone || r.stderr.String() != "" {
			t.Errorf("exit code %d, stderr %q", code, r.stderr.String())
		}
	}
}

func TestCallbackEndsWithTheError(t *testing.T) {
	t.Parallel()
	l := lend(t, hostShape, gateway.Options{})
	r := callbackAt(t, l, "--ephemeral", "--path=/oauth/done")
	r.asked(l, "GET", r.url+"?error=access_denied&error_description=no%1b", 200)
	if e := <-r.events; e.text("error") != "access_denied" || e.text("code") != "" {
		t.Errorf("printed %v", e)
	}
	if code := r.exit(); code != exitFailed || strings.Contains(r.stderr.String(), "\x1b") || !strings.Contains(r.stderr.String(), "access_denied") {
		t.Errorf("error: exit code %d, stderr %q", code, r.stderr.String())
	}

	r = callbackAt(t, l, "--ephemeral", "--wait=1ms")
	if code := r.exit(); code != 3 || !strings.Contains(r.stderr.String(), "--wait") {
		t.Errorf("too late: exit code %d, stderr %q", code, r.stderr.String())
	}

	r = callbackAt(t, l, "--ephemeral")
	r.signals <- syscall.SIGINT
	if code := r.exit(); code != exitCut {
		t.Errorf("a signal: exit code %d, stderr %q", code, r.stderr.String())
	}

	for _, wrong := range []string{"--path=callback", "--path=/a?b", "--wait=0s"} {
		if code := start(t, "callback", "--gateway", l.origin, wrong).exit(); code != exitUsage {
			t.Errorf("%s: exit code %d, want 2", wrong, code)
		}
	}
}

// Without --json only the parameters of the redirect go to standard output, for scripts; the URL goes to
// standard error, for people.
func TestCallbackPrintsItsURLOnStandardError(t *testing.T) {
	t.Parallel()
	l := lend(t, hostShape, gateway.Options{})
	r := start(t, "callback", "--gateway", l.origin, "--label=returns", "--ephemeral")
	url := "http://returns.localhost:" + strings.SplitAfterN(l.origin, ":", 3)[2] + "/callback"
	for deadline := time.Now().Add(patience); !strings.Contains(r.stderr.String(), url); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("stderr %q, want %s", r.stderr.String(), url)
		}
	}
	r.asked(l, "GET", url+"?code=c1", 200)
	if e := <-r.events; e.text("code") != "c1" || len(e) != 1 {
		t.Errorf("printed %v", e)
	}
	if code := r.exit(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

// The URL is the gateway's, and what the redirect says is that of any visitor who knows the URL.
func TestCallbackEscapesControlCharacters(t *testing.T) {
	t.Parallel()
	var s *httptest.Server
	s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/.well-known/reversehttp":
			_ = json.NewEncoder(w).Encode(schema.Discovery{Version: 1, Claims: s.URL + "/claims", Transports: []string{"json"}})
		case "/claims":
			w.WriteHeader(201)
			_ = json.NewEncoder(w).Encode(schema.ClaimAnswer{Label: "demo", URL: s.URL + "/" + hostile + "/", Token: "t0", Claim: s.URL + "/claim", Session: s.URL + "/session", Requests: s.URL + "/requests", Responses: s.URL + "/responses", Cursor: "0",
				Limits: schema.Limits{AnswerBytes: 1, Batch: 1}})
		}
	}))
	t.Cleanup(s.Close)
	r := start(t, "callback", "--ephemeral", "--wait=1ms", "--gateway", s.URL)
	if code := r.exit(); code != exitLate || !strings.Contains(r.stderr.String(), "no redirect came to") {
		t.Errorf("exit code %d, stderr %q", code, r.stderr.String())
	}
	inertText(t, r.stderr.String())

	var out strings.Builder
	if err := print(&out, outcomeOf(url.Values{"code": {hostile}})); err != nil {
		t.Fatal(err)
	}
	inertText(t, out.String())
	var got outcome
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil || got.Code != hostile {
		t.Errorf("printed %q (%v), want the code as it came", out.String(), err)
	}
}
