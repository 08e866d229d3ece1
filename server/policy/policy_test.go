package policy

import (
	"encoding/base64"
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/bcrypt"

	"reversehttp/schema"
	"reversehttp/server/admission"
	"reversehttp/server/claim"
	"reversehttp/server/problem"
	"reversehttp/server/publicurl"
	"reversehttp/server/terms"
	"reversehttp/server/visit"
)

// usualCost is the cost of passwords outside of tests.
var usualCost = Cost

func TestMain(m *testing.M) {
	Cost = bcrypt.MinCost
	goleak.VerifyTestMain(m)
}

func TestPasswordsAreHashedSlowly(t *testing.T) {
	hash, ok := hashPassword("pw", netip.Addr{})
	if got, err := bcrypt.Cost([]byte(hash)); !ok || err != nil || got != Cost || usualCost < 10 {
		t.Errorf("cost %d %v, and %d but in tests, want %d, and 10 or more", got, err, usualCost, Cost)
	}
}

// gated is a claim with a policy.
type gated struct {
	*Policies
	*claim.Claim
	t *testing.T
}

// with claims demo with a policy, at a gateway of this template.
func with(t *testing.T, template, policy string) *gated {
	t.Helper()
	public, err := publicurl.Parse(template)
	if err != nil {
		t.Fatal(err)
	}
	g := &gated{Policies: &Policies{Public: public, Guesses: admission.NewGuesses()}, t: t}
	registry := claim.New(claim.Options{
		Times: claim.Times{Lease: 48 * time.Hour, Unpolled: 48 * time.Hour},
		Tap:   func(c *claim.Claim, t claim.Terms) claim.Tap { g.Keep(c, t); return nil },
		Untap: g.End, Fits: func(t claim.Terms) error { return Fits(t, public.PathPrefix == "") },
	})
	t.Cleanup(registry.Close)
	g.Budget = registry.Options().Budget
	set, err := read(policy)
	if err != nil {
		t.Fatalf("%s: %v", policy, err)
	}
	o, err := registry.Open(netip.Addr{}, "demo", "", set)
	if err != nil {
		t.Fatalf("%s: %v", policy, err)
	}
	g.Claim = o.Session.Claim()
	return g
}

const hosts = "http://{label}.example.com/"

func read(policy string) (claim.Settings, error) {
	return terms.Read(terms.Asked{Members: map[string]json.RawMessage{terms.Policy: json.RawMessage(policy)}})
}

// change changes the policy, and returns the error.
func (g *gated) change(policy string) error {
	g.t.Helper()
	set, err := read(policy)
	if err != nil {
		return err
	}
	return g.Change(set)
}

// request returns a request for a target with fields of the form "Name: value".
func request(method, target string, fields ...string) *claim.Request {
	r := &claim.Request{Method: method, Target: target, RemoteAddr: "203.0.113.9:5", Fields: []claim.Field{{Name: "Host", Value: "demo.example.com"}}}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Fields = append(r.Fields, claim.Field{Name: name, Value: value})
	}
	return r
}

// asked returns the verdict on a request.
func (g *gated) asked(r *claim.Request) visit.Verdict {
	return g.Judge(g.Claim, r, values(r, "Cookie"))
}

// judged returns the code that a request is refused with, "passes", or "answered".
func (g *gated) judged(r *claim.Request) string {
	switch v := g.asked(r); {
	case v.Refuse != nil:
		return string(v.Refuse.Code)
	case v.Answer != nil:
		return "answered"
	}
	return "passes"
}

func basicOf(user, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// all is a policy of every kind. One kind after the other is removed from a request that all of it admits.
const all = `{"ip":{"allow":["203.0.113.0/24"]},"methods":["POST"],"paths":["/hook/"],"rate":{"perMinute":1},
	"basic":[{"user":"ann","password":"pw"}],"bearer":[{"name":"ci","token":"sixteen-letters-"}],"content":{"maxBytes":3}}`

func TestKindsJudgeInTheirOrder(t *testing.T) {
	good, bad := basicOf("ann", "pw"), basicOf("ann", "no")
	for _, c := range []struct {
		name, from, method, target, credentials, length string
		before                                          int // requests from there that count
		want                                            string
	}{
		{"all wrong", "198.51.100.1:5", "GET", "/", "", "4", 0, "address_refused"},
		{"the address is right", "203.0.113.9:5", "GET", "/", "", "4", 0, "method_refused"},
		{"and the method", "203.0.113.9:5", "POST", "/", "", "4", 0, "path_refused"},
		{"and the path, too often", "203.0.113.9:5", "POST", "/hook/x", "", "4", 1, "rate_limited"},
		{"and the rate", "203.0.113.9:5", "POST", "/hook/x", "", "4", 0, "credentials_needed"},
		{"wrong credentials", "203.0.113.9:5", "POST", "/hook/x", bad, "4", 0, "credentials_wrong"},
		{"right ones", "203.0.113.9:5", "POST", "/hook/x", good, "4", 0, "content_too_large"},
		{"or a token", "203.0.113.9:5", "POST", "/hook/x", "Authorization: bearer sixteen-letters-", "4", 0, "content_too_large"},
		{"all right", "203.0.113.9:5", "POST", "/hook/x", good, "3", 0, "passes"},
	} {
		g := with(t, hosts, all)
		for range c.before {
			g.judged(request("POST", "/hook/x", good))
		}
		r := request(c.method, c.target, "Content-Length: "+c.length)
		if r.RemoteAddr = c.from; c.credentials != "" {
			r = request(c.method, c.target, c.credentials, "Content-Length: "+c.length)
			r.RemoteAddr = c.from
		}
		if got := g.judged(r); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestAClaimWithoutAPolicyLetsEverythingIn(t *testing.T) {
	g := with(t, hosts, `{}`)
	if got := g.judged(request("GET", "/")); got != "passes" {
		t.Errorf("%s, want passes", got)
	}
	if err := g.change(`{"methods":["POST"]}`); err != nil || g.judged(request("GET", "/")) != "method_refused" {
		t.Errorf("a policy that was added is not enforced: %v", err)
	}
	if err := g.change(`{}`); err != nil || g.judged(request("GET", "/")) != "passes" {
		t.Errorf("a policy that was ended is enforced: %v", err)
	}
}

func TestAnInvalidPolicyIsRefused(t *testing.T) {
	long := strings.Repeat("x", 73)
	for policy, pointer := range map[string]string{
		`7`: "policy", `{"basics":[]}`: "policy/basics", `{"ip":{"deny":["::1"],"allow":["::1"]}}`: "policy/ip/deny",
		`{"basic":[{"user":"ann","hash":"$2a$31$x"}]}`: "policy/basic/0/hash", `{"bearer":[{"name":"ci","hash":"00"}]}`: "policy/bearer/0/hash",
		`{"basic":[]}`: "policy/basic", `{"basic":[{"password":"x"}]}`: "policy/basic/0/user", `{"basic":[{"user":"a:b","password":"x"}]}`: "policy/basic/0/user",
		`{"basic":[{"user":"a","password":"x"},{"user":"a","password":"y"}]}`: "policy/basic/1/user",
		`{"basic":[{"user":"a","password":"` + long + `"}]}`:                  "policy/basic/0/password", `{"basic":[{"user":"a","password":"\u0000"}]}`: "policy/basic/0/password",
		`{"basic":[{"user":"a","password":7}]}`: "policy/basic/0/password",
		`{"bearer":[]}`:                         "policy/bearer", `{"bearer":[{"name":"ci","token":"short"}]}`: "policy/bearer/0/token", `{"bearer":[{"name":"","token":"sixteen-letters-"}]}`: "policy/bearer/0/name",
		`{"ip":{}}`: "policy/ip/allow", `{"ip":{"allow":[]}}`: "policy/ip/allow", `{"ip":{"allow":["10.0.0.1/8"]}}`: "policy/ip/allow/0", `{"ip":{"allow":["::1","x"]}}`: "policy/ip/allow/1", `{"ip":{"allow":["fe80::1%eth0"]}}`: "policy/ip/allow/0",
		`{"methods":[]}`: "policy/methods", `{"methods":["GET","A B"]}`: "policy/methods/1",
		`{"paths":[]}`: "policy/paths", `{"paths":["hook/"]}`: "policy/paths/0", `{"paths":["/a/../b"]}`: "policy/paths/0", `{"paths":["/a?x"]}`: "policy/paths/0",
		`{"rate":{}}`: "policy/rate/perMinute", `{"rate":{"perMinute":0}}`: "policy/rate/perMinute", `{"content":{"maxBytes":-1}}`: "policy/content/maxBytes",
		`{"webhook":{"secret":"x"}}`: "policy/webhook/preset", `{"webhook":{"preset":"gitlab","secret":"x"}}`: "policy/webhook/preset", `{"webhook":{"preset":"standard","secret":"whsec_c2hvcnQ="}}`: "policy/webhook/secret",
		`{"webhook":{"preset":"standard","secret":"whpk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}}`: "policy/webhook/secret", `{"webhook":{"preset":"discord","secret":"00ff"}}`: "policy/webhook/secret", `{"webhook":{"preset":"github","secret":"` + strings.Repeat("x", 257) + `"}}`: "policy/webhook/secret",
		`{"offline":{}}`: "policy/offline/mode", `{"offline":{"mode":"gone"}}`: "policy/offline/mode", `{"offline":{"mode":"wait","status":503}}`: "policy/offline/mode", `{"offline":{"mode":"canned","status":101}}`: "policy/offline/status",
		`{"offline":{"mode":"canned","status":204,"body":"x"}}`: "policy/offline/body", `{"offline":{"mode":"canned","body":"` + strings.Repeat("x", 8193) + `"}}`: "policy/offline/body",
		`{"offline":{"mode":"canned","headers":[["Content-Length","1"]]}}`: "policy/offline/headers/0/0", `{"offline":{"mode":"canned","headers":[["X-A","b"],["transfer-encoding","chunked"]]}}`: "policy/offline/headers/1/0",
		`{"offline":{"mode":"canned","headers":[["X-A","b\r\nc: d"]]}}`: "policy/offline/headers/0/1", `{"offline":{"mode":"canned","headers":[["A b","c"]]}}`: "policy/offline/headers/0/0",
	} {
		_, err := read(policy)
		if e, ok := err.(*terms.Error); !ok || e.Code != schema.CodeBadMember || e.Member != pointer || e.Detail == "" {
			t.Errorf("%s: %+v, want a fault at %s", policy, err, pointer)
		} else if strings.Contains(e.Detail, long) || strings.Contains(e.Detail, "sixteen") {
			t.Errorf("%s: the detail repeats a secret: %s", policy, e.Detail)
		}
	}
}

func TestBasicNeedsAnOriginOfItsOwn(t *testing.T) {
	g := with(t, "http://example.com/at/{label}/", `{"bearer":[{"name":"ci","token":"sixteen-letters-"}]}`)
	err := g.change(`{"basic":[{"user":"ann","password":"pw"}]}`)
	if p := problem.Of(err); p.Code != schema.CodeBadMember || p.Pointer != "/policy/basic" {
		t.Errorf("basic in the path shape: %v", err)
	}
}

func TestSecretsAreStoredByNameAndNeverShown(t *testing.T) {
	g := with(t, hosts, `{"basic":[{"user":"ann","password":"pw-of-ann"},{"user":"bob","password":"pw-of-bob"}],"bearer":[{"name":"ci","token":"sixteen-letters-"}]}`)
	lets := func(what, credentials, want string) {
		t.Helper()
		if got := g.judged(request("GET", "/", credentials)); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	shown := func() string {
		text, err := json.Marshal(g.State().Others[terms.Policy])
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if got, want := shown(), `{"basic":[{"user":"ann"},{"user":"bob"}],"bearer":[{"name":"ci"}]}`; got != want {
		t.Errorf("shown %s, want %s", got, want)
	}
	if err := g.change(shown()); err != nil { // as it was shown
		t.Fatal(err)
	}
	lets("ann as before", basicOf("ann", "pw-of-ann"), "passes")
	lets("ci as before", "Authorization: Bearer sixteen-letters-", "passes")
	if err := g.change(`{"basic":[{"user":"bob"},{"user":"ann","password":"new"}]}`); err != nil {
		t.Fatal(err)
	}
	lets("ann's old password", basicOf("ann", "pw-of-ann"), "credentials_wrong")
	lets("ann's new password", basicOf("ann", "new"), "passes")
	lets("bob as before", basicOf("bob", "pw-of-bob"), "passes")
	lets("ci is gone", "Authorization: Bearer sixteen-letters-", "credentials_needed")
	err := g.change(`{"basic":[{"user":"ann"},{"user":"eve"}]}`)
	if p := problem.Of(err); p.Code != schema.CodeBadMember || p.Pointer != "/policy/basic/1/password" {
		t.Errorf("somebody without a password: %v", err)
	}
	lets("ann after a change that failed", basicOf("ann", "new"), "passes")
}

func TestAStoredPolicyCanBeReadAgain(t *testing.T) {
	set, err := read(`{"basic":[{"user":"ann","password":"a-password"}],"bearer":[{"name":"ci","token":"sixteen-letters-"}],"ip":{"allow":["::1"]},"rate":{"perMinute":5}}`)
	if err != nil {
		t.Fatal(err)
	}
	values, err := terms.Keep(set.Others)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"a-password", "sixteen-letters-"} {
		if strings.Contains(string(values[terms.Policy]), secret) {
			t.Errorf("kept %s with a secret", values[terms.Policy])
		}
	}
	again, err := terms.Kept(values)
	if err != nil || !reflect.DeepEqual(again[terms.Policy], set.Others[terms.Policy]) {
		t.Errorf("read again %+v %v, want %+v", again[terms.Policy], err, set.Others[terms.Policy])
	}
	one, err := kept([]byte(example))
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := json.Marshal(one); strings.Count(string(text), "secret-") != strings.Count(example, "secret-") {
		t.Errorf("kept %s, want the secrets of %s", text, example)
	}
	if text, _ := json.Marshal(one.Shown()); strings.Contains(string(text), "secret-") {
		t.Errorf("shown %s", text)
	}
}

func TestWhichAddressesAreLetIn(t *testing.T) {
	g := with(t, hosts, `{"ip":{"allow":["203.0.113.0/24","::ffff:198.51.100.0/120","2001:db8::/32","192.0.2.1"]}}`)
	for from, want := range map[string]string{
		"203.0.113.9:1": "passes", "[::ffff:203.0.113.9]:1": "passes", "198.51.100.7:1": "passes", "[2001:db8::1]:1": "passes", "[2001:db8::1%eth0]:1": "passes", "192.0.2.1:0": "passes",
		"203.0.114.9:1": "address_refused", "[::ffff:203.0.114.9]:1": "address_refused", "198.51.101.1:1": "address_refused", "[2001:db9::1]:1": "address_refused", "192.0.2.2:1": "address_refused",
		"[::1]:1": "address_refused", "127.0.0.1:1": "address_refused", "": "address_refused", "somewhere": "address_refused",
	} {
		r := request("GET", "/", "X-Forwarded-For: 203.0.113.9", "Forwarded: for=203.0.113.9")
		r.RemoteAddr = from
		if got := g.judged(r); got != want {
			t.Errorf("%q: %s, want %s", from, got, want)
		}
	}
}

func TestWhichMethodsAreLetIn(t *testing.T) {
	g := with(t, hosts, `{"methods":["GET","POST"]}`)
	for method, want := range map[string]string{"GET": "passes", "POST": "passes", "HEAD": "method_refused", "get": "method_refused", "OPTIONS": "method_refused", "DELETE": "method_refused"} {
		v := g.asked(request(method, "/"))
		got := "passes"
		if v.Refuse != nil {
			got = string(v.Refuse.Code)
		}
		if got != want || v.Refuse != nil && (len(v.Refuse.Fields) != 1 || v.Refuse.Fields[0].Value != "GET, POST") {
			t.Errorf("%s: %s %+v, want %s", method, got, v.Refuse, want)
		}
	}
}

// TestPathsThatServersReadInDifferentWaysAreRefused has ways to leave a folder.
func TestPathsThatServersReadInDifferentWaysAreRefused(t *testing.T) {
	host, path := with(t, hosts, `{"paths":["/hook/","/one","/caf%C3%A9/"]}`), with(t, "http://example.com/at/{label}/", `{"paths":["/hook/"]}`)
	for target, want := range map[string]string{
		"/hook/": "passes", "/hook/x": "passes", "/hook/x/": "passes", "/hook/x?y=/../z": "passes", "/%68ook/x": "passes", "/hook/x%20y": "passes", "/hook/100%25": "passes", "/hook/a;b": "passes", "/hook/...": "passes",
		"/one": "passes", "/one?x": "passes", "/one/two": "passes", "/caf%c3%a9/": "passes", "/café/": "passes",
		"http://demo.example.com/hook/x": "passes", "HTTP://else/one": "passes",
		"/": "path_refused", "/hook": "path_refused", "/hooks/": "path_refused", "/oneself": "path_refused", "/Hook/x": "path_refused", "*": "path_refused",
		"http://demo.example.com": "path_refused", "http://demo.example.com?/hook/": "path_refused", "http://demo.example.com/hook/../x": "path_refused",
		"/hook/..": "path_refused", "/hook/../admin": "path_refused", "/hook/./x": "path_refused", "/hook/.": "path_refused",
		"/hook/%2e%2e/admin": "path_refused", "/hook/.%2E/admin": "path_refused", "/hook/%2e": "path_refused", "/hook/%252e%252e/admin": "path_refused",
		"/hook//admin": "path_refused", "//hook/": "path_refused", "/hook//": "path_refused", "/hook/%2fadmin": "path_refused", "/hook%2Fx": "path_refused", "/hook%2Fx%25": "path_refused", "/hook/a%2fb": "path_refused", "/hook/a%252fb": "path_refused", "/hook/..%2fadmin": "path_refused", "/hook/..%252fadmin": "path_refused",
		`/hook/..\admin`: "path_refused", "/hook/..%5cadmin": "path_refused", "/hook/%255c": "path_refused", "/hook/..;/admin": "path_refused", "/hook/;/x": "path_refused", "/hook/%2e%2e%3b/admin": "path_refused",
		"/hook/%00": "path_refused", "/hook/%0a": "path_refused", "/hook/%": "path_refused", "/hook/%zz": "path_refused",
		"/hook/%25zz/%252e%252e/admin": "path_refused", "/hook/%25/%252e%252e/admin": "path_refused", "/hook/%25%252f..": "path_refused", "/hook/%252e.%25": "passes", "/hook/%25a": "passes",
	} {
		if got := host.judged(request("GET", target)); got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
	for target, want := range map[string]string{
		"/at/demo/hook/x": "passes", "http://example.com/at/demo/hook/": "passes", "/at/demo/": "path_refused", "/at/demo/hook": "path_refused",
		"/at/demo/../demo/hook/": "path_refused", "/at/other/hook/": "path_refused", "/hook/": "path_refused",
	} {
		r := request("GET", target)
		if got := path.judged(r); got != want {
			t.Errorf("%s in the path shape: %s, want %s", target, got, want)
		}
	}
	for target, want := range map[string]string{"/hook/x": "passes", "/": "path_refused", "/at/demo/hook/x": "path_refused", "http://hooks.example.org/at/demo/hook/x": "path_refused"} {
		r := request("GET", target)
		r.Base = "http://hooks.example.org/"
		if got := path.judged(r); got != want {
			t.Errorf("%s at a domain of the claim's own: %s, want %s", target, got, want)
		}
	}
}

func TestRequestsOfAnAddressAreBoundedPerMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := with(t, hosts, `{"rate":{"perMinute":3}}`)
		ask := func(from string) (*problem.Problem, string) {
			r := request("GET", "/")
			r.RemoteAddr = from
			v := g.asked(r)
			if v.Refuse != nil {
				return v.Refuse, string(v.Refuse.Code)
			}
			return nil, "passes"
		}
		expect := func(from, want string) {
			t.Helper()
			if _, got := ask(from); got != want {
				t.Errorf("%s: %s, want %s", from, got, want)
			}
		}
		for range 3 {
			expect("[2001:db8::1]:1", "passes")
		}
		time.Sleep(20 * time.Second)
		if p, got := ask("[2001:db8::2]:1"); got != "rate_limited" || p.After != 40*time.Second { // of the same network
			t.Errorf("%s %+v, want rate_limited for 40 s", got, p)
		}
		expect("[2001:db8:0:1::1]:1", "passes")
		if err := g.change(`{"rate":{"perMinute":4}}`); err != nil {
			t.Fatal(err)
		}
		expect("[2001:db8::1]:1", "passes") // what was asked before counts still
		expect("[2001:db8::1]:1", "rate_limited")
		time.Sleep(40 * time.Second)
		expect("[2001:db8::1]:1", "passes")
	})
}

func TestManyAddressesFillNoMemory(t *testing.T) {
	g := with(t, hosts, `{"rate":{"perMinute":1}}`)
	before := g.Budget.Held(0)
	for i := range 4 * mostWindows {
		r := request("GET", "/")
		r.RemoteAddr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 1).String()
		if got := g.judged(r); got != "passes" {
			t.Fatalf("address %d: %s, want passes", i, got)
		}
	}
	if held := g.Budget.Held(0) - before; held != mostWindows*windowWeight {
		t.Errorf("held %d bytes, want those of %d addresses", held, mostWindows)
	}
	if err := g.Delete(); err != nil {
		t.Fatal(err)
	}
	if held := g.Budget.Held(0); held >= before {
		t.Errorf("held %d bytes after the end of the claim, want less than %d", held, before)
	}
}

func TestContentIsBounded(t *testing.T) {
	g := with(t, hosts, `{"content":{"maxBytes":0}}`)
	for length, want := range map[string]string{"0": "passes", "1": "content_too_large", "99999999999999999999": "content_too_large"} {
		if got := g.judged(request("POST", "/", "Content-Length: "+length)); got != want {
			t.Errorf("%s: %s, want %s", length, got, want)
		}
	}
	v := g.asked(request("POST", "/", "Transfer-Encoding: chunked"))
	if v.Most == nil || *v.Most != 0 {
		t.Errorf("content without a length: %+v, want a bound of 0", v)
	}
}

func TestWhichVisitorsAreLetIn(t *testing.T) {
	both := with(t, hosts, `{"basic":[{"user":"ann","password":"päss:word"}],"bearer":[{"name":"ci","token":"sixteen-letters-"}]}`)
	bearerOnly := with(t, hosts, `{"bearer":[{"name":"ci","token":"sixteen-letters-"}]}`)
	right := basicOf("ann", "päss:word")
	for _, c := range []struct {
		g      *gated
		fields []string
		want   string
		drops  bool
	}{
		{both, nil, "credentials_needed", false},
		{both, []string{right}, "passes", true}, {both, []string{right}, "passes", true}, // cached
		{both, []string{strings.Replace(right, "Basic", "bASIC", 1)}, "passes", true},
		{both, []string{"Authorization: Bearer sixteen-letters-"}, "passes", true},
		{both, []string{basicOf("ann", "päss:wor")}, "credentials_wrong", true}, {both, []string{basicOf("Ann", "päss:word")}, "credentials_wrong", true}, {both, []string{basicOf("", "")}, "credentials_wrong", true},
		{both, []string{"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("ann"))}, "credentials_wrong", true}, {both, []string{"Authorization: Basic !"}, "credentials_wrong", true}, {both, []string{"Authorization: Basic"}, "credentials_wrong", true},
		{both, []string{basicOf("ann", "päss:word\x00päss:word")}, "credentials_wrong", true}, // bcrypt takes a key round
		{both, []string{"Authorization: Bearer sixteen-letters"}, "credentials_wrong", true}, {both, []string{"Authorization: Bearer "}, "credentials_wrong", true},
		{both, []string{right, "Authorization: Digest x"}, "credentials_wrong", true}, {both, []string{"Authorization: Digest x", right}, "credentials_wrong", true},
		{both, []string{"Authorization: Digest x"}, "credentials_needed", false},
		{bearerOnly, []string{right}, "credentials_needed", false}, {bearerOnly, []string{"Authorization: Bearer sixteen-letters-"}, "passes", true},
		{bearerOnly, []string{"Cookie: Authorization=Bearer sixteen-letters-", "X-Authorization: Bearer sixteen-letters-"}, "credentials_needed", false},
	} {
		c.g.Guesses = nil
		v := c.g.asked(request("GET", "/", c.fields...))
		got := "passes"
		if v.Refuse != nil {
			got = string(v.Refuse.Code)
		}
		if drops := len(v.Drop) > 0; got != c.want || drops != c.drops {
			t.Errorf("%v: %s, dropped %v, want %s, %v", c.fields, got, drops, c.want, c.drops)
		}
		if v.Refuse != nil && len(v.Refuse.Fields) == 0 {
			t.Errorf("%v: no challenge", c.fields)
		}
	}
}

func TestPasswordsAreCheckedOnceForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := with(t, hosts, `{"basic":[{"user":"ann","password":"pw"}]}`)
		remembered := func() bool {
			found, _ := g.guards.Load(g.Claim)
			return found.(*guard).rules.Load().letIn.basic["ann"].has("pw")
		}
		ask := func() {
			t.Helper()
			if got := g.judged(request("GET", "/", basicOf("ann", "pw"))); got != "passes" {
				t.Fatalf("%s, want passes", got)
			}
		}
		if remembered() {
			t.Error("a password was right before it was shown")
		}
		ask()
		if !remembered() {
			t.Error("a password that was right is not remembered")
		}
		time.Sleep(provenTime)
		if remembered() {
			t.Error("it is remembered for ever")
		}
		ask()
		if err := g.change(`{"basic":[{"user":"ann","password":"other"}]}`); err != nil {
			t.Fatal(err)
		}
		if got := g.judged(request("GET", "/", basicOf("ann", "pw"))); got != "credentials_wrong" {
			t.Errorf("after a change the old password %s, want credentials_wrong", got)
		}
	})
}

func TestWrongCredentialsCountForAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := with(t, hosts, `{"basic":[{"user":"ann","password":"pw"}],"bearer":[{"name":"ci","token":"sixteen-letters-"}]}`)
		ask := func(from, credentials string) string {
			r := request("GET", "/", credentials)
			if r.RemoteAddr = from; credentials == "" {
				r = request("GET", "/")
			}
			return g.judged(r)
		}
		const one, other = "203.0.113.9:1", "198.51.100.1:1"
		if got := ask(one, basicOf("ann", "pw")); got != "passes" {
			t.Fatalf("%s, want passes", got)
		}
		for i := range 10 {
			guess := "Authorization: Bearer another-of-letters"
			if i == 9 {
				guess = basicOf("ann", "guess")
			}
			if got := ask(one, guess); got != "credentials_wrong" {
				t.Fatalf("guess %d: %s, want credentials_wrong", i, got)
			}
		}
		for what, credentials := range map[string]string{"a guess": basicOf("ann", "guess"), "the password": basicOf("ann", "pw"), "the token": "Authorization: Bearer sixteen-letters-"} {
			if got := ask(one, credentials); got != "rate_limited" {
				t.Errorf("%s after ten guesses: %s, want rate_limited", what, got)
			}
		}
		if got := ask(one, ""); got != "credentials_needed" {
			t.Errorf("without credentials: %s, want credentials_needed", got)
		}
		if got := ask(other, basicOf("ann", "pw")); got != "passes" {
			t.Errorf("from elsewhere: %s, want passes", got)
		}
		time.Sleep(time.Minute)
		if got := ask(one, basicOf("ann", "pw")); got != "passes" {
			t.Errorf("a minute later: %s, want passes", got)
		}
	})
}

// TestConcurrentGuessesCostNoMoreChecks fills the lane, so that all others wait there until ten guesses
// were wrong.
func TestConcurrentGuessesCostNoMoreChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // in which nobody waits for too long
		g := with(t, hosts, `{"basic":[{"user":"ann","password":"pw"}]}`)
		const most = mostWaiting
		var compared atomic.Int32
		compare = func(hash, password []byte) error {
			compared.Add(1)
			return bcrypt.CompareHashAndPassword(hash, password)
		}
		defer func() { compare = bcrypt.CompareHashAndPassword }()
		got := make(chan string, most)
		for range most {
			go func() { got <- g.judged(request("GET", "/", basicOf("ann", "guess"))) }()
		}
		count := map[string]int{}
		for range most {
			count[<-got]++
		}
		if count["credentials_wrong"] != 10 || count["credentials_wrong"]+count["rate_limited"]+count["queue_full"] != most {
			t.Errorf("%v, want 10 credentials_wrong", count)
		}
		if n := int(compared.Load()); n < 10 || n > 9+cap(checking.running) {
			t.Errorf("%d passwords were compared, want 10, and fewer than are at a time besides", n)
		}
	})
}

func TestThePasswordsThatAnAddressSetsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // in which no time passes
		one, other := netip.MustParseAddr("203.0.113.77"), netip.MustParseAddr("198.51.100.77")
		ask := map[string]json.RawMessage{terms.Policy: json.RawMessage(`{"basic":[{"user":"ann","password":"pw"}]}`)}
		var err error
		for n := 0; err == nil; n++ {
			if n > 1_000 {
				t.Fatal("an address sets as many passwords as it likes")
			}
			_, err = terms.Read(terms.Asked{Members: ask, From: one})
		}
		if e, ok := err.(*terms.Error); !ok || e.Code != schema.CodeUnavailable || e.Member != "policy/basic/0/password" {
			t.Errorf("%v, want unavailable", err)
		}
		if _, err := terms.Read(terms.Asked{Members: ask, From: other}); err != nil {
			t.Errorf("another address: %v", err)
		}
	})
}

func TestThePasswordsThatAreHashedAtATimeAreBounded(t *testing.T) {
	l := newLane()
	running, release := make(chan bool), make(chan bool)
	for range cap(l.running) {
		go l.do(func() { running <- true; <-release })
		<-running
	}
	waited := make(chan bool)
	for range mostWaiting - cap(l.running) {
		go func() { waited <- l.do(func() {}) }()
	}
	for len(l.waiting) < mostWaiting {
		time.Sleep(time.Millisecond)
	}
	if l.do(func() { t.Error("one more was hashed") }) {
		t.Error("one more waits than may")
	}
	close(release)
	for range mostWaiting - cap(l.running) {
		if !<-waited {
			t.Error("one that waited had no turn")
		}
	}
	synctest.Test(t, func(t *testing.T) {
		l := newLane()
		begun, end := make(chan bool), make(chan bool)
		for range cap(l.running) {
			go l.do(func() { begun <- true; <-end })
			<-begun
		}
		if start := time.Now(); l.do(func() {}) || time.Since(start) != longestWait {
			t.Errorf("one without a turn waited %v, want %v", time.Since(start), longestWait)
		}
		close(end)
	})
}

func TestNobodyPreventsTheChecksOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLane()
		release := make(chan bool)
		for range cap(l.running) {
			go l.do(func() { <-release })
		}
		synctest.Wait()
		over := make(chan bool, mostWaitingOf+1)
		for i := range mostWaitingOf {
			go func() { over <- l.do(func() {}, i, "a claim") }()
		}
		synctest.Wait()
		if start := time.Now(); l.do(func() {}, "an address", "a claim") || time.Since(start) > 0 {
			t.Error("more wait for an owner than may")
		}
		go func() { over <- l.do(func() {}, "an address", "another claim") }()
		synctest.Wait()
		close(release)
		for range mostWaitingOf + 1 {
			if !<-over {
				t.Error("one that waited had no turn")
			}
		}
		if !l.do(func() {}, "an address", "a claim") || len(l.of) > 0 {
			t.Errorf("%v is counted, and nobody waits", l.of)
		}
	})
}

func TestPasswordsCountForTheirClaimAndAddress(t *testing.T) {
	g := with(t, hosts, `{"basic":[{"user":"ann","password":"secret"}]}`)
	whole := checking
	defer func() { checking = whole }()
	asked := func(want string) {
		t.Helper()
		if got := g.judged(request("GET", "/", "Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte("ann:other")))); got != want {
			t.Errorf("judged %s, want %s", got, want)
		}
	}
	found, _ := g.guards.Load(g.Claim)
	from, _ := g.Trust.Sender(request("GET", "/").RemoteAddr)
	for name, owner := range map[string]any{"the claim": found, "the address": ownersOf(from)[0]} {
		checking = newLane()
		checking.of[owner] = mostWaitingOf
		t.Log(name)
		asked("queue_full")
	}
	checking = newLane()
	asked("credentials_wrong")
}

func TestAPreflightIsAnsweredByTheGate(t *testing.T) {
	preflight := func(fields ...string) *claim.Request {
		return request("OPTIONS", "/hook/", append([]string{"Origin: https://app.example", "Access-Control-Request-Method: PUT"}, fields...)...)
	}
	for policy, want := range map[string]string{
		`{"basic":[{"user":"ann","password":"pw"}]}`: "answered", `{"bearer":[{"name":"ci","token":"sixteen-letters-"}]}`: "answered", `{"methods":["PUT"]}`: "answered",
		`{"methods":["PUT","OPTIONS"]}`: "passes", `{"rate":{"perMinute":9}}`: "passes", `{"methods":["POST"]}`: "method_refused",
		`{"basic":[{"user":"ann","password":"pw"}],"paths":["/other/"]}`: "path_refused", `{"basic":[{"user":"ann","password":"pw"}],"ip":{"allow":["::1"]}}`: "address_refused",
	} {
		g := with(t, hosts, policy)
		v := g.asked(preflight("Access-Control-Request-Headers: authorization,x-a"))
		if got := g.judged(preflight()); got != want {
			t.Errorf("%s: %s, want %s", policy, got, want)
		}
		if want != "answered" {
			continue
		}
		told := map[string]string{}
		for _, f := range v.Answer.Fields {
			told[f.Name] = f.Value
		}
		if v.Answer.Status != 204 || told["Access-Control-Allow-Origin"] != "*" || told["Access-Control-Allow-Methods"] != "PUT" || told["Access-Control-Allow-Headers"] != "authorization,x-a" ||
			told["Cache-Control"] != "no-store" || told["Access-Control-Allow-Credentials"] != "" {
			t.Errorf("%s: %+v", policy, v.Answer)
		}
	}
	g := with(t, hosts, `{"basic":[{"user":"ann","password":"pw"}]}`)
	for what, r := range map[string]*claim.Request{
		"no Origin": request("OPTIONS", "/", "Access-Control-Request-Method: PUT"), "no method": request("OPTIONS", "/", "Origin: https://app.example"),
		"another method": request("POST", "/", "Origin: https://app.example", "Access-Control-Request-Method: PUT"), "an invalid method": request("OPTIONS", "/", "Origin: https://app.example", "Access-Control-Request-Method: a b"),
	} {
		if got := g.judged(r); got != "credentials_needed" {
			t.Errorf("%s: %s, want credentials_needed", what, got)
		}
	}
}
