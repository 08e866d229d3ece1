package gateway

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"reversehttp/schema"
	"reversehttp/server/account"
	"reversehttp/server/audit"
	"reversehttp/server/terms"
)

// audited runs a test with a gateway that has an audit log, and returns the entries at the end.
func audited(t *testing.T, o Options, test func(w *world)) (all []audit.Entry, content string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	inWorld(t, o, func(w *world) {
		l, err := audit.Open(path, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		w.gateway.options.Audit = l
		test(w)
		l.Close()
	})
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var e audit.Entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Errorf("%q: %v", line, err)
		}
		all = append(all, e)
	}
	return all, string(text)
}

func TestTheAuditLogHasTheEventsOfClaims(t *testing.T) {
	const secret, other, key = "s3cret-of-the-owner", "an0ther-s3cret-token", "k3y-of-the-gateway"
	all, text := audited(t, Options{Keys: []string{key}}, func(w *world) {
		claim := func(label string, lease int) schema.ClaimAnswer {
			got := w.send("POST", "/claims", key, schema.ClaimRequest{Label: &label, Token: new(secret), Lease: &lease})
			if got.Status/100 != 2 {
				t.Fatalf("claim = %d %s", got.Status, got.Content)
			}
			return into[schema.ClaimAnswer](t, got)
		}
		a := claim("demo", 30)
		claim("demo", 30) // again, with nothing changed
		if got := w.send("PATCH", a.Claim, secret, map[string]any{"lease": 20, "token": other, "viewer": true}); got.Status != 200 {
			t.Fatalf("change = %d %s", got.Status, got.Content)
		}
		if got := w.send("DELETE", a.Claim, other, nil); got.Status != 204 {
			t.Fatalf("delete = %d", got.Status)
		}
		claim("late", 1)
		time.Sleep(2 * time.Minute) // until its lease is over
	})
	for i := range all {
		if _, err := time.Parse(time.RFC3339, all[i].Time); err != nil {
			t.Errorf("time %q: %v", all[i].Time, err)
		}
		all[i].Time = ""
	}
	want := []audit.Entry{
		{Event: "claim_made", Label: "demo", Address: visitorIP}, {Event: "claim_changed", Label: "demo", Address: visitorIP, Members: []string{"lease", "token", "viewer"}},
		{Event: "claim_released", Label: "demo", Address: visitorIP}, {Event: "claim_made", Label: "late", Address: visitorIP}, {Event: "claim_ended", Label: "late", Reason: "lease_ended"},
	}
	if !reflect.DeepEqual(all, want) {
		t.Errorf("the audit log has\n%s", text)
	}
	for _, s := range []string{secret, other, key, "rhv_", "rht_"} {
		if strings.Contains(text, s) {
			t.Errorf("the audit log has a secret, %q:\n%s", s, text)
		}
	}
}

// The audit log has less of a policy than its owner may see: only the kinds, and their names.
func TestTheAuditLogHasOnlyKindsAndNamesOfPolicies(t *testing.T) {
	got := kindsOf(map[string]any{
		"basic": []map[string]string{{"user": "ann", "hash": "s3cret"}}, "bearer": []map[string]string{{"name": "ci"}, {"token": "s3cret"}}, "ip": map[string]any{"allow": []string{"203.0.113.0/24"}},
		"webhook": map[string]string{"preset": "github", "secret": "s3cret"}, "share": true, "methods": []string{"GET"}, "rate": map[string]int{"perMinute": 60},
	})
	want := map[string][]string{"basic": {"ann"}, "bearer": {"ci"}, "ip": {}, "webhook": {"github"}, "share": {}, "methods": {}, "rate": {}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("kinds = %v, want %v", got, want)
	}
	if got := kindsOf(nil); len(got) != 0 {
		t.Errorf("kinds of none = %v", got)
	}
}

func TestMetricsCountTheLostEntriesOfTheAuditLog(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		want := []string{"reversehttp_audit_lost_total 0", "reversehttp_audit_written_total 0"}
		if got := w.counted("reversehttp_audit"); !slices.Equal(got, want) {
			t.Errorf("figures: %v, want %v", got, want)
		}
	})
}

func TestTheAuditLogHasAccountsByTheirNames(t *testing.T) {
	path, key, other := filepath.Join(t.TempDir(), "accounts.json"), account.NewKey(), account.NewKey()
	accountsOf(t, path, `{"accounts":[{"name":"ann","keys":["`+account.Hash(key)+`"]}]}`)
	d, err := account.Open(path, terms.ReadPolicy, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	all, text := audited(t, Options{Accounts: d}, func(w *world) {
		if got := w.claims(key, `{"label":"demo"}`); got.Status != 201 {
			t.Fatalf("claim = %d %s", got.Status, got.Content)
		}
		accountsOf(t, path, `{"accounts":[{"name":"ann","keys":["`+account.Hash(key)+`","`+account.Hash(other)+`"]}]}`)
		w.gateway.LookAtAccounts()
	})
	if len(all) != 2 || all[0].Event != audit.ClaimMade || all[0].Account != "ann" || all[1].Event != audit.KeysChanged || all[1].Account != "ann" {
		t.Errorf("the audit log has\n%s", text)
	}
	for _, s := range []string{key, other, account.Hash(key), account.Hash(other)} {
		if strings.Contains(text, strings.TrimPrefix(s, "sha256:")) {
			t.Errorf("the audit log has %q:\n%s", s, text)
		}
	}
}

func TestTheAuditLogHasChangesOfPolicies(t *testing.T) {
	all, text := audited(t, Options{}, func(w *world) {
		p := w.claim("demo")
		policy := `{"policy":{"basic":[{"user":"ann","password":"s3cret-word"}],"bearer":[{"name":"ci","token":"s3cret-token-of-ci"}],"methods":["GET"]}}`
		for range 2 { // the second time only hashes change
			if got := w.send("PATCH", p.Claim, "t0", json.RawMessage(policy)); got.Status != 200 {
				t.Fatalf("PATCH = %d %s", got.Status, got.Content)
			}
		}
		if got := w.send("PATCH", p.Claim, "t0", json.RawMessage(`{"policy":{}}`)); got.Status != 200 {
			t.Fatalf("PATCH = %d %s", got.Status, got.Content)
		}
	})
	if len(all) < 5 || all[1].Event != audit.ClaimChanged || all[2].Event != audit.PolicySet || !reflect.DeepEqual(all[2].Policy, map[string][]string{"basic": {"ann"}, "bearer": {"ci"}, "methods": {}}) {
		t.Errorf("the audit log has\n%s", text)
	}
	if last := all[len(all)-1]; last.Event != audit.PolicySet || len(last.Policy) > 0 {
		t.Errorf("at the end of the policy the audit log has %+v", last)
	}
	for _, secret := range []string{"s3cret", "sha256", "$", "hash", "GET"} {
		if strings.Contains(text, secret) {
			t.Errorf("the audit log has %q:\n%s", secret, text)
		}
	}
}
