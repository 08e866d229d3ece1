package policy

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"reversehttp/schema"
	"reversehttp/server/terms"
)

// mostPassword bounds a password, in bytes: bcrypt looks at no more.
const mostPassword = 72

// login is a user with a password, of which a slow hash is kept.
type login struct {
	User string `json:"user"`
	Hash string `json:"hash"`
}

func checkBasic(ask *schema.Policy, p *Policy) error {
	if ask.Basic == nil {
		return nil
	}
	if err := count("basic", *ask.Basic, mostLogins); err != nil {
		return err
	}
	known := map[string]bool{}
	for i, b := range *ask.Basic {
		at := fmt.Sprintf("basic/%d", i)
		if err := checkName(at+"/user", b.User, known); err != nil {
			return err
		}
		switch {
		case strings.Contains(b.User, ":"):
			return fault(at+"/user", "A user has no colon (RFC 7617).")
		case len(b.Password) > mostPassword || strings.ContainsFunc(b.Password, control):
			return fault(at+"/password", "A password has 1 to %d bytes, and no control characters.", mostPassword)
		}
		p.Basic = append(p.Basic, login{User: b.User})
	}
	return nil
}

// hashPasswords hashes the passwords that an address gives.
func hashPasswords(ask *schema.Policy, p *Policy, from netip.Addr) error {
	if ask.Basic == nil {
		return nil
	}
	for i, b := range *ask.Basic {
		if b.Password == "" {
			continue
		}
		hash, ok := hashPassword(b.Password, from)
		if !ok {
			return &terms.Error{Code: schema.CodeUnavailable, Member: fmt.Sprintf("policy/basic/%d/password", i),
				Detail: "Too many passwords are being set, so nothing was changed. Try again soon."}
		}
		p.Basic[i].Hash = hash
	}
	return nil
}

func takeBasic(next, before *Policy) error {
	next.Basic = append([]login(nil), next.Basic...)
	for i := range next.Basic {
		one := &next.Basic[i]
		for _, old := range before.Basic {
			if one.Hash == "" && old.User == one.User {
				one.Hash = old.Hash
			}
		}
		if one.Hash == "" {
			return fault(fmt.Sprintf("basic/%d/password", i), "There is no entry with this user whose password could be kept. Give one.")
		}
	}
	return nil
}

func (p *Policy) showBasic(s *schema.Policy) {
	if p.Basic == nil {
		return
	}
	s.Basic = new([]schema.PolicyBasic)
	for _, one := range p.Basic {
		*s.Basic = append(*s.Basic, schema.PolicyBasic{User: one.User})
	}
}

// readBasic reads the credentials of Basic (RFC 7617).
func readBasic(coded string) (user, password string, ok bool) {
	pair, err := base64.StdEncoding.DecodeString(coded)
	if err != nil || !utf8.Valid(pair) {
		return "", "", false
	}
	user, password, ok = strings.Cut(string(pair), ":")
	return user, password, ok && len(password) <= mostPassword && !strings.ContainsFunc(password, control)
}
