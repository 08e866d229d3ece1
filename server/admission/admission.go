// Package admission says who may claim, which labels, and how much.
package admission

import (
	"crypto/sha256"
	"crypto/subtle"
	"slices"
)

// Keys lets only holders of a key claim. The zero value lets everyone.
type Keys struct{ hashes [][sha256.Size]byte }

// NewKeys makes keys of their texts. Empty ones are left out.
func NewKeys(keys []string) Keys {
	var k Keys
	for _, key := range keys {
		if key != "" {
			k.hashes = append(k.hashes, sha256.Sum256([]byte(key)))
		}
	}
	return k
}

// Needed tells whether a key is needed.
func (k Keys) Needed() bool { return len(k.hashes) > 0 }

// Valid tells whether key is one of them, in a time that tells nothing.
func (k Keys) Valid(key string) bool {
	shown, valid := sha256.Sum256([]byte(key)), 0
	for _, h := range k.hashes {
		valid |= subtle.ConstantTimeCompare(h[:], shown[:])
	}
	return valid == 1
}

// Reserved are the labels that nobody may claim by default: names that people
// take for the operator's own, those of the gateway's pages among them.
var Reserved = []string{
	"www", "api", "admin", "administrator", "root", "mail", "smtp", "imap", "pop", "ns", "ns1", "ns2", "mx", "ftp",
	"auth", "login", "account", "accounts", "oauth", "sso", "billing", "support", "gateway", "console", "control",
	"metrics", "internal", "localhost", "wpad", "isatap", "autoconfig", "autodiscover", "postmaster", "hostmaster",
	"webmaster", "abuse", "security", "reversehttp",
	"ask", "chat", "files", "hello", "inbox", "mcp", "mock", "playground", "sdk", "status", "vendor", "websub",
}

// NewReserved returns what reports whether a label may not be claimed with a token: labels are
// for nobody, and those of owned only for their token, which is no label itself.
func NewReserved(labels []string, owned map[string]string) func(label, token string) bool {
	return func(label, token string) bool {
		if owner, ok := owned[label]; ok {
			return subtle.ConstantTimeCompare([]byte(owner), []byte(token)) == 0
		}
		for _, secret := range owned { // a label is public
			if subtle.ConstantTimeCompare([]byte(secret), []byte(label)) == 1 {
				return true
			}
		}
		return slices.Contains(labels, label)
	}
}
