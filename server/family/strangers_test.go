package family

import (
	"strconv"
	"strings"
	"testing"

	"reversehttp/server/admission"
	"reversehttp/server/gateway"
)

// paypal returns a request for demo as one for paypal.
func paypal(raw string) string {
	head, content, _ := strings.Cut(strings.ReplaceAll(raw, "demo", "paypal"), "\r\n\r\n")
	_, before, _ := strings.Cut(raw, "\r\n\r\n")
	return strings.Replace(head, "Content-Length: "+strconv.Itoa(len(before)), "Content-Length: "+strconv.Itoa(len(content)), 1) + "\r\n\r\n" + content
}

func TestStrangersCannotClaimNamesOfOthersAtAnyDoor(t *testing.T) {
	for name, show := range shows {
		t.Run(name, func(t *testing.T) {
			amongStrangers(t, gateway.Options{Public: true}, func(b *bubble) {
				if got := b.ask(paypal(show(longToken))); got.StatusCode != 403 || got.code() != "label_reserved" || b.g.Registry().Lookup("paypal") != nil {
					t.Errorf("a stranger = %d %s, want label_reserved", got.StatusCode, got.body)
				}
			})
			amongStrangers(t, gateway.Options{}, func(b *bubble) {
				if got := b.ask(paypal(show(longToken))); got.StatusCode >= 400 || b.g.Registry().Lookup("paypal") == nil {
					t.Errorf("without --public = %d %s, want it claimed", got.StatusCode, got.body)
				}
			})
		})
	}
}

func TestALabelThatWasTakenDownCannotBeClaimedAtAnyDoor(t *testing.T) {
	for name, show := range shows {
		t.Run(name, func(t *testing.T) {
			amongStrangers(t, gateway.Options{}, func(b *bubble) {
				if err := b.g.Admin.Withdrawn.Add(admission.Withdrawal{Label: "demo"}); err != nil {
					t.Fatal(err)
				}
				if got := b.ask(show(longToken)); got.StatusCode != 451 || got.code() != "taken_down" || b.g.Registry().Lookup("demo") != nil {
					t.Errorf("%d %s, want 451 taken_down", got.StatusCode, got.body)
				}
			})
		})
	}
}
