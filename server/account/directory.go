package account

import (
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"reversehttp/server/claim"
)

// Directory has the current accounts of a file, and verifies the tokens of an issuer. Nil has none.
type Directory struct {
	log  *slog.Logger
	file watched
	now  atomic.Pointer[Accounts]
	// issuer is nil if no tokens are accepted.
	issuer *issuer
}

// LookEvery is the interval at which files are checked for changes.
const LookEvery = 10 * time.Second

// Open reads the accounts of a file. An empty path means no accounts. policy parses their policies;
// if it is nil, policies are an error.
func Open(path string, policy func(value []byte) (claim.Term, error), log *slog.Logger) (*Directory, error) {
	d := &Directory{log: log}
	d.file = watched{path: path, take: func(content []byte) error {
		a, err := Parse(content)
		if err != nil {
			return err
		}
		for _, one := range a.list {
			if one.Policy == nil {
				continue
			}
			if policy == nil {
				return fmt.Errorf("account %q: policies are not supported here", one.Name)
			}
			if one.policy, err = policy(one.Policy); err != nil {
				return fmt.Errorf("account %q: policy: %w", one.Name, err)
			}
		}
		d.now.Store(a)
		log.Info("accounts read", "file", path, "accounts", len(a.list), "strangers", a.strangers)
		return nil
	}}
	if _, err := d.file.look(); err != nil {
		return nil, err
	}
	return d, nil
}

// Of returns a directory with the given accounts, without a file.
func Of(a *Accounts) *Directory {
	d := &Directory{}
	d.now.Store(a)
	return d
}

// Accounts returns the current accounts, or nil if there are none.
func (d *Directory) Accounts() *Accounts {
	if d == nil {
		return nil
	}
	return d.now.Load()
}

// Look reads files again that have changed. An invalid file, such as one half written, changes
// nothing and is logged once.
func (d *Directory) Look() {
	if d == nil {
		return
	}
	if changed, err := d.file.look(); err != nil && changed {
		d.log.Warn("cannot read accounts again; keeping the previous ones", "file", d.file.path, "error", err.Error())
	}
	if d.issuer == nil {
		return
	}
	if changed, err := d.issuer.file.look(); err != nil && changed {
		d.log.Warn("cannot read keys of the issuer again; keeping the previous ones", "file", d.issuer.file.path, "error", err.Error())
	}
}

// Holder identifies who claims, by a key of an account or a token of the issuer. The zero value is
// a stranger.
type Holder struct {
	// Name is the name of the account. Empty means none.
	Name string
	// Keyed says that the holder showed a key of the gateway that belongs to no account.
	Keyed bool
	// Lease is the longest lease that the holder may request. Zero means 24 hours.
	Lease time.Duration
	// Until is when the account ends. The zero value means never.
	Until time.Time
	// Policy applies to claims that the holder makes without a policy. Nil means none.
	Policy claim.Term
	// labels are patterns of the labels that the holder of a token may claim.
	labels []string
}

// MayClaim reports whether the holder may claim a label, or, if label is empty, have the gateway
// choose one. It does not check who owns the label.
func (h Holder) MayClaim(label string) bool {
	return h.Until.IsZero() || slices.ContainsFunc(h.labels, func(pattern string) bool { return matches(pattern, label) })
}

// Holder returns the holder of a secret, or says, for people, why it is neither a valid key nor a
// valid token.
func (d *Directory) Holder(secret string) (h Holder, why string) {
	if one := d.Accounts().ByKey(secret); one != nil {
		return Holder{Name: one.Name, Lease: one.Lease(), Policy: one.policy}, ""
	}
	switch {
	case d != nil && d.issuer != nil && isToken(secret):
		return d.issuer.holder(secret)
	case mistyped(secret):
		return Holder{}, mistypedKey
	}
	return Holder{}, unknownKey
}

// Ends reports whether accounts may end by themselves, as those of tokens do.
func (d *Directory) Ends() bool { return d != nil && d.issuer != nil }

// LeaseOf returns the longest lease of the claims of an account, given its name.
func (d *Directory) LeaseOf(name string) time.Duration { return d.Accounts().Named(name).Lease() }
