package claim

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strings"
)

// ValidToken reports whether s can be a token: 1 to 256 of the characters that RFC 6750, 2.1 allows
// after "Bearer ".
func ValidToken(s string) bool {
	if len(s) < 1 || len(s) > 256 {
		return false
	}
	for i := range len(s) {
		b := s[i]
		switch {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9':
		case strings.IndexByte("-._~+/=", b) >= 0:
		default:
			return false
		}
	}
	return true
}

// TokenHash is the hash of a token, which the gateway keeps in its place.
type TokenHash [sha256.Size]byte

// HashToken returns the hash of a token.
func HashToken(token string) TokenHash { return sha256.Sum256([]byte(token)) }

func (h TokenHash) equal(o TokenHash) bool { return subtle.ConstantTimeCompare(h[:], o[:]) == 1 }

// Mark returns a text that is bound to the token of c and to a purpose. It may be public: trying tokens by it takes the secret. Only an
// [Options.Tap] may call it, since the claim must be locked.
func Mark(c *Claim, secret []byte, purpose string) string {
	h := hmac.New(sha256.New, secret)
	h.Write(c.token[:])
	h.Write([]byte(purpose))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:24])
}

// ShortestToken is the fewest characters of a chosen token on a gateway where strangers may guess
// it.
const ShortestToken = 16

// randomName returns at least 128 random bits as lower-case letters and digits.
func randomName() string { return strings.ToLower(rand.Text()) }

// nameLength is how many characters a random name has.
var nameLength = len(randomName())

// isName reports whether s has the form of a random name.
func isName(s string) bool {
	return len(s) == nameLength && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz234567") == ""
}
