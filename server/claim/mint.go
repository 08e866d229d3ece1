package claim

import (
	"crypto/rand"
	"hash/crc32"
	"strings"
)

// Minted tokens have the form of GitHub's, which leak scanners verify offline: a prefix, random
// characters, and a checksum of those characters.

// Kind is the prefix of a minted token, which says what the token is for.
type Kind string

// The kinds.
const (
	OwnerToken  Kind = "rht_"
	ViewerToken Kind = "rhv_"
	AccountKey  Kind = "rhk_"
)

const (
	digits62     = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	randomDigits = 30 // 178 bits
	checkDigits  = 6  // 32 bits
)

// MintToken returns a new token.
func MintToken(kind Kind) string {
	random := make([]byte, 0, randomDigits)
	var some [2 * randomDigits]byte
	for len(random) < randomDigits {
		_, _ = rand.Read(some[:]) // it never fails
		for _, b := range some {
			// 248 of the 256 values hold each digit four times; the rest would favour the first
			// digits.
			if int(b) < 4*len(digits62) && len(random) < randomDigits {
				random = append(random, digits62[int(b)%len(digits62)])
			}
		}
	}
	return string(kind) + string(random) + checksum(string(random))
}

// KindOf returns the kind of a minted token, or "" if token is not one: it was chosen, cut or
// mistyped.
func KindOf(token string) Kind {
	for _, kind := range []Kind{OwnerToken, ViewerToken, AccountKey} {
		rest, ok := strings.CutPrefix(token, string(kind))
		if ok && len(rest) == randomDigits+checkDigits && checksum(rest[:randomDigits]) == rest[randomDigits:] &&
			strings.Trim(rest, digits62) == "" {
			return kind
		}
	}
	return ""
}

// checksum returns the CRC-32 of s in base 62, with leading zeros.
func checksum(s string) string {
	var out [checkDigits]byte
	n := crc32.ChecksumIEEE([]byte(s))
	for i := checkDigits - 1; i >= 0; i-- {
		out[i] = digits62[n%62]
		n /= 62
	}
	return string(out[:])
}
