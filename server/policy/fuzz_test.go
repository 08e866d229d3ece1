package policy

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"net/netip"
	"net/url"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"reversehttp/schema"
	signed "reversehttp/schema/webhook"
	"reversehttp/server/claim"
	"reversehttp/server/publicurl"
)

// FuzzPlainPath checks that a judged path means the same to servers that clean paths, drop parameters, or
// decode twice.
func FuzzPlainPath(f *testing.F) {
	for _, s := range []string{"/", "/hook/", "/hook", "/hook/../admin", "/hook/%2e%2e/admin", "/a%2Fb", "/a%252fb", "/a//b", "/a;x/..;y/b", "/%zz", "/%25zz", `/a\b`, "/a%5cb", "/%00", "/%2500", "/.", "/;", "a", "", "/ä%C3%A4", "/%25252e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, sent string) {
		plain, ok := plainPath(sent)
		if !ok {
			return
		}
		readings := []string{sent, plain}
		if again, err := url.PathUnescape(plain); err == nil {
			readings = append(readings, again)
		}
		for _, reading := range readings {
			segments := strings.Split(reading, "/")
			for i, s := range segments {
				segments[i], _, _ = strings.Cut(s, ";")
			}
			bare := strings.Join(segments, "/")
			if clean := path.Clean(bare); bare != clean && bare != clean+"/" {
				t.Errorf("%q is let in, and %q is %q to some", sent, bare, clean)
			}
			if len(segments) != strings.Count(sent, "/")+1 || strings.ContainsAny(reading, "\\\x00\r\n") {
				t.Errorf("%q is let in, and is %q to some", sent, reading)
			}
		}
		if plain2, ok := plainPath((&url.URL{Path: plain}).EscapedPath()); ok && plain2 != plain {
			t.Errorf("%q is %q, and that written anew is %q", sent, plain, plain2)
		}
	})
}

// FuzzSignatures checks that unsigned requests are not verified, whatever they claim.
func FuzzSignatures(f *testing.F) {
	secrets := map[schema.PolicyWebhookPreset]string{
		schema.PolicyWebhookStandard: "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 32)),
		schema.PolicyWebhookGithub:   "secret", schema.PolicyWebhookStripe: "whsec_secret", schema.PolicyWebhookSlack: "secret",
		schema.PolicyWebhookDiscord: hex.EncodeToString([]byte("a key that has 32 bytes, no more")),
	}
	now := time.Unix(1700000000, 0)
	const at = "1700000000"
	for _, shown := range []string{"", "v1,", "v1,AAAA v1a,AAAA", "v0=00", "sha256=00", "sha256=" + strings.Repeat("0", 64), "t=" + at + ",v1=00", "t=" + at + ",v1=" + strings.Repeat("0", 64), "t=,v1", "v0=" + strings.Repeat("0", 64), strings.Repeat("0", 128), strings.Repeat("v1,x ", 200)} {
		f.Add("msg_1", at, shown, []byte(`{"id":"evt_1"}`))
	}
	f.Add("a.b", "-1", "v1,x", []byte(nil))
	f.Fuzz(func(t *testing.T, id, time, shown string, content []byte) {
		head := &claim.Request{Method: "POST", Target: "/"}
		for _, name := range []string{"Webhook-Id", "X-GitHub-Delivery"} {
			head.Fields = append(head.Fields, claim.Field{Name: name, Value: id})
		}
		for _, name := range []string{"Webhook-Timestamp", "X-Slack-Request-Timestamp", "X-Signature-Timestamp"} {
			head.Fields = append(head.Fields, claim.Field{Name: name, Value: time})
		}
		for _, name := range []string{"Webhook-Signature", "X-Hub-Signature-256", "Stripe-Signature", "X-Slack-Signature", "X-Signature-Ed25519"} {
			head.Fields = append(head.Fields, claim.Field{Name: name, Value: shown})
		}
		for preset, secret := range secrets {
			check, wrong := signed.For(string(preset), secret)
			if check == nil {
				t.Fatalf("%s: %s", preset, wrong)
			}
			if got, why := check(fieldsOf(head), content, now); why == "" {
				t.Errorf("%s: %q is verified as %q", preset, shown, got)
			}
		}
	})
}

// Any declared policy is refused, or stored as JSON that can be read again and does not show secrets.
func FuzzGiven(f *testing.F) {
	for _, s := range []string{
		`{}`, `null`, `[]`, example, `{"ip":{"allow":["203.0.113.0/24","::ffff:1.2.3.4","2001:db8::/32"]}}`, `{"methods":["GET","get",""]}`, `{"paths":["/hook/","hook","/../"]}`,
		`{"rate":{"perMinute":-1}}`, `{"content":{"maxBytes":1e99}}`, `{"webhook":{"preset":"standard","secret":"whsec_AAAA"}}`, `{"offline":{"mode":"canned","status":99}}`, `{"unknown":1}`, "\xff",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		if bytes.Contains(value, []byte("password")) {
			return // hashing one takes as long as it should
		}
		term, err := given(value, netip.Addr{})
		if err != nil || term == nil {
			return
		}
		stored, err := json.Marshal(term)
		if err != nil {
			t.Fatal(err)
		}
		again, err := kept(stored)
		if err != nil {
			t.Fatalf("%s is kept as %s, which is refused: %v", value, stored, err)
		}
		if twice, err := json.Marshal(again); err != nil || !bytes.Equal(twice, stored) {
			t.Errorf("%s is kept as %s, and then as %s", value, stored, twice)
		}
	})
}

// Of all cookies only one that was signed for a valid share admits anyone.
func FuzzShareCookie(f *testing.F) {
	id := shareID{1, 2, 3}
	key := []byte("the key of this process")
	g := &guard{policies: &Policies{Public: &publicurl.Template{Scheme: "http"}}, shares: shares{key: key, made: map[shareID]*share{id: {until: time.Now().Add(time.Hour)}}}}
	good := base64.RawURLEncoding.EncodeToString(append(id[:], sign(key, id[:])...))
	if !g.lets([]string{"a=1; " + plainCookie + "=" + good}) {
		f.Fatal("the signed cookie admits nobody")
	}
	other := shareID{4}
	for _, s := range []string{
		"", plainCookie, plainCookie + "=", plainCookie + "=" + good, secureCookie + "=" + good, plainCookie + "=" + good + "=", plainCookie + "=" + good[1:], plainCookie + "=" + strings.ToLower(good),
		plainCookie + "=" + base64.RawURLEncoding.EncodeToString(append(other[:], sign(key, other[:])...)), strings.Repeat(plainCookie+"=x; ", 9) + plainCookie + "=" + good,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		// The last character of such a text has bits without a meaning.
		if g.lets([]string{line}) && !strings.Contains(strings.NewReplacer("\r", "", "\n", "").Replace(line), plainCookie+"="+good[:len(good)-1]) {
			t.Errorf("%q lets in", line)
		}
	})
}
