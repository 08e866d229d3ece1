package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"

	"reversehttp/schema"
	"reversehttp/server/gateway"
)

// status sends a request to what a command serves, and returns the status of the answer.
func (r *running) status(l *lender, method, content string, set func(*http.Request)) int {
	r.t.Helper()
	req, err := http.NewRequest(method, r.url, strings.NewReader(content))
	if err != nil {
		r.t.Fatal(err)
	}
	if set != nil {
		set(req)
	}
	resp, err := l.visitor(r.t).Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// secretIn writes a file that only its owner can read.
func secretIn(t *testing.T, secret string) string {
	t.Helper()
	name := t.TempDir() + "/secret"
	if err := os.WriteFile(name, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestFlagsSayWhomTheGatewayAdmits(t *testing.T) {
	t.Parallel()
	as := func(user, password string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(user, password) }
	}
	signed := func(r *http.Request) {
		h := hmac.New(sha256.New, []byte("a:secret"))
		h.Write([]byte("hello"))
		r.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(h.Sum(nil)))
	}
	for name, c := range map[string]struct {
		flags        []string
		good, bad    func(*http.Request)
		refused      int
		whoeverComes bool
	}{
		"a password":           {[]string{"--basic-auth", "ann:a,b:c", "--basic-auth", "bob:x"}, as("ann", "a,b:c"), as("ann", "a"), 401, false},
		"another's":            {[]string{"--basic-auth", "ann:a,b:c", "--basic-auth", "bob:x"}, as("bob", "x"), nil, 401, false},
		"a password in a file": {[]string{"--basic-auth-file", secretIn(t, "ann:pw")}, as("ann", "pw"), as("ann", "pw\n"), 401, false},
		"an address":           {[]string{"--allow-ip", "127.0.0.0/8,::1"}, nil, nil, 0, true},
		"other addresses":      {[]string{"--allow-ip", "203.0.113.0/24"}, nil, nil, 403, false},
		"a webhook":            {[]string{"--webhook", "github:a:secret"}, signed, nil, 401, false},
		"a webhook by a file":  {[]string{"--webhook-file", secretIn(t, "github:a:secret")}, signed, nil, 401, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := lend(t, hostShape, gateway.Options{})
			r := l.claim(t, append([]string{"inbox", "--ephemeral"}, c.flags...)...)
			if c.refused > 0 {
				if got := r.status(l, "POST", "hello", c.bad); got != c.refused {
					t.Errorf("refused with %d, want %d", got, c.refused)
				}
			}
			if c.good != nil || c.whoeverComes {
				if got := r.status(l, "POST", "hello", c.good); got != 200 {
					t.Errorf("let in with %d, want 200", got)
				}
			}
			if text := r.stderr.String(); text != "" {
				t.Errorf("stderr %q", text)
			}
		})
	}
}

func TestAShareLinkAdmitsAnybody(t *testing.T) {
	t.Parallel()
	l := lend(t, hostShape, gateway.Options{})
	r := l.claim(t, "echo", "--ephemeral", "--share", "2h")
	shared := r.next("shared")
	if got := r.status(l, "GET", "", nil); got != 403 {
		t.Errorf("without the link %d, want 403", got)
	}
	resp, err := l.visitor(t).Post(shared.text("url"), "application/x-www-form-urlencoded", nil)
	content(t, resp, err)
	if resp.StatusCode != 303 || len(resp.Cookies()) != 1 || shared["leaseMs"] != 7_200_000. {
		t.Fatalf("a click = %d %v of %v", resp.StatusCode, resp.Header, shared)
	}
	if got := r.status(l, "GET", "", func(q *http.Request) { q.AddCookie(resp.Cookies()[0]) }); got != 200 {
		t.Errorf("with the cookie %d, want 200", got)
	}
}

func TestAPolicyStaysUntilAFlagEndsIt(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	begin := func(flags ...string) *running {
		return l.claim(t, append([]string{"echo", "--label=kept"}, flags...)...)
	}
	end := func(r *running) {
		r.signals <- syscall.SIGINT
		r.exit()
	}
	r := begin("--basic-auth", "ann:pw")
	end(r)
	r = begin()
	if got, text := r.status(l, "GET", "", nil), r.stderr.String(); got != 401 || !strings.Contains(text, "--no-policy ends that") {
		t.Errorf("without flags %d, and said %q, want 401 and a note", got, text)
	}
	end(r)
	r = begin("--no-policy")
	if got := r.status(l, "GET", "", nil); got != 200 {
		t.Errorf("with --no-policy %d, want 200", got)
	}
	end(r)
}

func TestAGatewayWithoutPoliciesEndsTheCommand(t *testing.T) {
	t.Parallel()
	deleted := make(chan bool, 1)
	var s *httptest.Server
	s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Path == "/.well-known/reversehttp":
			_ = json.NewEncoder(w).Encode(schema.Discovery{Version: 1, Claims: s.URL + "/claims", Transports: []string{"json"}})
		case r.URL.Path == "/claims":
			w.WriteHeader(201)
			_ = json.NewEncoder(w).Encode(schema.ClaimAnswer{Label: "demo", URL: s.URL + "/", Token: "t0", Claim: s.URL + "/claim", Session: s.URL + "/session", Requests: s.URL + "/requests", Responses: s.URL + "/responses", Cursor: "0",
				Limits: schema.Limits{AnswerBytes: 1, Batch: 1}})
		case r.Method == "DELETE" && r.URL.Path == "/claim":
			deleted <- true
			w.WriteHeader(204)
		}
	}))
	t.Cleanup(s.Close)
	r := start(t, "echo", "--ephemeral", "--basic-auth=ann:secret-pw", "--gateway", s.URL)
	if code := r.exit(); code != exitUsage || !strings.Contains(r.stderr.String(), "older than policies") || strings.Contains(r.stderr.String(), "secret-pw") {
		t.Errorf("%d %s, want %d", code, r.stderr.String(), exitUsage)
	}
	select {
	case <-deleted:
	default:
		t.Error("the label was not given up")
	}
}

func TestFlagsOfGatesAreCheckedAndNoSecretIsRepeated(t *testing.T) {
	t.Parallel()
	for _, flags := range [][]string{
		{"--basic-auth", "secret-x"}, {"--basic-auth", ":secret-x"}, {"--basic-auth", "secret-x:"}, {"--webhook", "secret-x"}, {"--webhook", ":secret-x"}, {"--share=-1s"}, {"--share=1ms"},
		{"--no-policy", "--allow-ip=::1"}, {"--webhook=github:secret-x", "--webhook-file", secretIn(t, "github:secret-x")}, {"--basic-auth-file", "/nowhere"},
	} {
		r := start(t, append([]string{"echo"}, flags...)...)
		if code := r.exit(); code != exitUsage || strings.Contains(r.stderr.String(), "secret-x") {
			t.Errorf("%v = %d %s, want %d without the secret", flags, code, r.stderr.String(), exitUsage)
		}
	}
	l := lend(t, "http://localhost:{port}/at/{label}/", gateway.Options{})
	for _, flags := range [][]string{{"--basic-auth", "ann:secret-x"}, {"--share=2h"}, {"--allow-ip", "here"}, {"--webhook", "gitlab:secret-x"}} {
		r := start(t, append([]string{"echo", "--ephemeral", "--gateway", l.origin}, flags...)...)
		if code := r.exit(); code != exitUsage || strings.Contains(r.stderr.String(), "secret-x") || !strings.Contains(r.stderr.String(), "bad_member") {
			t.Errorf("%v in the path shape = %d %s, want %d, and what the gateway says", flags, code, r.stderr.String(), exitUsage)
		}
	}
}
