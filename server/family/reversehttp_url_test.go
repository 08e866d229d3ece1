package family

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"reversehttp/server/gateway"
)

func TestARegistrationIsAnsweredOnlyWithURLs(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		got := b.ask(post("/reversehttp", formMedia, "name=Demo&token=s3cret&lease=30"))
		got.is(t, 201, "")
		if got.ContentLength != 0 || strings.Contains(got.head, "Transfer-Encoding") {
			t.Errorf("head = %q, want no content", got.head)
		}
		if want := "\r\nLink: <http://localhost:8080" + got.link("first") + `>; rel="first", <http://demo.localhost:8080/>; rel="related"` + "\r\n"; !strings.Contains(got.head, want) {
			t.Errorf("head = %q, want %q", got.head, want)
		}
		if want := "http://localhost:8080/reversehttp/demo/czNjcmV0"; got.Header.Get("Location") != want {
			t.Errorf("Location = %q, want %q", got.Header.Get("Location"), want)
		}
		again := b.ask(post("/reversehttp?name=demo", formMedia, "token=s3cret"))
		again.is(t, 204, "")
		if strings.Contains(again.head, "Content-Length") || again.link("first") == "" {
			t.Errorf("head = %q, want links and no Content-Length", again.head)
		}
		if wrong := b.ask(post("/reversehttp", formMedia, "name=demo&token=other")); wrong.StatusCode != 403 || wrong.code() != "label_taken" {
			t.Errorf("another token = %d %s, want 403", wrong.StatusCode, wrong.body)
		}
		if minted := b.ask(post("/reversehttp?name=minted", formMedia, "")); minted.StatusCode != 201 || len(minted.Header.Get("Location")) < 60 {
			t.Errorf("no token = %d %q, want one minted", minted.StatusCode, minted.Header.Get("Location"))
		}
	})
}

func TestAnInvalidRegistrationIsRefused(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		for name, c := range map[string]struct {
			raw    string
			status int
			code   string
		}{
			"no name":     {post("/reversehttp", formMedia, "token=t"), 400, "bad_label"},
			"bad name":    {post("/reversehttp", formMedia, "name=a_b"), 400, "bad_label"},
			"bad lease":   {post("/reversehttp", formMedia, "name=a&lease=soon"), 400, "bad_lease"},
			"empty lease": {post("/reversehttp", formMedia, "name=a&lease="), 400, "bad_lease"},
			"bad token":   {post("/reversehttp", formMedia, "name=a&token=a+b"), 400, "bad_token"},
			"shared":      {post("/reversehttp", formMedia, "name=a&token=-"), 400, "bad_token"},
			"no form":     {post("/reversehttp", "application/json", "{}"), 415, "unsupported_media_type"},
			"malformed":   {post("/reversehttp", formMedia, "name=%zz"), 400, "bad_member"},
			"large":       {post("/reversehttp", formMedia, "name="+strings.Repeat("a", 20_000)), 413, "content_too_large"},
			"reserved":    {post("/reversehttp", formMedia, "name=www"), 403, "label_reserved"},
			"NUL":         {post("/reversehttp", formMedia, "name=a%00b"), 400, "bad_label"},
		} {
			if got := b.ask(c.raw); got.StatusCode != c.status || got.code() != c.code {
				t.Errorf("%s: %d %s, want %d %s", name, got.StatusCode, got.body, c.status, c.code)
			}
		}
		for lease, want := range map[string]string{"0": "1", "-7": "1", "99999999999999999999": "86400", "30": "30"} {
			at := b.ask(post("/reversehttp", formMedia, "name=lease"+want+"&token=t&lease="+lease)).Header.Get("Location")
			if got := b.ask(get(strings.TrimPrefix(at, "http://localhost:8080"))); !strings.Contains(got.body, "lease="+want+"&") {
				t.Errorf("lease %s = %q, want %s", lease, got.body, want)
			}
		}
	})
}

func TestTheSharedTokenNeedsAFlag(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		b.ask(post("/reversehttp", formMedia, "name=a&token=-")).is(t, 400, "*")
		if b.g.Registry().Lookup("a") != nil {
			t.Error("the token that everybody knows claimed a label")
		}
	})
	inBubble(t, gateway.Options{Doors: Doors(Options{SharedToken: true})}, func(b *bubble) {
		b.ask(post("/reversehttp", formMedia, "name=a&token=-")).is(t, 201, "")
	})
}

// Rule 2: an idle URL stays valid. Rule 6: its visitor waits for a program that sleeps after each 204.
func TestAnIdleURLCanBePolledAgain(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		first := b.register("name=demo&token=t0&lease=60")
		for range 3 {
			got := b.ask(get(first))
			got.is(t, 204, "")
			if strings.Contains(got.head, "Content-Length") || got.link("next") != first {
				t.Fatalf("head = %q, want the same URL as next", got.head)
			}
		}
		v := b.visit("demo", "GET", "/")
		time.Sleep(2 * time.Second)
		v.pending()
		b.ask(get(first)).is(t, 200, "*")
		b.reply(first, okay)
		v.wait().is(t, 200, "ok")
	})
}

func TestAnotherPollOfAURLReplacesTheFirst(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		first := b.register("name=demo&token=t0")
		older := b.begin(get(first))
		newer := b.begin(get(first))
		got := older.wait()
		got.is(t, 204, "")
		own := got.link("next")
		if own == first || own == "" {
			t.Fatalf("next = %q, want a URL of its own", own)
		}
		newer.pending()
		older = b.begin(get(own))
		// They take turns.
		v, w := b.visit("demo", "GET", "/1"), b.visit("demo", "GET", "/2")
		if one, two := newer.wait().body, older.wait().body; !strings.HasPrefix(one, "GET /1 ") || !strings.HasPrefix(two, "GET /2 ") {
			t.Errorf("got %.20q and %.20q", one, two)
		}
		b.reply(own, "HTTP/1.1 200 OK\r\n\r\ntwo")
		b.reply(first, "HTTP/1.1 200 OK\r\n\r\none")
		v.wait().is(t, 200, "one")
		w.wait().is(t, 200, "two")
	})
}

// Rule 7: the URLs of a program outlive its sessions, its claim and the gateway.
func TestOldURLsServeAfterTheLeaseAndARestart(t *testing.T) {
	for name, lose := range map[string]func(*bubble){
		"lease":           func(*bubble) { time.Sleep(2 * time.Minute) },
		"lease, long ago": func(*bubble) { time.Sleep(time.Hour) },
		"restart":         func(b *bubble) { b.restart(gateway.Options{}, false) },
		"restart, stored": func(b *bubble) { b.restart(gateway.Options{}, true) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, gateway.Options{}, func(b *bubble) {
				at := b.register("name=demo&token=t0")
				for i := range 2 {
					v := b.visit("demo", "GET", "/")
					got := b.ask(get(at))
					got.is(t, 200, "*")
					b.reply(at, fmt.Sprintf("HTTP/1.1 200 OK\r\n\r\n%d", i))
					v.wait().is(t, 200, fmt.Sprint(i))
					at = got.link("next")
				}
				lose(b)
				if got := b.ask(post(at, "message/http", okay)); got.StatusCode != 404 || got.code() != "no_exchange" {
					t.Errorf("reply to nothing = %d %s, want 404", got.StatusCode, got.body)
				}
				poll := b.begin(get(at))
				v := b.visit("demo", "GET", "/again")
				got := poll.wait()
				if !strings.HasPrefix(got.body, "GET /again ") || got.link("next") == at {
					t.Fatalf("got %d %q", got.StatusCode, got.body)
				}
				b.reply(at, okay)
				v.wait().is(t, 200, "ok")
				poll = b.begin(get(got.link("next")))
				v = b.visit("demo", "GET", "/more")
				poll.wait().is(t, 200, "*")
				b.reply(got.link("next"), okay)
				v.wait().is(t, 200, "ok")
				wrong := strings.Replace(at, "/demo/dDA/", "/demo/dDE/", 1)
				if got := b.ask(get(wrong)); got.StatusCode != 403 || got.code() != "label_taken" {
					t.Errorf("wrong token = %d %s", got.StatusCode, got.body)
				}
			})
		})
	}
}

func TestAfterDeletingDeliveredRequestsCanBeAnswered(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		at := b.register("name=demo&token=t0")
		v := b.visit("demo", "GET", "/")
		got := b.ask(get(at))
		poll := b.begin(get(got.link("next")))
		b.ask("DELETE /reversehttp/demo/dDE HTTP/1.1\r\nHost: localhost:8080\r\n\r\n").is(t, 403, "*")
		b.ask("DELETE /reversehttp/demo/dDA HTTP/1.1\r\nHost: localhost:8080\r\n\r\n").is(t, 204, "")
		if end := poll.wait(); end.StatusCode != 410 || end.code() != "claim_deleted" {
			t.Errorf("parked poll = %d %s, want 410", end.StatusCode, end.body)
		}
		b.reply(at, okay)
		v.wait().is(t, 200, "ok")
		b.visit("demo", "GET", "/").wait().is(t, 404, "*")
		b.ask(get(got.link("next"))).is(t, 410, "*")
		b.ask(get("/reversehttp/demo/dDA")).is(t, 404, "*")
		time.Sleep(3 * time.Minute)
		b.ask(get(got.link("next"))).is(t, 204, "") // it claims again
		b.ask(get("/reversehttp/demo/dDA")).is(t, 200, "*")
	})
}

func TestThePrivateURLShowsAndChangesAClaim(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		at := b.register("name=demo&token=t0&lease=30")
		poll := b.begin(get(at))
		got := b.ask(get("/reversehttp/demo/dDA"))
		if got.Header.Get("Content-Type") != formMedia || !strings.Contains("&"+got.body+"&", "&name=demo&") || !strings.Contains(got.body, "lease=30&") {
			t.Errorf("state = %q %q", got.Header.Get("Content-Type"), got.body)
		}
		page := b.ask("GET /reversehttp/demo/dDA HTTP/1.1\r\nHost: localhost:8080\r\nAccept: text/html\r\n\r\n")
		if !strings.HasPrefix(page.Header.Get("Content-Type"), "text/html") || !strings.Contains(page.body, "<h1>demo</h1>") {
			t.Errorf("page = %q %q", page.Header.Get("Content-Type"), page.body)
		}
		form := "name=other&lease=90&token=t1"
		changed := b.ask(strings.Replace(post("/reversehttp/demo/dDA", formMedia, form), "POST", "PUT", 1))
		changed.is(t, 204, "")
		if changed.Header.Get("Location") != "http://localhost:8080/reversehttp/demo/dDE" || changed.link("first") == "" {
			t.Errorf("changed = %q", changed.head)
		}
		poll.wait().is(t, 403, "*") // its URL has the old token
		b.ask(get("/reversehttp/demo/dDA")).is(t, 403, "*")
		if got := b.ask(get("/reversehttp/demo/dDE")); !strings.Contains(got.body, "lease=90&") {
			t.Errorf("state = %q", got.body)
		}
		poll = b.begin(get(changed.link("first")))
		v := b.visit("demo", "GET", "/")
		poll.wait().is(t, 200, "*")
		b.reply(changed.link("first"), okay)
		v.wait().is(t, 200, "ok")
	})
}

func TestOnlyHoldersOfAKeySeeNames(t *testing.T) {
	inBubble(t, gateway.Options{Keys: []string{"k"}}, func(b *bubble) {
		if got := b.ask(post("/reversehttp", formMedia, "name=demo&token=t0")); got.StatusCode != 401 || got.code() != "key_needed" {
			t.Errorf("without a key: %d %s", got.StatusCode, got.body)
		}
		got := b.ask(strings.Replace(post("/reversehttp", formMedia, "name=demo&token=t0"), "\r\n", "\r\nAuthorization: Bearer k\r\n", 1))
		got.is(t, 201, "")
		b.ask(get("/reversehttp")).is(t, 200, "claims=1&sessions=1")
		b.ask("GET /reversehttp HTTP/1.1\r\nHost: localhost:8080\r\nAuthorization: Bearer x\r\n\r\n").is(t, 200, "claims=1&sessions=1")
		b.ask("GET /reversehttp HTTP/1.1\r\nHost: localhost:8080\r\nAuthorization: Bearer k\r\n\r\n").is(t, 200, "claims=1&name=demo&sessions=1")
		page := b.ask("GET /reversehttp HTTP/1.1\r\nHost: localhost:8080\r\nAuthorization: Bearer k\r\nAccept: text/html,*/*\r\n\r\n")
		if !strings.Contains(page.body, "<li>demo") || !strings.Contains(page.body, "<form") {
			t.Errorf("page = %q", page.body)
		}
		// The program returns with its URL, even if the claim is gone.
		b.ask(get(got.link("first"))).is(t, 204, "")
		time.Sleep(time.Hour)
		b.ask(get(got.link("first"))).is(t, 401, "*")
	})
}

func TestUnknownURLsAre404(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		first := b.register("name=demo&token=t0")
		parts := strings.Split(first, "/")
		native := b.ask(strings.Replace(post("/claims", "application/json", `{"label":"demo","token":"t0"}`), "POST", "POST", 1))
		session := strings.Split(strings.Split(native.body, `"session":"`)[1], `"`)[0]
		session = session[strings.LastIndexByte(session, '/')+1:]
		for name, at := range map[string]string{
			"cursor of another": strings.Join(parts[:5], "/") + "/0-aaaaaa",
			"no cursor":         strings.Join(parts[:5], "/") + "/x",
			"leading zero":      strings.Join(parts[:5], "/") + "/0" + parts[5],
			"huge cursor":       strings.Join(parts[:5], "/") + "/99999999999999999999-" + parts[4][:6],
			"short session":     strings.Join(parts[:4], "/") + "/abc/0-abc",
			"native session":    strings.Join(parts[:4], "/") + "/" + session + "/0-" + session[:6],
			"token not base64":  "/reversehttp/demo/!!/" + parts[4] + "/" + parts[5],
		} {
			for _, raw := range []string{get(at), post(at, "message/http", okay)} {
				if got := b.ask(raw); got.StatusCode != 404 {
					t.Errorf("%s: %.20q = %d %s, want 404", name, raw, got.StatusCode, got.body)
				}
			}
		}
		if got := b.ask("HEAD " + first + " HTTP/1.1\r\nHost: localhost:8080\r\n\r\n"); got.StatusCode != 405 {
			t.Errorf("HEAD = %d, want 405: it is no poll", got.StatusCode)
		}
	})
}
