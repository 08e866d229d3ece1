package claim

import (
	"crypto/rand"
	"strings"

	petname "github.com/dustinkirkland/golang-petname"
)

// ValidLabel reports whether s can name a claim: a lower-case LDH label of DNS (RFC 1034, 3.5; RFC
// 1123, 2.1) of 1 to 63 characters, without hyphens in the third and fourth place, which RFC 5891,
// 4.2.3.1 reserves for internationalised names.
func ValidLabel(s string) bool {
	if len(s) < 1 || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	if len(s) >= 4 && s[2:4] == "--" {
		return false
	}
	for i := range len(s) {
		switch b := s[i]; {
		case 'a' <= b && b <= 'z', '0' <= b && b <= '9', b == '-':
		default:
			return false
		}
	}
	return true
}

// pickLabel returns a readable random label: two words, and ten characters (50 bits) against guesses
// and collisions. Among a thousand million labels two are equal with a chance of 1 in 400.
func pickLabel() string {
	return petname.Generate(2, "-") + "-" + strings.ToLower(rand.Text()[:10])
}
