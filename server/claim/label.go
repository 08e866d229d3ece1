package claim

import (
	"crypto/rand"
	"strings"

	petname "github.com/dustinkirkland/golang-petname"
)

// ValidLabel tells whether s can name a claim: a lower-case LDH label of DNS
// (RFC 1034, 3.5; RFC 1123, 2.1), 1 to 63 long, without the hyphens at third
// and fourth place that RFC 5891, 4.2.3.1 keeps for internationalised names.
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

// pickLabel makes a readable label: two words, and four characters against
// collisions and guesses.
func pickLabel() string {
	return petname.Generate(2, "-") + "-" + strings.ToLower(rand.Text()[:4])
}
