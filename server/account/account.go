// Package account has who may claim what, beside strangers: accounts of the --accounts file, which show a key, and holders of tokens
// that an issuer signed.
package account

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
	"time"

	"reversehttp/server/claim"
	"reversehttp/server/quota"
)

// Account is who may claim by showing a key. It is not changed.
type Account struct {
	// Name is what logs, metrics and records have of it.
	Name string `json:"name"`
	// Keys are hashes of its keys, see [Hash]. One without any lends nothing, and its labels stay its own.
	Keys []string `json:"keys,omitzero"`
	// Labels are patterns of labels that nobody else may claim, as [path.Match] compares them.
	Labels []string `json:"labels,omitzero"`
	// LongestLease is the longest lease of its claims, in seconds. Zero means 24 h.
	LongestLease int `json:"longestLease,omitzero"`
	// Quotas bound what its claims use together, and LabelQuotas what each of them does. Nil means as the gateway has it for accounts, and
	// for labels.
	Quotas      *quota.Limits `json:"quotas,omitzero"`
	LabelQuotas *quota.Limits `json:"labelQuotas,omitzero"`
	// Policy is that of each claim that it makes without one, as the owner of a claim gives it. Nil means none.
	Policy json.RawMessage `json:"policy,omitzero"`

	policy claim.Term // as it is kept
}

// The bounds of what a file says.
const (
	// longestLease is the longest that an account may be given: a year.
	longestLease = 365 * 24 * time.Hour
	usualLease   = 24 * time.Hour
	mostAccounts = 1_000 // each has metrics of its own
	mostKeys     = 16
	mostPatterns = 256
	// mostAlike bounds how many patterns one label is compared with, for each of its beginnings.
	mostAlike = 256
)

// Lease returns the longest lease of its claims.
func (a *Account) Lease() time.Duration {
	if a == nil || a.LongestLease == 0 {
		return usualLease
	}
	return time.Duration(a.LongestLease) * time.Second
}

var (
	// names have no colon, which the names of holders of tokens have.
	names    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`)
	patterns = regexp.MustCompile(`^[a-z0-9*-]{1,63}$`)
)

// ValidName reports whether an account may have a name.
func ValidName(name string) bool { return names.MatchString(name) }

// ValidPattern reports whether a label may match a pattern: it has the characters of labels, and * for any of them, or none.
func ValidPattern(pattern string) bool { return patterns.MatchString(pattern) }

// matches reports whether a label matches a pattern.
func matches(pattern, label string) bool {
	ok, _ := path.Match(pattern, label) // neither has a slash, nor a pattern what path.Match knows beside *
	return ok
}

// hashPrefix says how a key is hashed. Once is enough: a key of [NewKey] is random, of 178 bits, so that nobody finds it by
// trying, however fast the hash is. A password would need a slow one.
const hashPrefix = "sha256:"

// Hash returns what a file has of a key.
func Hash(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hashPrefix + hex.EncodeToString(sum[:])
}

// NewKey mints a key.
func NewKey() string { return claim.MintToken(claim.AccountKey) }

// mistyped reports whether a key looks as those of [NewKey], and is none: it was cut or mistyped.
func mistyped(key string) bool {
	return strings.HasPrefix(key, string(claim.AccountKey)) && claim.KindOf(key) != claim.AccountKey
}

// check returns what is wrong with an account.
func (a *Account) check() error {
	if !ValidName(a.Name) {
		return fmt.Errorf("the name %q: give 1 to 64 letters, digits and ._@- that begin with a letter or digit", a.Name)
	}
	for _, key := range a.Keys {
		digest, ok := strings.CutPrefix(key, hashPrefix)
		if sum, err := hex.DecodeString(digest); !ok || err != nil || len(sum) != sha256.Size || digest != strings.ToLower(digest) {
			return errors.New("a key is not sha256: and 64 hexadecimal digits; reversehttp admin key new makes one") // it may be the key itself
		}
	}
	for _, pattern := range a.Labels {
		if !ValidPattern(pattern) {
			return fmt.Errorf("the pattern %q: give lower case letters, digits, hyphens, and * for any of them", pattern)
		}
	}
	if l := a.LabelQuotas; l != nil && l[quota.Claims] > 0 {
		return errors.New("labelQuotas: a label is one claim; give claims in quotas")
	}
	switch most := int(longestLease / time.Second); {
	case a.LongestLease < 0 || a.LongestLease > most:
		return fmt.Errorf("longestLease %d: give seconds from 1 to %d", a.LongestLease, most)
	case len(a.Keys) > mostKeys:
		return fmt.Errorf("%d keys: give %d at most", len(a.Keys), mostKeys)
	case len(a.Labels) > mostPatterns:
		return fmt.Errorf("%d patterns of labels: give %d at most", len(a.Labels), mostPatterns)
	}
	return nil
}
