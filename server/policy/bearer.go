package policy

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"

	"reversehttp/schema"
	"reversehttp/server/claim"
)

// mostLogins bounds the entries of basic, and those of bearer.
const mostLogins = 16

// bearer is a named token. Tokens are long, so a fast hash is kept.
type bearer struct {
	Name string `json:"name"`
	Hash string `json:"hash"`
}

func checkBearer(ask *schema.Policy, p *Policy) error {
	if ask.Bearer == nil {
		return nil
	}
	if err := count("bearer", *ask.Bearer, mostLogins); err != nil {
		return err
	}
	known := map[string]bool{}
	for i, b := range *ask.Bearer {
		at := fmt.Sprintf("bearer/%d", i)
		if err := checkName(at+"/name", b.Name, known); err != nil {
			return err
		}
		one := bearer{Name: b.Name}
		if b.Token != "" {
			if len(b.Token) < claim.ShortestToken || !claim.ValidToken(b.Token) {
				return fault(at+"/token", "A token has %d to 256 letters, digits and -._~+/= characters, so that nobody guesses it.", claim.ShortestToken)
			}
			one.Hash = hashBearer(b.Token)
		}
		p.Bearer = append(p.Bearer, one)
	}
	return nil
}

func hashBearer(token string) string {
	h := sha256.Sum256([]byte(token))
	return hex.EncodeToString(h[:])
}

func takeBearer(next, before *Policy) error {
	next.Bearer = append([]bearer(nil), next.Bearer...)
	for i := range next.Bearer {
		one := &next.Bearer[i]
		for _, old := range before.Bearer {
			if one.Hash == "" && old.Name == one.Name {
				one.Hash = old.Hash
			}
		}
		if one.Hash == "" {
			return fault(fmt.Sprintf("bearer/%d/token", i), "There is no entry with this name whose token could be kept. Give one.")
		}
	}
	return nil
}

func (p *Policy) showBearer(s *schema.Policy) {
	if p.Bearer == nil {
		return
	}
	s.Bearer = new([]schema.PolicyBearer)
	for _, one := range p.Bearer {
		*s.Bearer = append(*s.Bearer, schema.PolicyBearer{Name: one.Name})
	}
}

// letsBearer reports whether a token is among all.
func letsBearer(all []bearer, token string) bool {
	hash, found := []byte(hashBearer(token)), 0
	for _, one := range all {
		found |= subtle.ConstantTimeCompare([]byte(one.Hash), hash)
	}
	return found == 1
}
