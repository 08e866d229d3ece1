package policy

import (
	"strings"
	"time"

	"reversehttp/server/claim"
)

// githubWebhook is the scheme of GitHub, which signs the content, but neither a time nor an id.
func githubWebhook(secret string) (verify, string) {
	return func(head *claim.Request, content []byte, _ time.Time) (id, why string) {
		shown, _ := one(head, "X-Hub-Signature-256")
		coded, ok := strings.CutPrefix(shown, "sha256=")
		if !ok || !signedAs(coded, sign([]byte(secret), content)) {
			return "", "X-Hub-Signature-256 is not right"
		}
		if id, ok = one(head, "X-GitHub-Delivery"); !ok || len(id) > mostID {
			id = strings.ToLower(coded)
		}
		return id, ""
	}, ""
}
