package webhook

import (
	"strings"
	"time"
)

// slack is the scheme of Slack. Events have an id; commands and actions are recognised by their signature.
func slack(secret string) (Verify, string) {
	return func(fields Fields, content []byte, now time.Time) (id, why string) {
		at, _ := one(fields, "X-Slack-Request-Timestamp")
		if !timely(at, now) {
			return "", untimely
		}
		shown, _ := one(fields, "X-Slack-Signature")
		coded, ok := strings.CutPrefix(shown, "v0=")
		if !ok || !signedAs(coded, sign([]byte(secret), []byte("v0:"+at+":"), content)) {
			return "", "X-Slack-Signature is not right"
		}
		return idIn(content, "event_id", coded), ""
	}, ""
}
