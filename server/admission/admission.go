// Package admission decides who may claim, which labels, and how often.
package admission

import (
	"crypto/sha256"
	"crypto/subtle"
	"slices"
)

// Keys lets only holders of a key claim. The zero value lets everyone claim.
type Keys struct{ hashes [][sha256.Size]byte }

// NewKeys returns keys with the given texts. It ignores empty ones.
func NewKeys(keys []string) Keys {
	var k Keys
	for _, key := range keys {
		if key != "" {
			k.hashes = append(k.hashes, sha256.Sum256([]byte(key)))
		}
	}
	return k
}

// Needed reports whether a key is needed to claim.
func (k Keys) Needed() bool { return len(k.hashes) > 0 }

// Valid reports whether key is one of the keys, in constant time.
func (k Keys) Valid(key string) bool {
	shown, valid := sha256.Sum256([]byte(key)), 0
	for _, h := range k.hashes {
		valid |= subtle.ConstantTimeCompare(h[:], shown[:])
	}
	return valid == 1
}

// Reserved are the labels that nobody may claim by default: names that people take for the
// operator's own, such as those of the gateway's pages.
var Reserved = []string{
	"www", "api", "admin", "administrator", "root", "mail", "smtp", "imap", "pop", "ns", "ns1", "ns2", "mx", "ftp",
	"auth", "login", "account", "accounts", "oauth", "sso", "billing", "support", "gateway", "console", "control",
	"metrics", "internal", "localhost", "wpad", "isatap", "autoconfig", "autodiscover", "postmaster", "hostmaster",
	"webmaster", "abuse", "security", "reversehttp",
	"ask", "chat", "files", "guides", "hello", "inbox", "mcp", "mock", "playground", "sdk", "status", "vendor", "websub",
}

// NewReserved returns a function that reports whether a label may not be claimed with a token.
// Nobody may claim labels, and only its token may claim a label in owned. Such a token may not
// itself be claimed as a label.
func NewReserved(labels []string, owned map[string]string) func(label, token string) bool {
	return func(label, token string) bool {
		if owner, ok := owned[label]; ok {
			return subtle.ConstantTimeCompare([]byte(owner), []byte(token)) == 0
		}
		for _, secret := range owned { // a label is public, a token is not
			if subtle.ConstantTimeCompare([]byte(secret), []byte(label)) == 1 {
				return true
			}
		}
		return slices.Contains(labels, label)
	}
}
