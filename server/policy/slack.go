package policy

import (
	"strings"
	"time"

	"reversehttp/server/claim"
)

// slackWebhook is the scheme of Slack. Events have an id; commands and actions are recognised by their signature.
func slackWebhook(secret string) (verify, string) {
	return func(head *claim.Request, content []byte, now time.Time) (id, why string) {
		at, _ := one(head, "X-Slack-Request-Timestamp")
		if !timely(at, now) {
			return "", untimely
		}
		shown, _ := one(head, "X-Slack-Signature")
		coded, ok := strings.CutPrefix(shown, "v0=")
		if !ok || !signedAs(coded, sign([]byte(secret), []byte("v0:"+at+":"), content)) {
			return "", "X-Slack-Signature is not right"
		}
		return idIn(content, "event_id", coded), ""
	}, ""
}
