// Package account knows the holders that may claim, apart from strangers: accounts in the
// --accounts file, which show a key, and holders of tokens that an issuer signed.
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

// Account is an account of the file, whose holders claim by showing a key. It is immutable.
type Account struct {
	// Name identifies the account in logs, metrics and records.
	Name string `json:"name"`
	// Keys are hashes of its keys, see [Hash]. An account without keys cannot claim, but its labels
	// stay its own.
	Keys []string `json:"keys,omitzero"`
	// Labels are patterns of labels that nobody else may claim, as [path.Match] compares them.
	Labels []string `json:"labels,omitzero"`
	// LongestLease is the longest lease of its claims, in seconds. Zero means 24 hours.
	LongestLease int `json:"longestLease,omitzero"`
	// Quotas bound what its claims use together, and LabelQuotas what each claim uses. Nil means
	// the gateway's defaults for accounts and for labels.
	Quotas      *quota.Limits `json:"quotas,omitzero"`
	LabelQuotas *quota.Limits `json:"labelQuotas,omitzero"`
	// Policy applies to each claim that the account makes without a policy, in the form that owners
	// send. Nil means none.
	Policy json.RawMessage `json:"policy,omitzero"`

	policy claim.Term // Policy as a term
}

// Bounds of the file.
const (
	// longestLease is the longest lease that an account may have: a year.
	longestLease = 365 * 24 * time.Hour
	usualLease   = 24 * time.Hour
	mostAccounts = 1_000 // each has its own metrics
	mostKeys     = 16
	mostPatterns = 256
	// mostAlike bounds how many patterns share the text before their first *, and so with how many
	// a label is compared.
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
	// names have no colon, unlike the names of holders of tokens.
	names    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`)
	patterns = regexp.MustCompile(`^[a-z0-9*-]{1,63}$`)
)

// ValidName reports whether name is valid for an account.
func ValidName(name string) bool { return names.MatchString(name) }

// ValidPattern reports whether a pattern of labels is valid: it has the characters of labels, and *
// for any number of them.
func ValidPattern(pattern string) bool { return patterns.MatchString(pattern) }

// matches reports whether a label matches a pattern.
func matches(pattern, label string) bool {
	ok, _ := path.Match(pattern, label) // neither has a slash, and * is the only wildcard in a pattern
	return ok
}

// hashPrefix names the hash of a key. A fast hash is enough: a key of [NewKey] has 178 random bits,
// too many to guess. A password would need a slow hash.
const hashPrefix = "sha256:"

// Hash returns the hash of a key in the form used in a file.
func Hash(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hashPrefix + hex.EncodeToString(sum[:])
}

// NewKey mints a key.
func NewKey() string { return claim.MintToken(claim.AccountKey) }

// mistyped reports whether a key looks like one of [NewKey] but is not valid, because it was
// truncated or mistyped.
func mistyped(key string) bool {
	return strings.HasPrefix(key, string(claim.AccountKey)) && claim.KindOf(key) != claim.AccountKey
}

// check returns an error if an account is invalid.
func (a *Account) check() error {
	if !ValidName(a.Name) {
		return fmt.Errorf("the name %q: use 1 to 64 letters, digits and ._@-, beginning with a letter or digit", a.Name)
	}
	for _, key := range a.Keys {
		digest, ok := strings.CutPrefix(key, hashPrefix)
		if sum, err := hex.DecodeString(digest); !ok || err != nil || len(sum) != sha256.Size || digest != strings.ToLower(digest) {
			return errors.New("a key is not sha256: and 64 hexadecimal digits; make one with reversehttp admin key new") // not repeated, since it may be the key itself
		}
	}
	for _, pattern := range a.Labels {
		if !ValidPattern(pattern) {
			return fmt.Errorf("the pattern %q: use lower case letters, digits, hyphens, and * for any number of them", pattern)
		}
	}
	if l := a.LabelQuotas; l != nil && l[quota.Claims] > 0 {
		return errors.New("labelQuotas: a label has one claim; set claims in quotas")
	}
	switch most := int(longestLease / time.Second); {
	case a.LongestLease < 0 || a.LongestLease > most:
		return fmt.Errorf("longestLease %d: use seconds from 1 to %d", a.LongestLease, most)
	case len(a.Keys) > mostKeys:
		return fmt.Errorf("%d keys: at most %d are allowed", len(a.Keys), mostKeys)
	case len(a.Labels) > mostPatterns:
		return fmt.Errorf("%d patterns of labels: at most %d are allowed", len(a.Labels), mostPatterns)
	}
	return nil
}
