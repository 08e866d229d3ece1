package webhook

import (
	"crypto/ed25519"
	"encoding/hex"
	"time"
)

// discord is the scheme of Discord, which signs with ed25519. The program answers its PING, as any interaction.
func discord(secret string) (Verify, string) {
	key, err := hex.DecodeString(secret)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return nil, "A public key of Discord is 32 bytes, as 64 hexadecimal digits."
	}
	return func(fields Fields, content []byte, now time.Time) (id, why string) {
		at, _ := one(fields, "X-Signature-Timestamp")
		if !timely(at, now) {
			return "", untimely
		}
		coded, _ := one(fields, "X-Signature-Ed25519")
		got, err := hex.DecodeString(coded)
		if err != nil || !ed25519.Verify(key, append([]byte(at), content...), got) {
			return "", "X-Signature-Ed25519 is not right"
		}
		return idIn(content, "id", coded), ""
	}, ""
}
