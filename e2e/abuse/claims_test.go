package abuse

import (
	"fmt"
	"net/http"
	"testing"

	"reversehttp/schema"
)

// Each hoarder has its own address, and claims more labels than an address may have.
const (
	hoarders  = 90
	ofHoarder = 25
	ofOne     = 20 // --claims-per-address
	daysLease = 86_400
)

// hoardLabels claims more labels than allowed, for the longest lease, from many addresses, half of which a
// trusted proxy reports. A newcomer then still gets a label.
func hoardLabels(t *testing.T, w *world) {
	lease := daysLease
	asked := 0
	claim := func(hoarder int, label string, token *string) (string, schema.ClaimAnswer) {
		asked++
		ask := schema.ClaimRequest{Label: &label, Lease: &lease, Token: token}
		if hoarder%2 == 0 {
			return w.gateway.ask(proxy, ask, http.Header{"X-Forwarded-For": {fmt.Sprintf("198.51.100.%d", hoarder)}})
		}
		// A peer that is not a proxy cannot change its address by a field.
		return w.gateway.ask(owning(hoarder), ask, http.Header{"X-Forwarded-For": {fmt.Sprintf("203.0.113.%d", asked%256)}})
	}
	var ends tally
	for i := range hoarders {
		var of tally
		var first schema.ClaimAnswer
		for n := range ofHoarder {
			end, answer := claim(i, fmt.Sprintf("hoard-%d-%02d", i, n), nil)
			if of.add(end); n == 0 {
				first = answer
			}
			ends.add(end)
		}
		if of.count("201") != ofOne || of.count("429 quota_exceeded") != ofHoarder-ofOne {
			t.Errorf("hoarder %d got %s; want %d × 201, %d × 429 quota_exceeded", i, &of, ofOne, ofHoarder-ofOne)
			continue
		}
		if end, _ := claim(i, first.Label, &first.Token); end != "200" {
			t.Errorf("hoarder %d got %s for a label of its own, want 200", i, end)
		}
		w.letGo(first)
		if end, _ := claim(i, fmt.Sprintf("hoard-%d-again", i), nil); end != "201" {
			t.Errorf("hoarder %d got %s after it gave a label up, want 201", i, end)
		}
	}
	t.Logf("%d hoarders, %d labels each: %s", hoarders, ofHoarder, &ends)
	end, _ := w.gateway.ask(programs, schema.ClaimRequest{}, nil)
	if end != "201" {
		t.Errorf("POST /claims of an honest program = %s, want 201", end)
	}
	w.goOn("labels are hoarded", 50)
}
