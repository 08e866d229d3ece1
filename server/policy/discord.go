package policy

import (
	"crypto/ed25519"
	"encoding/hex"
	"time"

	"reversehttp/server/claim"
)

// discordWebhook is the scheme of Discord, which signs with ed25519. The program answers its PING, as any interaction.
func discordWebhook(secret string) (verify, string) {
	key, err := hex.DecodeString(secret)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return nil, "A public key of Discord is 32 bytes, as 64 hexadecimal digits."
	}
	return func(head *claim.Request, content []byte, now time.Time) (id, why string) {
		at, _ := one(head, "X-Signature-Timestamp")
		if !timely(at, now) {
			return "", untimely
		}
		coded, _ := one(head, "X-Signature-Ed25519")
		got, err := hex.DecodeString(coded)
		if err != nil || !ed25519.Verify(key, append([]byte(at), content...), got) {
			return "", "X-Signature-Ed25519 is not right"
		}
		return idIn(content, "id", coded), ""
	}, ""
}
