package webhook

import (
	"crypto/ed25519"
	"crypto/hmac"
	"encoding/base64"
	"strings"
	"time"
)

// How long a secret of Standard Webhooks may be, in bytes.
const leastStandard, mostStandard = 24, 64

// standard is the scheme of https://www.standardwebhooks.com: signatures v1 (HMAC) with a secret whsec_…, or v1a (ed25519)
// with a public key whpk_….
func standard(secret string) (Verify, string) {
	coded, public := strings.CutPrefix(secret, "whpk_")
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(coded, "whsec_"))
	switch {
	case public && (err != nil || len(key) != ed25519.PublicKeySize):
		return nil, "A public key of Standard Webhooks is whpk_ and 32 bytes in base64."
	case !public && (err != nil || len(key) < leastStandard || len(key) > mostStandard):
		return nil, "A secret of Standard Webhooks is whsec_ and 24 to 64 bytes in base64; a public key is whpk_ and 32 bytes."
	}
	return func(fields Fields, content []byte, now time.Time) (id, why string) {
		id, ok := one(fields, "Webhook-Id")
		// An id with a full stop could be taken for a shorter one with a time.
		if !ok || len(id) > mostID || strings.Contains(id, ".") {
			return "", "it needs one webhook-id, without a full stop"
		}
		at, ok := one(fields, "Webhook-Timestamp")
		if !ok || !timely(at, now) {
			return "", untimely
		}
		shown, ok := one(fields, "Webhook-Signature")
		if !ok {
			return "", "it needs one webhook-signature"
		}
		signed := []byte(id + "." + at + ".")
		mac := sign(key, signed, content)
		for i, signature := range strings.Fields(shown) {
			version, coded, _ := strings.Cut(signature, ",")
			if i == MostSignatures || public != (version == "v1a") || !public && version != "v1" {
				continue
			}
			got, err := base64.StdEncoding.DecodeString(coded)
			if err != nil {
				continue
			}
			if public && ed25519.Verify(key, append(signed[:len(signed):len(signed)], content...), got) || !public && hmac.Equal(mac, got) {
				return id, ""
			}
		}
		return "", "no signature is right"
	}, ""
}
