package webhook

import (
	"strings"
	"time"
)

// stripe is the scheme of Stripe. Its field has a time and any number of signatures.
func stripe(secret string) (Verify, string) {
	return func(fields Fields, content []byte, now time.Time) (id, why string) {
		shown, ok := one(fields, "Stripe-Signature")
		if !ok {
			return "", "it needs one Stripe-Signature"
		}
		var at string
		var signatures []string
		for item := range strings.SplitSeq(shown, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(item), "=")
			switch {
			case name == "t" && at != "":
				return "", "Stripe-Signature has two times"
			case name == "t":
				at = value
			case name == "v1" && len(signatures) < MostSignatures:
				signatures = append(signatures, value)
			}
		}
		if !timely(at, now) {
			return "", untimely
		}
		mac := sign([]byte(secret), []byte(at+"."), content)
		for _, coded := range signatures {
			if signedAs(coded, mac) {
				return idIn(content, "id", coded), ""
			}
		}
		return "", "no signature is right"
	}, ""
}
