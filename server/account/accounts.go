package account

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Accounts are the accounts of a file. They are immutable. Nil has none.
type Accounts struct {
	list []*Account
	// strangers is whether strangers, who show no key, may claim too.
	strangers bool
	byKey     map[string]*Account // by [Hash]
	byName    map[string]*Account
	whole     map[string][]string  // names by label, of patterns without *
	patterns  map[string][]pattern // by the text before their first *
}

// pattern is a pattern of the labels of an account.
type pattern struct{ text, name string }

// own adds a pattern of an account.
func (a *Accounts) own(text, name string) error {
	before, _, some := strings.Cut(text, "*")
	if !some {
		a.whole[text] = append(a.whole[text], name)
		return nil
	}
	a.patterns[before] = append(a.patterns[before], pattern{text, name})
	if len(a.patterns[before]) > mostAlike {
		return fmt.Errorf("more than %d patterns of labels have %q before their first *", mostAlike, before)
	}
	return nil
}

// file is the JSON of a file.
type file struct {
	Accounts  []*Account `json:"accounts"`
	Strangers *bool      `json:"strangers,omitzero"` // absent: true
}

// Parse parses the JSON of a file. Unknown members are an error, since a misspelt one could leave
// labels open to everybody.
func Parse(content []byte) (*Accounts, error) {
	var f file
	if err := json.Unmarshal(content, &f, json.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("not accounts in JSON: %w", err)
	}
	return f.accounts()
}

// accounts checks the content of a file and returns its accounts.
func (f *file) accounts() (*Accounts, error) {
	if len(f.Accounts) > mostAccounts {
		return nil, fmt.Errorf("%d accounts: at most %d are allowed; holders of tokens need no entry, see --jwks", len(f.Accounts), mostAccounts)
	}
	a := &Accounts{list: f.Accounts, strangers: f.Strangers == nil || *f.Strangers, byKey: make(map[string]*Account), byName: make(map[string]*Account), whole: make(map[string][]string), patterns: make(map[string][]pattern)}
	for i, one := range f.Accounts {
		if one == nil {
			return nil, fmt.Errorf("account %d: null", i)
		}
		if err := one.check(); err != nil {
			return nil, fmt.Errorf("account %d: %w", i, err)
		}
		if a.byName[one.Name] != nil {
			return nil, fmt.Errorf("account %d: another has the same name %q", i, one.Name)
		}
		a.byName[one.Name] = one
		for _, text := range one.Labels {
			if err := a.own(text, one.Name); err != nil {
				return nil, fmt.Errorf("account %q: %w", one.Name, err)
			}
		}
		for _, key := range one.Keys {
			if other := a.byKey[key]; other != nil {
				return nil, fmt.Errorf("accounts %q and %q have a key in common", other.Name, one.Name)
			}
			a.byKey[key] = one
		}
	}
	return a, nil
}

// ByKey returns the account that has a key, or nil. Its timing reveals nothing of other keys, only
// of their hashes.
func (a *Accounts) ByKey(key string) *Account {
	if a == nil || key == "" {
		return nil
	}
	return a.byKey[Hash(key)]
}

// Named returns the account with a name, or nil.
func (a *Accounts) Named(name string) *Account {
	if a == nil {
		return nil
	}
	return a.byName[name]
}

// All returns all accounts, in the order of the file. The caller must not change them.
func (a *Accounts) All() []*Account {
	if a == nil {
		return nil
	}
	return a.list
}

// Strangers reports whether strangers, who show no key, may claim too.
func (a *Accounts) Strangers() bool { return a == nil || a.strangers }

// May reports whether the account with a name, or "" for none, may claim a label: the label belongs
// to that account or to none.
func (a *Accounts) May(name, label string) bool {
	if a == nil {
		return true
	}
	owners := a.whole[label]
	owned := len(owners) > 0
	if slices.Contains(owners, name) {
		return true
	}
	for at := range len(label) + 1 {
		for _, p := range a.patterns[label[:at]] {
			if !matches(p.text, label) {
				continue
			}
			if p.name == name {
				return true
			}
			owned = true
		}
	}
	return !owned
}

// Names reports whether an account lists a label by its whole name, not by a wildcard.
func (a *Accounts) Names(label string) bool {
	return a != nil && len(a.whole[label]) > 0
}

// AddKey adds the hash of a key to the account with a name in a file, and creates the file and the
// account if they are missing. It replaces the file atomically, so that a gateway reads either the
// old or the new one.
func AddKey(path, name, hash string, labels []string) error {
	var f file
	mode := os.FileMode(0o600)
	content, err := os.ReadFile(path)
	switch {
	case err == nil:
		if err := json.Unmarshal(content, &f, json.RejectUnknownMembers(true)); err != nil {
			return fmt.Errorf("%s: not accounts in JSON: %w", path, err)
		}
		if info, err := os.Stat(path); err == nil {
			mode = info.Mode().Perm()
		}
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	i := slices.IndexFunc(f.Accounts, func(a *Account) bool { return a != nil && a.Name == name })
	if i < 0 {
		i, f.Accounts = len(f.Accounts), append(f.Accounts, &Account{Name: name})
	}
	one := f.Accounts[i]
	one.Keys = append(one.Keys, hash)
	for _, label := range labels {
		if !slices.Contains(one.Labels, label) {
			one.Labels = append(one.Labels, label)
		}
	}
	if _, err := f.accounts(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if content, err = json.Marshal(f, jsontext.WithIndent("  ")); err != nil {
		return err
	}
	return replace(path, append(bytes.TrimSpace(content), '\n'), mode)
}

// replace writes a file atomically.
func replace(path string, content []byte, mode os.FileMode) error {
	if to, err := filepath.EvalSymlinks(path); err == nil {
		path = to
	}
	f, err := os.CreateTemp(filepath.Dir(path), strings.TrimPrefix(filepath.Base(path), ".")+"-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// KeysChanged returns the sorted names of accounts whose keys differ between was and is.
func KeysChanged(was, is *Accounts) (names []string) {
	if was == is {
		return nil
	}
	for _, one := range slices.Concat(was.All(), is.All()) {
		var before, after []string
		if a := was.Named(one.Name); a != nil {
			before = slices.Sorted(slices.Values(a.Keys))
		}
		if a := is.Named(one.Name); a != nil {
			after = slices.Sorted(slices.Values(a.Keys))
		}
		if !slices.Equal(before, after) {
			names = append(names, one.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
