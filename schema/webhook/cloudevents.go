package webhook

import (
	"crypto/subtle"
	"encoding/json"
	"strings"
	"time"
)

// cloudEvents is that of the HTTP webhooks of CloudEvents, which show a bearer token (RFC 6750). Without a secret
// anybody may send. An event is known again by its source and id, in fields or in its JSON.
func cloudEvents(secret string) (Verify, string) {
	return func(fields Fields, content []byte, _ time.Time) (id, why string) {
		if secret != "" {
			shown, _ := one(fields, "Authorization")
			scheme, token, _ := strings.Cut(shown, " ")
			if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare([]byte(token), []byte(secret)) != 1 {
				return "", "the bearer token is not right"
			}
		}
		source, inFields := one(fields, "Ce-Source")
		id, hasID := one(fields, "Ce-Id")
		if !inFields || !hasID {
			source, id = idIn(content, "source", ""), idIn(content, "id", "")
		}
		if source == "" || id == "" || len(source)+len(id) > mostID {
			return digest(content), ""
		}
		// As JSON, so that no two pairs are the same text.
		both, _ := json.Marshal([]string{source, id}) // strings have a form in JSON
		return string(both), ""
	}, ""
}
