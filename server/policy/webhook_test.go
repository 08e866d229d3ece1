package policy

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	signed "reversehttp/schema/webhook"
	"reversehttp/server/claim"
	"reversehttp/server/visit"
)

// held judges a request with content, and returns the outcome with the verdict.
func (g *gated) held(r *claim.Request, content string) (string, visit.Verdict) {
	v := g.asked(r)
	if v.Refuse == nil && v.Then != nil {
		v = v.Then([]byte(content))
	}
	switch {
	case v.Refuse != nil:
		return string(v.Refuse.Code), v
	case v.Answer != nil:
		return strconv.Itoa(v.Answer.Status), v
	}
	return "passes", v
}

// Published examples: of the documentation of GitHub ("Validating webhook deliveries"), of the libraries of
// Standard Webhooks, and of the documentation of Slack ("Verifying requests from Slack").
var published = []struct {
	name, policy, content string
	at                    int64 // when it was signed
	fields                []string
}{
	{"github", `{"webhook":{"preset":"github","secret":"It's a Secret to Everybody"}}`, "Hello, World!", 0,
		[]string{"X-Hub-Signature-256: sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}},
	{"standard", `{"webhook":{"preset":"standard","secret":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}}`, `{"test": 2432232314}`, 1614265330,
		[]string{"Webhook-Id: msg_p5jXN8AQM9LWM0D4loKWxJek", "Webhook-Timestamp: 1614265330", "Webhook-Signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="}},
	{"slack", `{"webhook":{"preset":"slack","secret":"8f742231b10e8888abcd99yyyzzz85a5"}}`,
		"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c",
		1531420618, []string{"X-Slack-Request-Timestamp: 1531420618", "X-Slack-Signature: v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"}},
}

func TestPublishedExamplesOfWebhooksAreVerified(t *testing.T) {
	for _, c := range published {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Until(time.Unix(c.at, 0)))
			ask := func(fields []string, content string) string {
				got, _ := with(t, hosts, c.policy).held(request("POST", "/", fields...), content)
				return got
			}
			if got := ask(c.fields, c.content); got != "passes" {
				t.Errorf("%s: %s, want passes", c.name, got)
			}
			if got := ask(c.fields, c.content+" "); got != "signature_wrong" {
				t.Errorf("%s: other content %s, want signature_wrong", c.name, got)
			}
			for i, f := range c.fields {
				name, value, _ := strings.Cut(f, ": ")
				for what, other := range map[string]string{"is empty": "", "is cut": value[:len(value)-1], "is longer": value + "0", "is of another case": strings.ToUpper(value) + "x"} {
					fields := append([]string(nil), c.fields...)
					fields[i] = name + ": " + other
					if got := ask(fields, c.content); got != "signature_wrong" {
						t.Errorf("%s: %s %s: %s, want signature_wrong", c.name, name, what, got)
					}
				}
				if got := ask(append(append([]string(nil), c.fields...), f), c.content); got != "signature_wrong" {
					t.Errorf("%s: %s twice: %s, want signature_wrong", c.name, name, got)
				}
				if got := ask(append(append([]string(nil), c.fields[:i]...), c.fields[i+1:]...), c.content); got != "signature_wrong" {
					t.Errorf("%s: without %s: %s, want signature_wrong", c.name, name, got)
				}
			}
			if c.at == 0 {
				return
			}
			for _, away := range []struct {
				by   time.Duration
				want string
			}{{signed.Within, "passes"}, {time.Second, "signature_wrong"}} {
				time.Sleep(away.by)
				if got := ask(c.fields, c.content); got != away.want {
					t.Errorf("%s: %v later %s, want %s", c.name, away.by, got, away.want)
				}
			}
		})
		if c.at == 0 {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Until(time.Unix(c.at, 0)) - signed.Within - time.Second)
			if got, _ := with(t, hosts, c.policy).held(request("POST", "/", c.fields...), c.content); got != "signature_wrong" {
				t.Errorf("%s: long before it was signed %s, want signature_wrong", c.name, got)
			}
		})
	}
}

// hexOf returns the HMAC of a text.
func hexOf(secret, text string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(text))
	return hex.EncodeToString(h.Sum(nil))
}

// TestEveryPresetVerifies signs like each sender, for cases without a published example.
func TestEveryPresetVerifies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const content = `{"id":"evt_1","event_id":"Ev1"}`
		now := strconv.FormatInt(time.Now().Unix(), 10)
		public, private, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		seal := func(text string) []byte { return ed25519.Sign(private, []byte(text)) }
		v1a := "v1a," + base64.StdEncoding.EncodeToString(seal("msg_1."+now+"."+content))
		mac := "v1," + base64.StdEncoding.EncodeToString(sign([]byte(strings.Repeat("k", 24)), []byte("msg_1."+now+"."+content)))
		key := `{"webhook":{"preset":"standard","secret":"whpk_` + base64.StdEncoding.EncodeToString(public) + `"}}`
		secret := `{"webhook":{"preset":"standard","secret":"` + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 24))) + `"}}`
		dotted := "v1," + base64.StdEncoding.EncodeToString(sign([]byte(strings.Repeat("k", 24)), []byte("msg.1."+now+"."+content)))
		standard := func(id, at, signature string) []string {
			return []string{"webhook-id: " + id, "webhook-timestamp: " + at, "webhook-signature: " + signature}
		}
		discord := `{"webhook":{"preset":"discord","secret":"` + hex.EncodeToString(public) + `"}}`
		const stripe, slack = `{"webhook":{"preset":"stripe","secret":"whsec_x"}}`, `{"webhook":{"preset":"slack","secret":"s"}}`
		for _, c := range []struct {
			name, policy string
			fields       []string
			want         string
		}{
			{"standard with a key", key, standard("msg_1", now, v1a), "passes"},
			{"standard with a key, among others", key, standard("msg_1", now, mac+" v1a,AAAA "+v1a), "passes"},
			{"standard with a key, and a MAC", key, standard("msg_1", now, mac), "signature_wrong"},
			{"standard with a key, which signs as v1", key, standard("msg_1", now, strings.Replace(v1a, "v1a", "v1", 1)), "signature_wrong"},
			{"standard with a secret, among others", secret, standard("msg_1", now, "v2,x v1,AAAA "+v1a+" "+mac), "passes"},
			{"standard with a secret as v1a", secret, standard("msg_1", now, strings.Replace(mac, "v1", "v1a", 1)), "signature_wrong"},
			{"standard with a secret, after too many", secret, standard("msg_1", now, strings.Repeat("v1,AAAA ", signed.MostSignatures)+mac), "signature_wrong"},
			{"standard with another id", secret, standard("msg_2", now, mac), "signature_wrong"},
			{"standard with another time", secret, standard("msg_1", now+"0", mac), "signature_wrong"},
			{"standard with a sign in the time", secret, standard("msg_1", "+"+now, mac), "signature_wrong"},
			{"standard whose id could be one and a time", secret, standard("msg.1", now, dotted), "signature_wrong"},
			{"stripe", stripe, []string{"Stripe-Signature: t=" + now + ",v1=" + hexOf("whsec_x", now+"."+content)}, "passes"},
			{"stripe while a secret is replaced", stripe, []string{"Stripe-Signature: t=" + now + ",v1=" + hexOf("old", now+"."+content) + ",v0=x,v1=" + hexOf("whsec_x", now+"."+content)}, "passes"},
			{"stripe as v0", stripe, []string{"Stripe-Signature: t=" + now + ",v0=" + hexOf("whsec_x", now+"."+content)}, "signature_wrong"},
			{"stripe with two times", stripe, []string{"Stripe-Signature: t=1,t=" + now + ",v1=" + hexOf("whsec_x", now+"."+content)}, "signature_wrong"},
			{"stripe without a time", stripe, []string{"Stripe-Signature: v1=" + hexOf("whsec_x", "."+content)}, "signature_wrong"},
			{"stripe of long ago", stripe, []string{"Stripe-Signature: t=1,v1=" + hexOf("whsec_x", "1."+content)}, "signature_wrong"},
			{"slack", slack, []string{"X-Slack-Request-Timestamp: " + now, "X-Slack-Signature: v0=" + hexOf("s", "v0:"+now+":"+content)}, "passes"},
			{"slack with a sign in the time", slack, []string{"X-Slack-Request-Timestamp: +" + now, "X-Slack-Signature: v0=" + hexOf("s", "v0:+"+now+":"+content)}, "signature_wrong"},
			{"slack of long ago", slack, []string{"X-Slack-Request-Timestamp: 1", "X-Slack-Signature: v0=" + hexOf("s", "v0:1:"+content)}, "signature_wrong"},
			{"discord", discord, []string{"X-Signature-Timestamp: " + now, "X-Signature-Ed25519: " + hex.EncodeToString(seal(now+content))}, "passes"},
			{"discord with another time", discord, []string{"X-Signature-Timestamp: " + now + " ", "X-Signature-Ed25519: " + hex.EncodeToString(seal(now+content))}, "signature_wrong"},
			{"discord of long ago", discord, []string{"X-Signature-Timestamp: 1", "X-Signature-Ed25519: " + hex.EncodeToString(seal("1"+content))}, "signature_wrong"},
			{"discord, cut", discord, []string{"X-Signature-Timestamp: " + now, "X-Signature-Ed25519: " + hex.EncodeToString(seal(now + content)[:63])}, "signature_wrong"},
			{"another's", slack, []string{"Stripe-Signature: t=" + now + ",v1=" + hexOf("s", now+"."+content)}, "signature_wrong"},
		} {
			if got, v := with(t, hosts, c.policy).held(request("POST", "/", c.fields...), content); got != c.want || got == "signature_wrong" && len(v.Refuse.Fields) != 1 {
				t.Errorf("%s: %s %+v, want %s", c.name, got, v.Refuse, c.want)
			}
		}
	})
}

func TestAnUpgradeIsNotAWebhook(t *testing.T) {
	g := with(t, hosts, published[0].policy)
	r := request("GET", "/", "X-Hub-Signature-256: sha256="+hexOf("It's a Secret to Everybody", ""))
	if got, _ := g.held(r, ""); got != "passes" {
		t.Errorf("a signed GET: %s, want passes", got)
	}
	r.Upgrade = "websocket"
	if got, _ := g.held(r, ""); got != "signature_wrong" {
		t.Errorf("an upgrade: %s, want signature_wrong", got)
	}
}

// github signs content as GitHub does, with the secret "s".
func github(id, content string) *claim.Request {
	return request("POST", "/", "X-Hub-Signature-256: sha256="+hexOf("s", content), "X-GitHub-Delivery: "+id)
}

const fromGithub = `{"webhook":{"preset":"github","secret":"s"}}`

func TestAWebhookIsHandledOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := with(t, hosts, fromGithub)
		expect := func(what, id, want string) func(int) {
			t.Helper()
			got, v := g.held(github(id, "x"), "x")
			if got != want {
				t.Errorf("%s: %s, want %s", what, got, want)
			}
			if got == "webhook_running" && v.Refuse.After <= 0 {
				t.Errorf("%s: no time after which it may be sent again", what)
			}
			if v.Ended == nil {
				return func(int) {}
			}
			return v.Ended
		}
		end := expect("first", "1", "passes")
		expect("the same meanwhile", "1", "webhook_running")
		expect("another meanwhile", "2", "passes")(200)
		end(500)
		end = expect("the same after it failed", "1", "passes")
		end(0)
		end = expect("the same after nobody answered", "1", "passes")
		end(302)
		expect("the same after another answer", "1", "passes")(204)
		expect("the same after it was taken", "1", "200")
		if err := g.change(`{"webhook":{"preset":"github"},"methods":["POST"]}`); err != nil {
			t.Fatal(err)
		}
		expect("the same after a change of the policy", "1", "200")
		time.Sleep(idTime)
		expect("the same a day later", "1", "passes")(200)
	})
}

func TestIdsThatAreRememberedAreBounded(t *testing.T) {
	g := with(t, hosts, fromGithub)
	before := g.Budget.Held(0)
	for i := range 2 * mostIDs {
		got, v := g.held(github(fmt.Sprint(i), "x"), "x")
		if got != "passes" {
			t.Fatalf("%d: %s, want passes", i, got)
		}
		v.Ended(200)
	}
	if held := g.Budget.Held(0) - before; held != mostIDs*idWeight {
		t.Errorf("held %d bytes, want those of %d ids", held, mostIDs)
	}
	if got, _ := g.held(github(fmt.Sprint(mostIDs), "x"), "x"); got != "200" {
		t.Errorf("one of the newest: %s, want 200", got)
	}
	if got, _ := g.held(github(fmt.Sprint(mostIDs-1), "x"), "x"); got != "passes" {
		t.Errorf("one of the oldest: %s, want passes", got)
	}
}

func TestWebhooksAreRememberedByTheIdOfTheirVendor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := with(t, hosts, `{"webhook":{"preset":"stripe","secret":"s"}}`)
		send := func(id string) string {
			now, content := strconv.FormatInt(time.Now().Unix(), 10), `{"id":"`+id+`"}`
			got, v := g.held(request("POST", "/", "Stripe-Signature: t="+now+",v1="+hexOf("s", now+"."+content)), content)
			if got == "passes" {
				v.Ended(200)
			}
			return got
		}
		if got := send("evt_1"); got != "passes" {
			t.Errorf("first: %s, want passes", got)
		}
		time.Sleep(time.Hour)
		if got := send("evt_1"); got != "200" { // with another signature
			t.Errorf("again: %s, want 200", got)
		}
		if got := send("evt_2"); got != "passes" {
			t.Errorf("another: %s, want passes", got)
		}
	})
}

func TestARepeatedSignatureIsRecognisedInAnySpelling(t *testing.T) {
	content, now := `{"no":"id"}`, strconv.FormatInt(time.Now().Unix(), 10)
	for preset, fields := range map[string]func(spelt func(string) string) string{
		"stripe": func(spelt func(string) string) string {
			return "Stripe-Signature: t=" + now + ",v1=" + spelt(hexOf("s", now+"."+content))
		},
		"slack": func(spelt func(string) string) string {
			return "X-Slack-Signature: v0=" + spelt(hexOf("s", "v0:"+now+":"+content))
		},
		"github": func(spelt func(string) string) string {
			return "X-Hub-Signature-256: sha256=" + spelt(hexOf("s", content))
		},
	} {
		g := with(t, hosts, `{"webhook":{"preset":"`+preset+`","secret":"s"}}`)
		got, v := g.held(request("POST", "/", fields(strings.ToLower), "X-Slack-Request-Timestamp: "+now), content)
		if got != "passes" {
			t.Fatalf("%s: %s, want passes", preset, got)
		}
		v.Ended(200)
		if got, _ := g.held(request("POST", "/", fields(strings.ToUpper), "X-Slack-Request-Timestamp: "+now), content); got != "200" {
			t.Errorf("%s in upper case: %s, want 200", preset, got)
		}
	}
}

func TestACannedAnswerIsTheOneOfItsOwner(t *testing.T) {
	g := with(t, hosts, `{"offline":{"mode":"canned","status":200,"headers":[["Content-Type","text/plain"],["X-Name","Ã©"]],"body":"back soon"}}`)
	a := g.Absent(g.Claim, request("GET", "/"))
	if a == nil || a.Status != 200 || string(a.Content) != "back soon" || fmt.Sprint(a.Fields) != "[{Content-Type text/plain} {X-Name é} {Cache-Control no-store}]" {
		t.Errorf("canned %+v", a)
	}
	for policy, status := range map[string]int{`{"offline":{"mode":"canned","headers":[["cache-control","max-age=9"]]}}`: 503, `{"offline":{"mode":"wait"}}`: 0, `{}`: 0} {
		if err := g.change(policy); err != nil {
			t.Fatal(err)
		}
		a := g.Absent(g.Claim, request("GET", "/"))
		if (a == nil) != (status == 0) || a != nil && (a.Status != status || len(a.Fields) != 1) {
			t.Errorf("%s: %+v, want %d", policy, a, status)
		}
	}
}
