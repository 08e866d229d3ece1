package account

import (
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"reversehttp/server/claim"
)

// Directory has the accounts of a file as it is now, and knows the tokens of an issuer. Nil has none.
type Directory struct {
	log  *slog.Logger
	file watched
	now  atomic.Pointer[Accounts]
	// issuer is nil where no tokens are taken.
	issuer *issuer
}

// LookEvery is how long a change of a file may go unseen.
const LookEvery = 10 * time.Second

// Open reads the accounts of a file; an empty path is none. policy reads their policies; where it is nil there may be none.
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
				return fmt.Errorf("account %q: there are no policies here", one.Name)
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

// Of returns a directory of accounts that come from no file.
func Of(a *Accounts) *Directory {
	d := &Directory{}
	d.now.Store(a)
	return d
}

// Accounts returns those there are now; nil for none.
func (d *Directory) Accounts() *Accounts {
	if d == nil {
		return nil
	}
	return d.now.Load()
}

// Look reads the files again that changed. One that is wrong, or half written, changes nothing, and the log says so once.
func (d *Directory) Look() {
	if d == nil {
		return
	}
	if changed, err := d.file.look(); err != nil && changed {
		d.log.Warn("accounts not read again, those from before stay", "file", d.file.path, "error", err.Error())
	}
	if d.issuer == nil {
		return
	}
	if changed, err := d.issuer.file.look(); err != nil && changed {
		d.log.Warn("keys of the issuer not read again, those from before stay", "file", d.issuer.file.path, "error", err.Error())
	}
}

// Holder is who claims: whoever shows a key of an account, or a token of the issuer. The zero value is a stranger.
type Holder struct {
	// Name is that of the account; empty where it has none.
	Name string
	// Keyed says that they show a key of the gateway, which has no account.
	Keyed bool
	// Lease is the longest that the holder may ask for. Zero means 24 h.
	Lease time.Duration
	// Until is when the account ends. The zero value is never.
	Until time.Time
	// Policy is that of the claims that it makes without one. Nil means none.
	Policy claim.Term
	// labels are patterns of the only labels that the holder of a token may claim.
	labels []string
}

// MayClaim reports whether the holder may claim a label, which is empty if the gateway is to pick one. It does not look at the owner of
// the label.
func (h Holder) MayClaim(label string) bool {
	return h.Until.IsZero() || slices.ContainsFunc(h.labels, func(pattern string) bool { return matches(pattern, label) })
}

// Holder returns who shows a secret, or tells people why it is neither a key nor a token that is good.
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

// Ends reports whether accounts may end by themselves: those of tokens do.
func (d *Directory) Ends() bool { return d != nil && d.issuer != nil }

// LeaseOf returns the longest lease of the claims of an account, by its name.
func (d *Directory) LeaseOf(name string) time.Duration { return d.Accounts().Named(name).Lease() }
