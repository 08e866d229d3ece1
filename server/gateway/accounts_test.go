package gateway

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"reversehttp/schema"
	"reversehttp/server/account"
	"reversehttp/server/claim"
	"reversehttp/server/terms"
)

// accountsOf writes a file of accounts, or replaces it.
func accountsOf(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// ann returns a key, and accounts in which it belongs to ann, with the labels ann-*; more has further members of the entry.
func ann(t *testing.T, more string) (key string, d *account.Directory) {
	t.Helper()
	key = account.NewKey()
	a, err := account.Parse([]byte(`{"accounts":[{"name":"ann","keys":["` + account.Hash(key) + `"],"labels":["ann-*","admin"]` + more + `}]}`))
	if err != nil {
		t.Fatal(err)
	}
	return key, account.Of(a)
}

func (w *world) claims(key, content string) *reply {
	w.t.Helper()
	return w.send("POST", "/claims", key, json.RawMessage(content))
}

func TestOnlyItsAccountCanClaimAReservedLabel(t *testing.T) {
	key, accounts := ann(t, "")
	inWorld(t, Options{Accounts: accounts}, func(w *world) {
		refused := func(when string) {
			t.Helper()
			if got := w.claims("", `{"label":"ann-1","token":"`+longToken+`"}`); got.code() != schema.CodeLabelReserved {
				t.Fatalf("%s a stranger's claim = %d %s, want label_reserved", when, got.Status, got.Content)
			}
		}
		refused("before it was claimed")
		got := w.claims(key, `{"label":"ann-1","token":"`+longToken+`"}`)
		if got.Status != 201 || !strings.Contains(string(got.Content), `"account":"ann"`) {
			t.Fatalf("the owner's claim = %d %s, want 201, and its account", got.Status, got.Content)
		}
		if again := w.claims("", `{"label":"ann-1","token":"`+longToken+`"}`); again.Status != 200 {
			t.Errorf("the token of the claim without a key = %d %s, want 200", again.Status, again.Content)
		}
		if got := w.send("DELETE", into[schema.ClaimAnswer](t, got).Claim, longToken, nil); got.Status != 204 {
			t.Fatal(got.Status)
		}
		refused("after it was given up")
		if got := w.claims("", `{"label":"admin","token":"`+longToken+`"}`); got.code() != schema.CodeLabelReserved {
			t.Errorf("a reserved label = %d %s", got.Status, got.Content)
		}
		if got := w.claims(key, `{"label":"admin"}`); got.Status != 201 {
			t.Errorf("a label that the operator gave by its name = %d %s, want 201", got.Status, got.Content)
		}
		if got := w.claims(key, `{"label":"free"}`); got.Status != 201 {
			t.Errorf("a label without an account = %d %s, want 201", got.Status, got.Content)
		}
	})
}

func TestAWrongKeyIsRefusedEvenIfNoneIsNeeded(t *testing.T) {
	key, open := ann(t, "")
	closed, err := account.Parse([]byte(`{"accounts":[{"name":"ann","keys":["` + account.Hash(key) + `"]}],"strangers":false}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]Options{"strangers may claim": {Accounts: open}, "accounts only": {Accounts: account.Of(closed)}, "and keys without a name": {Accounts: open, Keys: []string{"sesame"}}} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, o, func(w *world) {
				strangers := name == "strangers may claim"
				if d := into[schema.Discovery](t, w.send("GET", "/.well-known/reversehttp", "", nil)); d.KeyNeeded == strangers {
					t.Errorf("keyNeeded = %v", d.KeyNeeded)
				}
				if got := w.claims("", `{}`); strangers != (got.Status == 201) || !strangers && got.code() != schema.CodeKeyNeeded {
					t.Errorf("without a key = %d %s", got.Status, got.Content)
				}
				for _, wrong := range []string{account.NewKey(), account.Hash(key), key[:len(key)-1], "x"} {
					if got := w.claims(wrong, `{}`); got.code() != schema.CodeKeyWrong {
						t.Errorf("a wrong key = %d %s, want key_wrong", got.Status, got.Content)
					}
				}
				if got := w.claims(key, `{}`); got.Status != 201 {
					t.Errorf("the key = %d %s, want 201", got.Status, got.Content)
				}
				if got := w.claims("sesame", `{"label":"ann-2"}`); o.Keys != nil && got.code() != schema.CodeLabelReserved {
					t.Errorf("a key without a name = %d %s for a label of ann, want label_reserved", got.Status, got.Content)
				}
				if got := w.claims("sesame", `{}`); o.Keys != nil && got.Status != 201 {
					t.Errorf("a key without a name = %d %s, want 201", got.Status, got.Content)
				}
			})
		})
	}
}

func TestAnAccountMayAskForALongLease(t *testing.T) {
	key, accounts := ann(t, `,"longestLease":31536000`)
	inWorld(t, Options{Accounts: accounts}, func(w *world) {
		got := w.claims(key, `{"label":"ann-1","lease":31536000}`)
		if got.Status != 201 {
			t.Fatalf("a lease of a year = %d %s, want 201", got.Status, got.Content)
		}
		c := into[schema.ClaimAnswer](t, got)
		if got := w.send("PATCH", c.Claim, c.Token, json.RawMessage(`{"lease":31536001}`)); got.code() != schema.CodeBadLease {
			t.Errorf("more than the account may = %d %s, want bad_lease", got.Status, got.Content)
		}
		if got := w.send("PATCH", c.Claim, c.Token, json.RawMessage(`{"lease":86401}`)); got.Status != 200 {
			t.Errorf("a change with the token of the claim = %d %s, want 200", got.Status, got.Content)
		}
		if got := w.claims("", `{"label":"other","lease":86401}`); got.code() != schema.CodeBadLease || !strings.Contains(string(got.Content), "86400") {
			t.Errorf("a stranger's lease of a year = %d %s, want bad_lease, and the longest lease", got.Status, got.Content)
		}
		// The claim lives on without polls for the requested lease.
		w.send("GET", c.Requests, c.Token, nil, schema.Field{"Prefer", "wait=0"})
		time.Sleep(24 * time.Hour)
		if got := w.send("GET", c.Claim, c.Token, nil); got.Status != 200 {
			t.Errorf("after a day = %d %s, want the claim", got.Status, got.Content)
		}
		time.Sleep(time.Hour)
		if got := w.send("GET", c.Claim, c.Token, nil); got.Status != 404 {
			t.Errorf("after its lease = %d %s, want no claim", got.Status, got.Content)
		}
	})
}

func TestAChangeOfAccountsEndsClaimsThatAreNoLongerAllowed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.json")
	key := account.NewKey()
	entry := `{"name":"ann","keys":["` + account.Hash(key) + `"],"labels":["ann-*"]}`
	accountsOf(t, path, `{"accounts":[`+entry+`,{"name":"bob"}]}`)
	var log safeBuffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	synctest.Test(t, func(t *testing.T) {
		d, err := account.Open(path, terms.ReadPolicy, logger)
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, Options{Accounts: d, Log: logger})
		there := func(label string) bool { return w.gateway.Registry().Lookup(label) != nil }
		for k, label := range map[string]string{"": "later", key: "ann-1"} {
			if got := w.claims(k, `{"label":"`+label+`","token":"`+longToken+`","lease":86400}`); got.Status != 201 {
				t.Fatal(got.Status, string(got.Content))
			}
		}
		accountsOf(t, path, `{"accounts":[`+entry+`,{"name":"bob","labels":["later"]`) // half of the file
		time.Sleep(2 * account.LookEvery)
		if !there("later") || !there("ann-1") || !strings.Contains(log.String(), "cannot read accounts again") {
			t.Fatalf("a half-written file changed something, or was not reported: %s", log.String())
		}
		if n := strings.Count(log.String(), "cannot read accounts again"); n != 1 {
			t.Errorf("the log reports %d times that the file is wrong, want once", n)
		}
		accountsOf(t, path, `{"accounts":[`+entry+`,{"name":"bob","labels":["later"]}]}`)
		time.Sleep(account.LookEvery)
		synctest.Wait()
		if there("later") || !there("ann-1") {
			t.Error("a stranger still has a label that is bob's now, or ann's claim ended")
		}
		accountsOf(t, path, `{"accounts":[{"name":"bob","labels":["later"]}]}`)
		w.gateway.LookAtAccounts()
		if there("ann-1") {
			t.Error("a claim of a removed account still serves")
		}
		if got := w.claims(key, `{}`); got.code() != schema.CodeKeyWrong {
			t.Errorf("its key = %d %s, want key_wrong", got.Status, got.Content)
		}
		if got := log.String(); strings.Contains(got, key) || strings.Contains(got, account.Hash(key)) || !strings.Contains(got, "account=ann") {
			t.Errorf("the log has a key, or not the name: %s", got)
		}
	})
}

func TestStoredClaimsThatAreNoLongerAllowedAreNotRestored(t *testing.T) {
	_, accounts := ann(t, "")
	record := claim.Record{Label: "ann-1", Token: claim.HashToken("t0"), Terms: claim.Terms{Lease: time.Minute, Timeout: time.Minute, Redeliver: claim.RedeliverIdempotent}}
	records := claim.NewMemoryRecords()
	revision, err := records.Create(t.Context(), record)
	if err != nil {
		t.Fatal(err)
	}
	inWorld(t, Options{Accounts: accounts, Records: records, Kept: []claim.Kept{{Record: record, Revision: revision}}}, func(w *world) {
		if w.gateway.Registry().Lookup("ann-1") != nil {
			t.Error("a stranger's claim of a label that is ann's by now was restored")
		}
		if r, _, err := records.Get(t.Context(), "ann-1"); err != nil || r.Released.IsZero() {
			t.Errorf("its record: %+v %v, want that of a released label", r, err)
		}
	})
}

func TestNobodySetsTheAccountOfAClaim(t *testing.T) {
	_, accounts := ann(t, `,"longestLease":31536000`)
	inWorld(t, Options{Accounts: accounts}, func(w *world) {
		got := w.claims("", `{"label":"demo","account":{"name":"ann"},"token":"`+longToken+`"}`)
		if got.Status != 201 || bytes.Contains(got.Content, []byte("ann")) {
			t.Errorf("a claim with an account = %d %s, want one without", got.Status, got.Content)
		}
		at := into[schema.ClaimAnswer](t, got).Claim
		for _, content := range []string{`{"account":{"name":"ann"},"lease":86401}`, `{"account":"ann","lease":86401}`} {
			if got := w.send(http.MethodPatch, at, longToken, json.RawMessage(content)); got.code() != schema.CodeBadLease {
				t.Errorf("%s = %d %s, want bad_lease", content, got.Status, got.Content)
			}
		}
	})
}

func TestATokenOfAnIssuerActsAsAnAccountWhileItIsValid(t *testing.T) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: private.Public(), KeyID: "k"}}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	accountsOf(t, dir+"/jwks", string(keys))
	accountsOf(t, dir+"/accounts", `{"accounts":[{"name":"ann","labels":["ann-*"]}],"strangers":false}`)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: private}, (&jose.SignerOptions{}).WithHeader("kid", "k"))
	if err != nil {
		t.Fatal(err)
	}
	token := func(life time.Duration, subject string) string {
		t.Helper()
		s, err := jwt.Signed(signer).Claims(map[string]any{
			"iss": "i", "aud": "a", "sub": subject, "exp": time.Now().Add(life).Unix(), "labels": []string{"build-*", "ann-*"},
		}).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	records := claim.NewMemoryRecords()
	synctest.Test(t, func(t *testing.T) {
		d, err := account.Open(dir+"/accounts", terms.ReadPolicy, slog.New(slog.DiscardHandler))
		if err == nil {
			err = d.Trust(dir+"/jwks", "i", "a")
		}
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, Options{Accounts: d, Records: records})
		there := func(label string) bool { return w.gateway.Registry().Lookup(label) != nil }
		ask := func(key, label string) *reply {
			return w.claims(key, `{"label":"`+label+`","token":"`+longToken+`","lease":86400}`)
		}
		if got := ask(token(time.Hour, "ci"), "other"); got.code() != schema.CodeLabelReserved {
			t.Errorf("a label outside of the token = %d %s, want label_reserved", got.Status, got.Content)
		}
		if got := ask(token(time.Hour, "ci"), "ann-1"); got.code() != schema.CodeLabelReserved {
			t.Errorf("a label of an account = %d %s, want label_reserved", got.Status, got.Content)
		}
		if got := w.claims(token(time.Hour, "ci"), `{}`); got.code() != schema.CodeLabelReserved {
			t.Errorf("no label = %d %s, want label_reserved", got.Status, got.Content)
		}
		var last *reply
		var c schema.ClaimAnswer
		for _, label := range []string{"build-1", "build-2", "build-3"} {
			last = ask(token(time.Hour, "ci"), label)
			if last.Status != 201 || !strings.Contains(string(last.Content), `"account":"jwt:ci"`) {
				t.Fatalf("%s = %d %s, want 201", label, last.Status, last.Content)
			}
			c = into[schema.ClaimAnswer](t, last)
			w.send("GET", c.Requests, c.Token, nil, schema.Field{"Prefer", "wait=0"})
		}
		time.Sleep(50 * time.Minute)
		if got := ask(token(time.Hour, "ci"), "build-2"); got.Status != 200 {
			t.Errorf("claimed again = %d %s", got.Status, got.Content)
		}
		if got := ask(token(time.Hour, "another"), "build-1"); got.Status != 200 {
			t.Errorf("with the token of another subject = %d %s", got.Status, got.Content)
		}
		time.Sleep(10*time.Minute + account.Skew + account.LookEvery)
		synctest.Wait()
		if there("build-3") || !there("build-2") {
			t.Errorf("an hour later build-3 is there: %v, and build-2, with a newer token: %v; want the second only", there("build-3"), there("build-2"))
		}
		if there("build-1") {
			t.Error("a token of another subject kept build-1")
		}
		if got := w.send("GET", c.Requests, c.Token, nil); got.Status != 410 {
			t.Errorf("a poll of a session whose account ended = %d %s, want 410", got.Status, got.Content)
		}
		if got := ask(token(-2*account.Skew, "ci"), "build-4"); got.code() != schema.CodeKeyWrong || !strings.Contains(string(got.Content), "expired") {
			t.Errorf("an old token = %d %s, want key_wrong", got.Status, got.Content)
		}

		// A gateway that starts again without an issuer ends them too.
		record, revision, err := records.Get(t.Context(), "build-2")
		if err != nil {
			t.Fatal(err)
		}
		next := newWorld(t, Options{Records: records, Kept: []claim.Kept{{Record: record, Revision: revision}}})
		if next.gateway.Registry().Lookup("build-2") == nil {
			t.Error("a claim whose token is valid was not restored")
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if next.gateway.Registry().Lookup("build-2") != nil {
			t.Error("a claim that was restored outlives its token")
		}
	})
}

func TestClaimsOfAnAccountBeginWithItsPolicy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.json")
	key := account.NewKey()
	file := func(policy string) {
		accountsOf(t, path, `{"accounts":[{"name":"ann","keys":["`+account.Hash(key)+`"],"policy":`+policy+`}]}`)
	}
	for _, bad := range []string{`{"method":["GET"]}`, `{"methods":"GET"}`, `{}`, `[]`, `7`} {
		file(bad)
		if _, err := account.Open(path, terms.ReadPolicy, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("the policy %s is accepted", bad)
		}
	}
	file(`{"methods":["GET"],"bearer":[{"name":"ci","token":"sesame-of-the-operator"}]}`)
	d, err := account.Open(path, terms.ReadPolicy, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for shape, template := range map[string]string{"an origin each": "http://{label}.localhost:8080/", "one origin": "http://localhost:8080/at/{label}/"} {
		t.Run(shape, func(t *testing.T) {
			inWorld(t, Options{Accounts: d, PublicURL: template}, func(w *world) {
				visit := func(label, method string, fields ...string) int {
					v := w.visit(requestTo(method, label+".localhost:8080", "/", fields...))
					if shape == "one origin" {
						v = w.visit(requestTo(method, "localhost:8080", "/at/"+label+"/", fields...))
					}
					return v.await().Status
				}
				got := w.claims(key, `{"label":"kept","token":"`+longToken+`"}`)
				if got.Status != 201 || !bytes.Contains(got.Content, []byte(`"policy":{`)) || bytes.Contains(got.Content, []byte("sesame")) {
					t.Fatalf("a claim of the account = %d %s, want its policy without secrets", got.Status, got.Content)
				}
				if a, b := visit("kept", "POST"), visit("kept", "GET"); a != 405 || b != 401 {
					t.Errorf("POST and GET = %d and %d, want 405 and 401", a, b)
				}
				if got := w.claims(key, `{"label":"own","policy":{"methods":["PUT"]}}`); got.Status != 201 || bytes.Contains(got.Content, []byte("bearer")) {
					t.Errorf("with a policy of its own = %d %s", got.Status, got.Content)
				}
				if got := w.claims("", `{"label":"other"}`); got.Status != 201 || bytes.Contains(got.Content, []byte(`"policy"`)) {
					t.Errorf("a stranger = %d %s, want no policy", got.Status, got.Content)
				}
			})
		})
	}

	// A policy that cannot be enforced in the path shape prevents the claim.
	file(`{"basic":[{"user":"ann","password":"sesame-of-the-operator"}]}`)
	d.Look()
	inWorld(t, Options{Accounts: d, PublicURL: "http://localhost:8080/at/{label}/"}, func(w *world) {
		if got := w.claims(key, `{"label":"kept"}`); got.Status != 400 {
			t.Errorf("a claim whose policy cannot be enforced = %d %s, want 400", got.Status, got.Content)
		}
	})
}
