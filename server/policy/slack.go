package policy

import (
	"crypto/hmac"
	"encoding/hex"
	"strings"
	"time"

	"reversehttp/server/claim"
)

// slackWebhook is that of Slack. Events have an id; commands and actions are known again by their signature.
func slackWebhook(secret string) (verify, string) {
	return func(head *claim.Request, content []byte, now time.Time) (id, why string) {
		at, _ := one(head, "X-Slack-Request-Timestamp")
		if !timely(at, now) {
			return "", untimely
		}
		shown, _ := one(head, "X-Slack-Signature")
		coded, ok := strings.CutPrefix(shown, "v0=")
		got, err := hex.DecodeString(coded)
		if !ok || err != nil || !hmac.Equal(sign([]byte(secret), []byte("v0:"+at+":"), content), got) {
			return "", "X-Slack-Signature is not right"
		}
		if id = idIn(content, "event_id"); id == "" {
			id = strings.ToLower(coded)
		}
		return id, ""
	}, ""
}
