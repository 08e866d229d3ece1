package gateway

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/schema"
	"reversehttp/server/claim"
	"reversehttp/server/terms"
)

// server/policy tests the verdicts of each kind of policy; here are their effects.

// policed claims demo with a policy.
func (w *world) policed(policy string) *program {
	w.t.Helper()
	got := w.send("POST", "/claims", "", json.RawMessage(`{"label":"demo","token":"t0","inspect":true,"policy":`+policy+`}`))
	if got.Status != 201 {
		w.t.Fatalf("claim with %s: %d %s", policy, got.Status, got.Content)
	}
	return &program{world: w, ClaimAnswer: into[schema.ClaimAnswer](w.t, got)}
}

func basicOf(user, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

const annOnly = `{"basic":[{"user":"ann","password":"secret-pw"}]}`

// listed returns the recordings of a claim, newest first.
func (p *program) listed() []schema.Recorded {
	p.t.Helper()
	return into[schema.Recordings](p.t, p.send("GET", p.Exchanges, p.Token, nil)).Exchanges
}

func TestARefusalIsWholeForVisitorsAndIsRecorded(t *testing.T) {
	for _, c := range []struct {
		policy, request string
		status          int
		code            schema.Code
		field, value    string
	}{
		{`{"ip":{"allow":["198.51.100.0/24"]}}`, get(host, "/"), 403, schema.CodeAddressRefused, "Allow", ""},
		{`{"methods":["POST","PUT"]}`, get(host, "/"), 405, schema.CodeMethodRefused, "Allow", "POST, PUT"},
		{`{"methods":["POST"]}`, strings.Replace(get(host, "/"), "GET", "HEAD", 1), 405, schema.CodeMethodRefused, "Allow", "POST"},
		{`{"paths":["/hook/"]}`, get(host, "/x"), 404, schema.CodePathRefused, "Allow", ""},
		{`{"paths":["/hook/"]}`, strings.Replace(get(host, "/x"), "GET /x", "GET http://"+host+"/x", 1), 404, schema.CodePathRefused, "Allow", ""},
		{annOnly, get(host, "/"), 401, schema.CodeCredentialsNeeded, "Www-Authenticate", `Basic realm="demo", charset="UTF-8"`},
		{annOnly, get(host, "/", basicOf("ann", "secret-guess")), 401, schema.CodeCredentialsWrong, "Www-Authenticate", `Basic realm="demo", charset="UTF-8"`},
		{annOnly, get(host, "/chat", upgradeFields...), 401, schema.CodeCredentialsNeeded, "Www-Authenticate", `Basic realm="demo", charset="UTF-8"`},
		{`{"bearer":[{"name":"ci","token":"secret-token-of-ci"}]}`, get(host, "/"), 401, schema.CodeCredentialsNeeded, "Www-Authenticate", `Bearer realm="demo"`},
		{`{"content":{"maxBytes":3}}`, "POST / HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 4\r\n\r\nfour", 413, schema.CodeContentTooLarge, "Allow", ""},
	} {
		inWorld(t, Options{}, func(w *world) {
			p := w.policed(c.policy)
			v := w.visit(c.request)
			got := v.await()
			head := strings.HasPrefix(c.request, "HEAD")
			if got.Status != c.status || !head && got.code() != c.code || got.Header.Get(c.field) != c.value || got.Header.Get("Cache-Control") != "no-store" || got.handed() != "?0" {
				t.Errorf("%s: %q = %d %v %s, want %d %s with %s: %s", c.policy, c.request, got.Status, got.Header, got.Content, c.status, c.code, c.field, c.value)
			}
			list := p.listed()
			if len(list) != 1 || list[0].Code != string(c.code) || list[0].Status != c.status || list[0].State != "ended" || list[0].Handed == nil || *list[0].Handed {
				t.Fatalf("%s: recorded %+v, want a refusal with %s", c.policy, list, c.code)
			}
			if whole := p.send("GET", p.Exchanges+"/"+list[0].ID, p.Token, nil); whole.Status != 200 || strings.Contains(string(whole.Content), "Authorization") {
				t.Errorf("%s: recorded %d %s, want no Authorization", c.policy, whole.Status, whole.Content)
			}
			if rs := p.poll(schema.Field{"Prefer", "wait=0"}); len(rs) > 0 {
				t.Errorf("%s: the program has %+v", c.policy, rs)
			}
			if !slices.Contains(w.counted("reversehttp_policy_refusals_total"), fmt.Sprintf(`reversehttp_policy_refusals_total{code="%s"} 1`, c.code)) {
				t.Errorf("%s: counted %v", c.policy, w.counted("reversehttp_policy_refusals_total"))
			}
		})
	}
}

func TestCheckedCredentialsReachNeitherProgramNorRecordings(t *testing.T) {
	test := func(w *world) {
		p := w.policed(`{"basic":[{"user":"ann","password":"secret-pw"}],"bearer":[{"name":"ci","token":"secret-token-of-ci"}]}`)
		for _, shown := range []string{basicOf("ann", "secret-pw"), "Authorization: Bearer secret-token-of-ci"} {
			name, value, _ := strings.Cut(shown, ": ")
			call := w.visitor("GET", "/x", nil, schema.Field{name, value}, schema.Field{"X-Mine", "y"})
			r := p.next()
			p.respond(schema.Response{ID: r.ID, Status: 200})
			if got := call.wait(w.t); got.Status != 200 {
				w.t.Errorf("%s = %d %s, want 200", shown, got.Status, got.Content)
			}
			mine := false
			for _, f := range r.Headers {
				mine = mine || f[0] == "X-Mine"
				if strings.EqualFold(f[0], "Authorization") {
					w.t.Errorf("the program has %v", f)
				}
			}
			if !mine {
				w.t.Errorf("the program has %v, want all other fields", r.Headers)
			}
			if whole := p.send("GET", p.Exchanges+"/"+r.ID, p.Token, nil); whole.Status != 200 || strings.Contains(string(whole.Content), "Authorization") {
				w.t.Errorf("recorded %d %s, want no Authorization", whole.Status, whole.Content)
			}
		}
		if got := w.visitor("GET", "/", nil, schema.Field{"Authorization", "Bearer secret-token-of-c"}).wait(w.t); got.code() != schema.CodeCredentialsWrong {
			w.t.Errorf("a wrong token = %d %s", got.Status, got.Content)
		}
	}
	t.Run("HTTP/1.1", func(t *testing.T) { inWorld(t, Options{}, test) })
	t.Run("HTTP/2", func(t *testing.T) { inHTTP2(t, Options{}, test) })
}

func TestAWebSocketPassesTheGate(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.policed(annOnly)
		v := w.dial(visitorAddr)
		v.write([]byte(get(host, "/chat", append(upgradeFields, basicOf("ann", "secret-pw"))...)))
		r := p.next()
		if r.Upgrade != "websocket" || slices.ContainsFunc(r.Headers, func(f schema.Field) bool { return f[0] == "Authorization" }) {
			t.Errorf("the program has %+v", r)
		}
		_ = v.conn.Close()
	})
}

func TestContentOfUnknownLengthIsCutAtTheBoundOfAPolicy(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.policed(`{"content":{"maxBytes":3}}`)
		v := w.dial(visitorAddr)
		v.send("POST / HTTP/1.1\r\nHost: " + host + "\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n0\r\n\r\n")
		r := p.next()
		if got := p.fetched(r); string(got.Content) == "four" && got.Err == nil {
			t.Errorf("the program has %d %q", got.Status, got.Content)
		}
		if got := v.await(); got.code() != schema.CodeContentTooLarge {
			t.Errorf("the visitor = %d %s, want content_too_large", got.Status, got.Content)
		}
	})
}

func TestAFieldOfAStrangerDoesNotChangeTheirAddress(t *testing.T) {
	const only = `{"ip":{"allow":["198.51.100.7"]}}`
	forged := get(host, "/", "X-Forwarded-For: 198.51.100.7", "Forwarded: for=198.51.100.7", "X-Real-IP: 198.51.100.7")
	inWorld(t, Options{}, func(w *world) {
		w.policed(only)
		if got := w.ask(forged); got.code() != schema.CodeAddressRefused {
			t.Errorf("a stranger's fields = %d %s, want address_refused", got.Status, got.Content)
		}
	})
	inWorld(t, Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix(visitorIP + "/32")}}, func(w *world) {
		p := w.policed(only)
		v := w.visit(forged)
		p.respond(schema.Response{ID: p.next().ID, Status: 200})
		if got := v.await(); got.Status != 200 {
			t.Errorf("a trusted proxy's = %d %s, want 200", got.Status, got.Content)
		}
		if got := w.ask(get(host, "/", "X-Forwarded-For: 198.51.100.7, 198.51.100.8")); got.code() != schema.CodeAddressRefused {
			t.Errorf("what a visitor told the proxy = %d %s, want address_refused", got.Status, got.Content)
		}
	})
}

func TestFloodsOfRefusalsLeaveRecordingsOfOthers(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.policed(`{"methods":["POST"]}`)
		v := w.visit("POST / HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 0\r\n\r\n")
		p.respond(schema.Response{ID: p.next().ID, Status: 200})
		if got := v.await(); got.Status != 200 {
			t.Fatalf("%d %s", got.Status, got.Content)
		}
		for range 300 {
			w.ask(get(host, "/"))
		}
		got := p.send("GET", p.Exchanges+"?status=200", p.Token, nil)
		if list := into[schema.Recordings](t, got).Exchanges; len(list) != 1 {
			t.Errorf("%d recordings of what the program answered, want 1", len(list))
		}
	})
}

func TestAPolicyOutlivesTheProcessWithoutPasswords(t *testing.T) {
	records := claim.NewMemoryRecords()
	var record claim.Record
	inWorld(t, Options{Records: records}, func(w *world) {
		w.policed(`{"basic":[{"user":"ann","password":"secret-pw"}],"bearer":[{"name":"ci","token":"secret-token-of-ci"}]}`)
		var err error
		if record, _, err = records.Get(t.Context(), "demo"); err != nil {
			t.Fatal(err)
		}
	})
	values, err := terms.Keep(record.Others)
	if err != nil || strings.Contains(string(values["policy"]), "secret-") {
		t.Fatalf("kept %s %v, want no password", values["policy"], err)
	}
	if record.Others, err = terms.Kept(values); err != nil {
		t.Fatal(err)
	}
	inWorld(t, Options{Kept: []claim.Kept{{Record: record, Revision: 1}}}, func(w *world) {
		if got := w.ask(get(host, "/")); got.code() != schema.CodeCredentialsNeeded {
			t.Errorf("without credentials = %d %s, want credentials_needed", got.Status, got.Content)
		}
		if got := w.ask(get(host, "/", basicOf("ann", "secret-pw"))); got.code() != schema.CodeNoHandler {
			t.Errorf("with the password = %d %s, want no_handler", got.Status, got.Content)
		}
	})
}

func TestAClaimKeepsItsPolicyWhenItsProgramComesBack(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.policed(annOnly)
		again := w.send("POST", "/claims", "", json.RawMessage(`{"label":"demo","token":"t0"}`))
		if again.Status != 200 || !strings.Contains(string(again.Content), `"policy":{"basic":[{"user":"ann"}]}`) || strings.Contains(string(again.Content), "secret-") {
			t.Errorf("again = %d %s", again.Status, again.Content)
		}
		for what, ask := range map[string]string{
			"a stranger": `{"label":"demo","token":"t1","policy":{"methods":["GET"]}}`, "one without a password": `{"label":"demo","token":"t0","policy":{"basic":[{"user":"eve"}]}}`,
		} {
			if got := w.send("POST", "/claims", "", json.RawMessage(ask)); got.Status < 400 {
				t.Errorf("%s = %d %s", what, got.Status, got.Content)
			}
		}
		if got := w.ask(get(host, "/")); got.code() != schema.CodeCredentialsNeeded {
			t.Errorf("a visitor = %d %s, want credentials_needed", got.Status, got.Content)
		}
	})
}

func TestARefusedClaimLeavesNoPolicy(t *testing.T) {
	inWorld(t, Options{Limits: claim.Limits{AddressClaims: 1}}, func(w *world) {
		w.policed(annOnly)
		synctest.Wait()
		if got := w.send("POST", "/claims", "", json.RawMessage(`{"label":"other","policy":{"methods":["GET"]}}`)); got.code() != schema.CodeQuotaExceeded {
			t.Errorf("one claim too many = %d %s", got.Status, got.Content)
		}
	})
}

// github returns a webhook of GitHub signed with the secret "s".
func github(id, content string, fields ...string) string {
	h := hmac.New(sha256.New, []byte("s"))
	h.Write([]byte(content))
	fields = append(fields, "X-GitHub-Delivery: "+id, "X-Hub-Signature-256: sha256="+hex.EncodeToString(h.Sum(nil)))
	return fmt.Sprintf("POST /hook HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n%s\r\n\r\n%s", host, len(content), strings.Join(fields, "\r\n"), content)
}

const fromGithub = `{"webhook":{"preset":"github","secret":"s"}}`

func TestAWebhookIsVerifiedBeforeItsProgramHasIt(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.policed(fromGithub)
		forged := w.ask(strings.Replace(github("1", "hello"), "\r\n\r\nhello", "\r\n\r\nhellO", 1))
		if forged.code() != schema.CodeSignatureWrong || forged.Header.Get("Www-Authenticate") == "" || forged.handed() != "?0" {
			t.Errorf("forged = %d %v %s", forged.Status, forged.Header, forged.Content)
		}
		if list := p.listed(); len(list) != 1 || list[0].Code != "signature_wrong" || list[0].RequestBytes != 5 {
			t.Errorf("recorded %+v", list)
		}
		if rs := p.poll(schema.Field{"Prefer", "wait=0"}); len(rs) > 0 {
			t.Errorf("the program has %+v", rs)
		}
		v := w.visit(github("1", "hello"))
		r := p.next()
		if r.Body == nil || *r.Body != "hello" || r.Target != "/hook" {
			t.Errorf("the program has %+v", r)
		}
		p.respond(schema.Response{ID: r.ID, Status: 202, Body: new("thanks")})
		if got := v.await(); got.Status != 202 || string(got.Content) != "thanks" {
			t.Errorf("%d %s", got.Status, got.Content)
		}
	})
}

func TestARepeatedWebhookReachesNoProgramTwice(t *testing.T) {
	inWorld(t, Options{Times: claim.Times{Lease: time.Hour}}, func(w *world) {
		p := w.policed(fromGithub)
		for _, c := range []struct {
			what string
			ends func(v *visitor, r schema.Request)
			took bool
		}{
			{"an error", func(v *visitor, r schema.Request) { p.respond(schema.Response{ID: r.ID, Status: 500}); v.await() }, false},
			{"an abort", func(v *visitor, r schema.Request) {
				p.answer(schema.Abort{Type: schema.TypeAbort, ID: r.ID})
				v.await()
			}, false},
			{"a visitor who leaves", func(v *visitor, _ schema.Request) { _ = v.conn.Close(); synctest.Wait() }, false},
			{"an answer that is cut", func(v *visitor, r schema.Request) {
				p.respond(schema.Response{ID: r.ID, Status: 200, Body: new("a"), More: true})
				p.answer(schema.Abort{Type: schema.TypeAbort, ID: r.ID})
				<-v.done
			}, false},
			{"an answer in parts", func(v *visitor, r schema.Request) {
				p.respond(schema.Response{ID: r.ID, Status: 200, Body: new("a"), More: true})
				p.part(schema.Part{ID: r.ID, Seq: 1, Body: new("b")}, schema.ResultAccepted)
				v.await()
			}, true},
		} {
			v := w.visit(github("1", "hello"))
			r := p.next()
			if again := w.ask(github("1", "hello")); again.code() != schema.CodeWebhookRunning || again.Header.Get("Retry-After") != "1" {
				t.Errorf("before %s: the same = %d %v %s, want webhook_running", c.what, again.Status, again.Header, again.Content)
			}
			c.ends(v, r)
			synctest.Wait()
			if !c.took {
				continue // the next one must reach the program
			}
			if again := w.ask(github("1", "hello")); again.Status != 200 || len(again.Content) > 0 || again.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("after %s: the same = %d %v %s, want 200 without content", c.what, again.Status, again.Header, again.Content)
			}
			if rs := p.poll(schema.Field{"Prefer", "wait=0"}); len(rs) > 0 {
				t.Errorf("after %s the program has %+v", c.what, rs)
			}
		}
	})
}

func TestContentOfAWebhookIsInvitedAndBoundedByTheGateway(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.policed(fromGithub)
		raw := github("1", "hello", "Expect: 100-continue")
		v := w.dial(visitorAddr)
		head, content, _ := strings.Cut(raw, "\r\n\r\n")
		v.write([]byte(head + "\r\n\r\n"))
		if resp, err := http.ReadResponse(v.in, nil); err != nil || resp.StatusCode != 100 {
			t.Fatalf("%v %v, want 100 (Continue)", resp, err)
		}
		v.write([]byte(content))
		r := p.next()
		p.respond(schema.Response{ID: r.ID, Status: 200})
		if got := v.read("POST"); got.Status != 200 {
			t.Errorf("%d %s", got.Status, got.Content)
		}
		long := strings.Repeat("x", 1<<20)
		for what, raw := range map[string]string{
			"announced":     fmt.Sprintf("POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", host, len(long)+1),
			"not announced": fmt.Sprintf("POST / HTTP/1.1\r\nHost: %s\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%sx\r\n0\r\n\r\n", host, len(long)+1, long),
		} {
			if got := w.ask(raw); got.code() != schema.CodeContentTooLarge || got.handed() != "?0" {
				t.Errorf("%s content of 1 MiB and a byte = %d %s, want content_too_large", what, got.Status, got.Content)
			}
		}
		before := w.held()
		v = w.dial(visitorAddr)
		v.write([]byte(fmt.Sprintf("POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s", host, len(long), long[:len(long)/2])))
		synctest.Wait()
		if held := w.held() - before; held < len(long)/2 {
			t.Errorf("held %d bytes while half a MiB was, want them all to count", held)
		}
		_ = v.conn.Close()
	})
}

func TestVisitorsGetTheCannedAnswerWhileTheProgramIsAway(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.policed(`{"methods":["GET"],"offline":{"mode":"canned","status":503,"headers":[["Retry-After","600"],["Content-Type","text/plain"]],"body":"back soon"}}`)
		if got := p.send("DELETE", p.Session, p.Token, nil); got.Status != 204 {
			t.Fatalf("DELETE = %d %s", got.Status, got.Content)
		}
		time.Sleep(6 * time.Second) // visitors no longer wait for a program after that
		got := w.ask(get(host, "/"))
		if got.Status != 503 || string(got.Content) != "back soon" || got.Header.Get("Retry-After") != "600" || got.Header.Get("Cache-Control") != "no-store" || got.Header.Get("Proxy-Status") != "" {
			t.Errorf("%d %v %s", got.Status, got.Header, got.Content)
		}
		if got := w.ask(strings.Replace(get(host, "/"), "GET", "HEAD", 1)); got.code() != "" || got.Status != 405 {
			t.Errorf("HEAD = %d %s, want 405: a gate is before the answer", got.Status, got.Content)
		}
	})
}

func TestAShareLinkAdmitsAndItsCookieDoesNotReachTheProgram(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.policed(`{"share":true}`)
		if got := w.ask(get(host, "/")); got.code() != schema.CodeShareNeeded || got.Header.Get("Www-Authenticate") != "" {
			t.Errorf("without a link = %d %s, want share_needed", got.Status, got.Content)
		}
		made := p.send("POST", p.Shares, p.Token, json.RawMessage(`{"lease":60}`))
		share := into[schema.ShareAnswer](t, made)
		target, ok := strings.CutPrefix(share.URL, "http://"+host)
		if made.Status != 201 || !ok || !share.Once || share.Lease != 60 || made.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("POST = %d %v %s", made.Status, made.Header, made.Content)
		}
		look := w.ask(get(host, target, "Accept: text/html"))
		if look.Status != 200 || !strings.HasPrefix(look.Header.Get("Content-Type"), "text/html") || look.Header.Get("Set-Cookie") != "" {
			t.Errorf("a look = %d %v", look.Status, look.Header)
		}
		click := w.ask("POST " + target + " HTTP/1.1\r\nHost: " + host + "\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 0\r\n\r\n")
		cookie, _, _ := strings.Cut(click.Header.Get("Set-Cookie"), ";")
		if click.Status != 303 || click.Header.Get("Location") != "/" || cookie == "" {
			t.Fatalf("a click = %d %v", click.Status, click.Header)
		}
		v := w.visit(get(host, "/x", "Cookie: theme=dark; "+cookie))
		r := p.next()
		p.respond(schema.Response{ID: r.ID, Status: 200})
		if got := v.await(); got.Status != 200 {
			t.Errorf("with the cookie = %d %s", got.Status, got.Content)
		}
		whole := p.send("GET", p.Exchanges+"/"+r.ID, p.Token, nil)
		for what, text := range map[string]string{"the program": fmt.Sprint(r.Headers), "a recording": string(whole.Content)} {
			if !strings.Contains(text, "theme=dark") || strings.Contains(text, "reversehttp-share") {
				t.Errorf("%s has %s", what, text)
			}
		}
		for _, list := range p.listed() {
			if strings.Contains(list.Target, strings.TrimPrefix(target, "/.well-known/reversehttp/share/")) {
				t.Errorf("recorded %s", list.Target)
			}
		}
		if got := p.send("DELETE", p.Shares, p.Token, nil); got.Status != 204 {
			t.Errorf("DELETE = %d %s", got.Status, got.Content)
		}
		if got := w.ask(get(host, "/x", "Cookie: "+cookie)); got.code() != schema.CodeShareNeeded {
			t.Errorf("after DELETE = %d %s, want share_needed", got.Status, got.Content)
		}
		for as, code := range map[string]schema.Code{"": schema.CodeTokenNeeded, "another": schema.CodeTokenWrong} {
			if got := p.send("POST", p.Shares, as, nil); got.code() != code {
				t.Errorf("POST as %q = %d %s, want %s", as, got.Status, got.Content, code)
			}
		}
		viewer := viewerOf(p)
		if got := p.send("POST", p.Shares, viewer, nil); got.code() != schema.CodeTokenWrong {
			t.Errorf("POST by a viewer = %d %s, want token_wrong", got.Status, got.Content)
		}
		for body, code := range map[string]schema.Code{`{"lease":0}`: schema.CodeBadLease, `{"lease":86401}`: schema.CodeBadLease, `{"once":1}`: schema.CodeBadMember} {
			if got := p.send("POST", p.Shares, p.Token, json.RawMessage(body)); got.code() != code {
				t.Errorf("POST %s = %d %s, want %s", body, got.Status, got.Content, code)
			}
		}
	})
}

// viewerOf mints a viewer's token.
func viewerOf(p *program) string {
	var state struct{ ViewerToken string }
	_ = json.Unmarshal(p.send("PATCH", p.Claim, p.Token, schema.ClaimPatch{Viewer: new(true)}).Content, &state)
	return state.ViewerToken
}

// The pages of the claim itself may not have forms yet.
func TestThePageOfALinkHasItsFormAtAYoungClaim(t *testing.T) {
	inWorld(t, Options{Public: true}, func(w *world) {
		p := w.policed(`{"share":true}`)
		share := into[schema.ShareAnswer](t, p.send("POST", p.Shares, p.Token, nil))
		target := strings.TrimPrefix(share.URL, "http://"+host)
		look := w.ask(get(host, target))
		if policies := look.Header["Content-Security-Policy"]; look.Status != 200 || len(policies) != 1 || strings.Contains(policies[0], "sandbox") {
			t.Errorf("a look = %d %q, want a page that may post its form", look.Status, policies)
		}
		click := w.ask("POST " + target + " HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 0\r\n\r\n")
		cookie, _, _ := strings.Cut(click.Header.Get("Set-Cookie"), ";")
		v := w.visit(get(host, "/", "Cookie: "+cookie))
		p.respond(schema.Response{ID: p.next().ID, Status: 200})
		if got := v.await(); got.Status != 200 || !strings.Contains(got.Header.Get("Content-Security-Policy"), "sandbox") {
			t.Errorf("the program's page = %d %v, want it confined", got.Status, got.Header)
		}
	})
}

// The quota of the label allows no content after the first request.
func TestAWebhookBeyondAQuotaMayBeSentAgain(t *testing.T) {
	inWorld(t, Options{Times: claim.Times{Lease: 48 * time.Hour}, Quotas: Quotas{Label: limited(t, "requestBytesPerDay=1000")}}, func(w *world) {
		p := w.policed(fromGithub)
		for range 2 {
			if got := w.ask(github("1", strings.Repeat("x", 2000))); got.code() != schema.CodeQuotaExceeded {
				t.Errorf("beyond the quota = %d %s, want quota_exceeded", got.Status, got.Content)
			}
		}
		if rs := p.poll(schema.Field{"Prefer", "wait=0"}); len(rs) > 0 {
			t.Errorf("the program has %+v", rs)
		}
	})
}
