package family

import (
	"strings"
	"testing"

	"reversehttp/server/gateway"
	"reversehttp/server/quota"
)

func TestQuotasHoldAtEveryDoor(t *testing.T) {
	limits := func(pairs ...string) *quota.Limits {
		t.Helper()
		l, err := quota.Parse(pairs)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	for name, show := range shows {
		t.Run(name, func(t *testing.T) {
			for what, c := range map[string]struct {
				label  string
				quotas gateway.Quotas
				of     string
			}{
				"a session":          {"demo", gateway.Quotas{Label: limits("sessions=1")}, `"quota":{"of":"label","name":"sessions"}`},
				"one of its address": {"demo", gateway.Quotas{Address: limits("sessions=1")}, `"quota":{"of":"address","name":"sessions"}`},
				"a claim":            {"other", gateway.Quotas{Address: limits("claims=1")}, `"quota":{"of":"address","name":"claims"}`},
			} {
				amongStrangers(t, gateway.Options{Quotas: c.quotas}, func(b *bubble) {
					first := post("/claims", "application/json", `{"label":"`+c.label+`","token":"`+longToken+`"}`)
					if got := b.ask(first); got.StatusCode != 201 {
						t.Fatalf("the first = %d %s", got.StatusCode, got.body)
					}
					got := b.ask(show(longToken))
					if got.StatusCode != 429 || got.code() != "quota_exceeded" || !strings.Contains(got.body, c.of) || got.Header.Get("Retry-After") == "" {
						t.Errorf("%s more = %d %s, want 429 and %s", what, got.StatusCode, got.body, c.of)
					}
				})
			}
		})
	}
}
