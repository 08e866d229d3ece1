package webhook

import (
	"strings"
	"time"
)

// github is the scheme of GitHub, which signs the content, but neither a time nor an id.
func github(secret string) (Verify, string) {
	return func(fields Fields, content []byte, _ time.Time) (id, why string) {
		shown, _ := one(fields, "X-Hub-Signature-256")
		coded, ok := strings.CutPrefix(shown, "sha256=")
		if !ok || !signedAs(coded, sign([]byte(secret), content)) {
			return "", "X-Hub-Signature-256 is not right"
		}
		if id, ok = one(fields, "X-GitHub-Delivery"); !ok || len(id) > mostID {
			id = strings.ToLower(coded)
		}
		return id, ""
	}, ""
}
