package policy

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/schema"
	"reversehttp/server/problem"
)

// made mints a link, and returns its target.
func (g *gated) made(lease time.Duration, once bool) string {
	g.t.Helper()
	url, err := g.Share(g.Claim, lease, once)
	if err != nil {
		g.t.Fatal(err)
	}
	target, ok := strings.CutPrefix(url, strings.TrimSuffix(g.Public.Base("demo"), "/"))
	if !ok || !strings.HasPrefix(target, sharePath) {
		g.t.Fatalf("link %s", url)
	}
	return target
}

// clicked sends a request for a link, and returns its status or code, and the cookie in the answer.
func (g *gated) clicked(method, target string, fields ...string) (got, cookie string) {
	v := g.asked(request(method, target, fields...))
	switch {
	case v.Refuse != nil:
		return string(v.Refuse.Code), ""
	case v.Answer == nil:
		return "passes", ""
	}
	cookie, _, _ = strings.Cut(v.Cookie, ";")
	return http.StatusText(v.Answer.Status), "Cookie: " + cookie
}

func (g *gated) expects(what, got, want string) {
	g.t.Helper()
	if got != want {
		g.t.Errorf("%s: %s, want %s", what, got, want)
	}
}

func TestALinkIsUsedUpByAClickAndNotByAGET(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := with(t, hosts, `{"share":true}`)
		g.expects("without a link", g.judged(request("GET", "/")), "share_needed")
		link := g.made(time.Hour, true)
		for _, method := range []string{"GET", "HEAD", "GET"} {
			got, _ := g.clicked(method, link)
			g.expects("a look by "+method, got, "OK")
		}
		g.expects("after looks", g.judged(request("GET", "/")), "share_needed")
		got, cookie := g.clicked("POST", link)
		g.expects("a click", got, "See Other")
		g.expects("with the cookie", g.judged(request("GET", "/", cookie)), "passes")
		g.expects("with it among others", g.judged(request("GET", "/", "Cookie: a=b", "Cookie: c=d; "+strings.TrimPrefix(cookie, "Cookie: ")+"; e=f")), "passes")
		got, _ = g.clicked("POST", link)
		g.expects("another click", got, "share_ended")
		got, _ = g.clicked("GET", link)
		g.expects("another look", got, "share_ended")
		got, _ = g.clicked("POST", link, cookie)
		g.expects("another click of the same browser", got, "See Other")
		for what, other := range map[string]string{"a cookie with more": cookie + "A", "one that nobody signed": forged(link), "an empty one": "Cookie: " + plainCookie + "=", "the secret as one": "Cookie: " + plainCookie + "=" + strings.TrimPrefix(link, sharePath), "one of another name": strings.Replace(cookie, plainCookie, "x"+plainCookie, 1)} {
			g.expects(what, g.judged(request("GET", "/", other)), "share_needed")
		}
		other := with(t, hosts, `{"share":true}`)
		other.made(time.Hour, true)
		other.expects("at another claim", other.judged(request("GET", "/", cookie)), "share_needed")
		time.Sleep(time.Hour)
		g.expects("when its time is over", g.judged(request("GET", "/", cookie)), "share_needed")
	})
}

// forged is a cookie that anyone with a link can make, except for its signature.
func forged(link string) string {
	id := sha256.Sum256([]byte(strings.TrimPrefix(link, sharePath)))
	return "Cookie: " + plainCookie + "=" + base64.RawURLEncoding.EncodeToString(append(id[:], make([]byte, sha256.Size)...))
}

func TestCookiesOfEachClaimAreSignedWithAKeyOfItsOwn(t *testing.T) {
	keys := map[string]bool{}
	for range 3 {
		g := with(t, hosts, `{"share":true}`)
		g.made(time.Hour, true)
		guard, _ := g.rulesOf(g.Claim)
		if key := string(guard.shares.key); len(key) < 16 || keys[key] {
			t.Errorf("key %q, want another of 16 bytes or more", key)
		} else {
			keys[key] = true
		}
	}
}

func TestALinkForManyLetsInAllWhoFollowIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := with(t, hosts, `{"share":true}`)
		link := g.made(time.Hour, false)
		for range 3 {
			got, cookie := g.clicked("POST", link)
			g.expects("a click", got, "See Other")
			g.expects("with the cookie", g.judged(request("GET", "/", cookie)), "passes")
		}
		got, _ := g.clicked("DELETE", link)
		g.expects("another method", got, "method_refused")
		got, _ = g.clicked("GET", link+"x")
		g.expects("another secret", got, "share_ended")
		time.Sleep(time.Hour)
		got, _ = g.clicked("POST", link)
		g.expects("when its time is over", got, "share_ended")
	})
}

func TestTheOwnerCanEndLinks(t *testing.T) {
	for what, end := range map[string]func(g *gated) error{
		"by DELETE":    func(g *gated) error { g.EndShares(g.Claim); return nil },
		"by PATCH":     func(g *gated) error { return g.change(`{"share":false,"methods":["GET","POST"]}`) },
		"by no policy": func(g *gated) error { return g.change(`{}`) },
	} {
		g := with(t, hosts, `{"share":true}`)
		before := g.Budget.Held(0)
		link, unspent := g.made(time.Hour, true), g.made(time.Hour, true)
		_, cookie := g.clicked("POST", link)
		if err := g.change(`{"share":true,"rate":{"perMinute":100}}`); err != nil {
			t.Fatal(err)
		}
		g.expects(what+": after another change", g.judged(request("GET", "/", cookie)), "passes")
		if err := end(g); err != nil {
			t.Fatal(err)
		}
		if err := g.change(`{"share":true}`); err != nil {
			t.Fatal(err)
		}
		g.expects(what+": with the cookie", g.judged(request("GET", "/", cookie)), "share_needed")
		got, _ := g.clicked("POST", unspent)
		g.expects(what+": a click", got, "share_ended")
		if held := g.Budget.Held(0) - before; held > windowWeight {
			t.Errorf("%s: %d bytes are held", what, held)
		}
	}
}

func TestLinksAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := with(t, hosts, `{"share":true}`)
		for range mostShares {
			g.made(time.Hour, true)
		}
		if _, err := g.Share(g.Claim, time.Hour, true); err == nil || problem.Of(err).Code != schema.CodeQuotaExceeded {
			t.Errorf("one link too many: %v", err)
		}
		time.Sleep(time.Hour)
		g.made(time.Hour, true)
	})
	g := with(t, hosts, `{}`)
	_, err := g.Share(g.Claim, time.Hour, true)
	if p := problem.Of(err); p.Code != schema.CodeBadRequest {
		t.Errorf("a link of a claim without any: %v", err)
	}
	path := with(t, "http://example.com/at/{label}/", `{}`)
	if p := problem.Of(path.change(`{"share":true}`)); p.Code != schema.CodeBadMember || p.Pointer != "/policy/share" {
		t.Errorf("share in the path shape: %+v", p)
	}
}

func TestAnyOfThreeLetsIn(t *testing.T) {
	g := with(t, hosts, `{"share":true,"basic":[{"user":"ann","password":"pw"}]}`)
	_, cookie := g.clicked("POST", g.made(time.Hour, true))
	g.expects("nothing", g.judged(request("GET", "/")), "credentials_needed")
	g.expects("a password", g.judged(request("GET", "/", basicOf("ann", "pw"))), "passes")
	g.expects("a cookie", g.judged(request("GET", "/", cookie)), "passes")
	g.expects("a cookie, and an Authorization of the program's", g.judged(request("GET", "/", cookie, "Authorization: Bearer of-the-program")), "passes")
	for shown, drops := range map[string]bool{basicOf("ann", "no"): true, "Authorization: Bearer of-the-program": false} {
		v := g.asked(request("GET", "/", cookie, shown))
		if got := strings.Contains(strings.Join(v.Drop, " "), "Authorization"); got != drops || v.Refuse != nil {
			t.Errorf("%s with a cookie: dropped %v, refused %v, want %v", shown, got, v.Refuse, drops)
		}
	}
}

func TestEarlierGatesApplyToALinkToo(t *testing.T) {
	g := with(t, hosts, `{"share":true,"ip":{"allow":["203.0.113.9"]},"rate":{"perMinute":2},"methods":["GET"],"paths":["/x/"]}`)
	link := g.made(time.Hour, true)
	r := request("POST", link)
	r.RemoteAddr = "198.51.100.1:1"
	g.expects("from elsewhere", g.judged(r), "address_refused")
	got, _ := g.clicked("GET", link)
	g.expects("a look", got, "OK")
	got, cookie := g.clicked("POST", link)
	g.expects("a click", got, "See Other")
	g.expects("too often", g.judged(request("GET", "/x/", cookie)), "rate_limited")
	v := g.asked(request("GET", link))
	if v.Refuse == nil || strings.Contains(v.Target, strings.TrimPrefix(link, sharePath)) || v.Target == "" {
		t.Errorf("a link that was refused is recorded as %q", v.Target)
	}
}

func TestTheCookieBelongsToTheGatewayAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for base, want := range map[string]string{hosts: "reversehttp-share=", "https://{label}.example.com/": "__Host-reversehttp-share="} {
			g := with(t, base, `{"share":true}`)
			v := g.asked(request("POST", g.made(90*time.Second, true)))
			cookie := v.Cookie
			var to, referrer string
			for _, f := range v.Answer.Fields {
				switch f.Name {
				case "Location":
					to = f.Value
				case "Referrer-Policy":
					referrer = f.Value
				}
			}
			secure := strings.HasPrefix(base, "https:")
			if !strings.HasPrefix(cookie, want) || !strings.Contains(cookie, "; Path=/; Max-Age=90; HttpOnly; SameSite=Lax") || strings.Contains(cookie, "Domain") || strings.HasSuffix(cookie, "; Secure") != secure || to != "/" || referrer != "no-referrer" {
				t.Errorf("%s: %q, to %q, %q", base, cookie, to, referrer)
			}
		}
	})
}

func TestThePageOfALinkNeedsNoScript(t *testing.T) {
	g := with(t, hosts, `{"share":true}`)
	a := g.asked(request("GET", g.made(time.Hour, true))).Answer
	content := string(a.Content)
	if strings.Contains(content, "<script") || !strings.Contains(content, `<form method="post">`) || !strings.Contains(content, "demo.example.com") {
		t.Errorf("page %s", content)
	}
	told := map[string]string{}
	for _, f := range a.Fields {
		told[f.Name] = f.Value
	}
	for name, want := range map[string]string{"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "X-Robots-Tag": "noindex",
		"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"} {
		if told[name] != want {
			t.Errorf("%s: %q, want %q", name, told[name], want)
		}
	}
}
