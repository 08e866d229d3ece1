package webhook

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"strings"
	"time"
)

// hashes are those of WebSub, 8.1. An HMAC with SHA-1 is not known to be forged, and there are hubs that have no other.
var hashes = map[string]func() hash.Hash{"sha1": sha1.New, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New}

// webSub is that of WebSub's hubs, which sign with the secret that the subscriber gave them, or not at all without.
// Content has neither a time nor an id, so it is known again as it is.
func webSub(secret string) (Verify, string) {
	return func(fields Fields, content []byte, _ time.Time) (id, why string) {
		if secret == "" {
			return digest(content), ""
		}
		shown, _ := one(fields, "X-Hub-Signature")
		method, coded, _ := strings.Cut(shown, "=")
		made := hashes[method]
		if made == nil {
			return "", "X-Hub-Signature has no method that WebSub knows"
		}
		h := hmac.New(made, []byte(secret))
		h.Write(content)
		if !signedAs(coded, h.Sum(nil)) {
			return "", "X-Hub-Signature is not right"
		}
		return digest(content), ""
	}, ""
}
